-- Rate limits: the three algorithms through the table, blocks, refusals. The arithmetic itself:
-- test/unit/ratelimit_test.cpp.
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
SELECT p.policy, n, h.allowed, h.remaining, h.retry_after IS NULL
    OR h.retry_after BETWEEN 1 AND 7200 AS sane, h.reset_at > now() AS later
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
SELECT usher._flush_rate_limits() > 0 AS flushed;
SELECT usher._flush_rate_limits() AS again;
SELECT count(*), bool_and(key_hash ~ '^[0-9a-f]{64}$') FROM usher.rate_limit_records WHERE policy LIKE 'regress.%';
SELECT DISTINCT policy, algorithm, limit_value, window_end > window_start AS has_window, metadata,
       created_at <= updated_at AS dated, blocked_until IS NOT NULL AS is_blocked
FROM usher.rate_limit_records WHERE policy LIKE 'regress.%' ORDER BY policy, is_blocked;
SELECT request_count
FROM usher.rate_limit_records WHERE key_hash = usher.rate_limit_hash('regress.fixed', 'somebody else');
SELECT policy, refused_count, is_blocked
FROM usher.rate_limit_attacks WHERE policy LIKE 'regress.%' ORDER BY policy, refused_count;
SELECT count(*) FROM usher.rate_limit_records WHERE key_hash = usher.rate_limit_hash('regress.block', 'x');
-- Time passes. What is in the table counts when shared memory knows nothing of a key, as after a restart.
SELECT usher._forget_rate_limit('regress.fixed');
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'somebody') AS h;
SELECT usher._flush_rate_limits(), usher._forget_rate_limit('regress.fixed');
UPDATE usher.rate_limit_records SET window_start = window_start - interval '2 hours' WHERE policy = 'regress.fixed';
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'somebody') AS h;
-- A hit is counted though its transaction rolls back
BEGIN;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'roller') AS h;
SAVEPOINT s;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'roller') AS h;
ROLLBACK TO s;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'roller') AS h;
ROLLBACK;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'roller') AS h;
-- in a transaction that may not write, too
BEGIN READ ONLY;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.fixed', 'reader') AS h;
COMMIT;
-- Tiers: by name, and of the user who is signed in
SELECT usher.define_rate_limit('regress.tiers', 'fixed_window', 2, '1 hour',
                               tiers => '{"PREMIUM": 5, "VIP": 1000000}');
SELECT p.tier, h.allowed, h.remaining
FROM (VALUES (NULL), ('FREE'), ('PREMIUM'), ('VIP')) AS p (tier),
     LATERAL usher.hit_rate_limit('regress.tiers', coalesce(p.tier, '-'), tier => p.tier) AS h;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.tiers', 'FREE', 3) AS h;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.tiers', 'PREMIUM', 3, 'PREMIUM') AS h;
SELECT user_id AS premium FROM usher.register_user('limits@regress.example', 'correct horse battery') \gset
UPDATE usher.users SET status = 'active', email_verified_at = now() WHERE id = :'premium';
SELECT usher.set_user_tier(:'premium', 'PREMIUM');
SELECT usher.issue_token(:'premium') AS token \gset
BEGIN;
SELECT usher.authenticate(:'token') IS NOT NULL AS signed_in;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.tiers', 'user') AS h;
COMMIT;
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.tiers', 'user') AS h;
SELECT usher.define_rate_limit('regress.tiers', 'fixed_window', 2, '1 hour', tiers => '{"PREMIUM": 0}');
SELECT usher.define_rate_limit('regress.tiers', 'fixed_window', 2, '1 hour', tiers => '{"bad tier": 1}');
SELECT usher.define_rate_limit('regress.tiers', 'fixed_window', 2, '1 hour', tiers => '{"PREMIUM": "5"}');
SELECT usher.define_rate_limit('regress.tiers', 'fixed_window', 2, '1 hour', tiers => '[]');
SELECT usher.define_rate_limit('regress.tiers', 'fixed_window', 2, '1 hour', tiers => NULL);
SELECT tiers FROM usher.list_rate_limits() WHERE policy = 'regress.tiers';
SELECT usher.drop_rate_limit('regress.tiers');

-- Upkeep removes what has no effect: refused keys later than others
SELECT usher.define_rate_limit('regress.old', 'fixed_window', 1, '1 hour');
SELECT h.allowed FROM (VALUES ('quiet'), ('loud'), ('loud'), ('now')) AS k (key),
    LATERAL usher.hit_rate_limit('regress.old', k.key) AS h;
SELECT usher._flush_rate_limits(), usher._forget_rate_limit('regress.old');
UPDATE usher.rate_limit_records
SET window_start = now() - interval '2 days', window_end = now() - interval '2 days' + interval '1 hour',
    updated_at = now() - interval '2 days'
WHERE policy = 'regress.old' AND key_hash <> usher.rate_limit_hash('regress.old', 'now');
SELECT usher._maintain_rate_limits(10000) > 0 AS some;
SELECT k.key, r.refused_count FROM (VALUES ('quiet'), ('loud'), ('now')) AS k (key)
    JOIN usher.rate_limit_records r ON r.key_hash = usher.rate_limit_hash('regress.old', k.key) ORDER BY k.key;
UPDATE usher.rate_limit_records
SET updated_at = now() - interval '8 days' WHERE key_hash = usher.rate_limit_hash('regress.old', 'loud');
SELECT usher._maintain_rate_limits(10000);
SELECT k.key FROM (VALUES ('quiet'), ('loud'), ('now')) AS k (key)
    JOIN usher.rate_limit_records r ON r.key_hash = usher.rate_limit_hash('regress.old', k.key);
SELECT usher.drop_rate_limit('regress.old');

-- A changed policy counts at once; another algorithm starts afresh
SELECT usher.define_rate_limit('regress.sliding', 'sliding_window', 5, '1 hour');
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.sliding', 'somebody') AS h;
SELECT usher.define_rate_limit('regress.sliding', 'token_bucket', 5, '1 hour');
SELECT h.allowed, h.remaining FROM usher.hit_rate_limit('regress.sliding', 'somebody') AS h;
SELECT usher.reset_rate_limit('regress.block', 'x'), usher.reset_rate_limit('regress.block', 'x') AS again;
SELECT h.allowed FROM usher.hit_rate_limit('regress.block', 'x') AS h;
-- Addresses: IPv6 by /64
SELECT usher.rate_limit_key('192.0.2.7'), usher.rate_limit_key('192.0.2.7/24'),
       usher.rate_limit_key('2001:db8:1:2:3:4:5:6'), usher.rate_limit_key('::1'), usher.rate_limit_key(NULL);

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
