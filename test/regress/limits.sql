-- Rate limits: the three algorithms through the table, blocks, refusals. The arithmetic itself: test/unit/ratelimit_test.cpp.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_limits_app;
SELECT usher.grant_access('regress_limits_app', 'application');

SELECT usher.define_rate_limit('regress.fixed', 'fixed_window', 3, '1 hour');
SELECT usher.define_rate_limit('regress.sliding', 'sliding_window', 3, '1 hour');
SELECT usher.define_rate_limit('regress.bucket', 'token_bucket', 3, '1 hour');
SELECT usher.define_rate_limit('regress.block', 'fixed_window', 1, '1 second', '1 hour');
SELECT policy, algorithm, max_hits, period, block_for FROM usher.list_rate_limits() WHERE policy LIKE 'regress.%';

SET SESSION AUTHORIZATION regress_limits_app;
SELECT p.policy, n, h.allowed, h.remaining, h.retry_after IS NULL OR h.retry_after BETWEEN 1 AND 7200 AS sane, h.reset_at > now() AS later
FROM (VALUES ('regress.fixed'), ('regress.sliding'), ('regress.bucket')) AS p (policy), generate_series(1, 4) AS n,
     LATERAL (SELECT n) AS each (n2), LATERAL usher.hit_rate_limit(p.policy, 'somebody' || left(n2::text, 0)) AS h
ORDER BY p.policy, n;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'somebody else', 2) AS h;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'somebody else', 2) AS h;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'somebody else') AS h;
SELECT h.allowed, h.retry_after FROM usher.hit_rate_limit('regress.block', 'x') AS h;
SELECT h.allowed, h.retry_after FROM usher.hit_rate_limit('regress.block', 'x') AS h;
SELECT h.allowed, h.retry_after BETWEEN 3590 AND 3600 AS still FROM usher.hit_rate_limit('regress.block', 'x') AS h;
-- keys may be anything but null
SELECT h.allowed FROM usher.hit_rate_limit('regress.fixed', '') AS h;
SELECT h.allowed FROM usher.hit_rate_limit('regress.fixed', repeat('k', 1000000)) AS h;
RESET SESSION AUTHORIZATION;

-- Nothing of a key is stored but its hash
SELECT count(*), bool_and(key_hash ~ '^[0-9a-f]{64}$') FROM usher.rate_limit_records WHERE policy LIKE 'regress.%';
SELECT policy, refused_count FROM usher.rate_limit_attacks WHERE policy LIKE 'regress.%' ORDER BY policy, refused_count;
-- Time passes
UPDATE usher.rate_limit_records SET window_start = window_start - interval '2 hours' WHERE policy = 'regress.fixed';
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'somebody') AS h;
-- A changed policy counts at once; another algorithm starts afresh
SELECT usher.define_rate_limit('regress.sliding', 'sliding_window', 5, '1 hour');
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.sliding', 'somebody') AS h;
SELECT usher.define_rate_limit('regress.sliding', 'token_bucket', 5, '1 hour');
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.sliding', 'somebody') AS h;
SELECT usher.reset_rate_limit('regress.block', 'x'), usher.reset_rate_limit('regress.block', 'x') AS again;
SELECT h.allowed FROM usher.hit_rate_limit('regress.block', 'x') AS h;
-- Addresses: IPv6 by /64
SELECT usher.rate_limit_key('192.0.2.7'), usher.rate_limit_key('192.0.2.7/24'), usher.rate_limit_key('2001:db8:1:2:3:4:5:6'),
       usher.rate_limit_key('::1'), usher.rate_limit_key(NULL);

-- Refusals
SELECT usher.hit_rate_limit(NULL, 'k');
SELECT usher.hit_rate_limit('regress.fixed', NULL);
SELECT usher.hit_rate_limit('regress.fixed', 'k', NULL);
SELECT usher.hit_rate_limit('regress.fixed', 'k', 0);
SELECT usher.hit_rate_limit('regress.fixed', 'k', 4);
SELECT usher.hit_rate_limit('regress.unknown', 'k');
SELECT usher.hit_rate_limit(repeat('x', 1000000), 'k');
SELECT usher.define_rate_limit(NULL, 'fixed_window', 1, '1 minute');
SELECT usher.define_rate_limit('Bad name', 'fixed_window', 1, '1 minute');
SELECT usher.define_rate_limit('regress.x', 'leaky_bucket', 1, '1 minute');
SELECT usher.define_rate_limit('regress.x', 'fixed_window', 0, '1 minute');
SELECT usher.define_rate_limit('regress.x', 'fixed_window', 1000001, '1 minute');
SELECT usher.define_rate_limit('regress.x', 'fixed_window', 1, '1 millisecond');
SELECT usher.define_rate_limit('regress.x', 'fixed_window', 1, '1000 years');
SELECT usher.define_rate_limit('regress.x', 'fixed_window', 1, '1 minute', '0');
SET SESSION AUTHORIZATION regress_limits_app;
SELECT usher.define_rate_limit('regress.fixed', 'fixed_window', 1000, '1 second');
SELECT usher.drop_rate_limit('regress.fixed');
SELECT usher.reset_rate_limit('regress.fixed', 'somebody');
SELECT count(*) FROM usher.rate_limit_records;
RESET SESSION AUTHORIZATION;
SELECT usher.drop_rate_limit('regress.fixed'), usher.drop_rate_limit('regress.fixed') AS again;
SELECT count(*) FROM usher.rate_limit_records WHERE policy = 'regress.fixed';
SELECT usher.drop_rate_limit(p) FROM unnest(ARRAY['regress.sliding', 'regress.bucket', 'regress.block']) AS p;

SELECT usher.revoke_access('regress_limits_app');
DROP ROLE regress_limits_app;
