# Decisions of access control against a slow, obviously right definition in SQL, over generated worlds of roles, parents, scopes,
# expiry, denies and policies. A world has users and roles of its own; some dozens stand side by side in one transaction, which is
# rolled back. USHER_SEED repeats a run; USHER_LONG makes it thorough.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{USHER_SEED} // int(rand(1_000_000));
my $together = 60;
my $rounds = $ENV{USHER_LONG} ? 500 : 17;
note("seed $seed: USHER_SEED=$seed repeats this run");

my $node = PostgreSQL::Test::Cluster->new('access_random');
$node->init;
$node->start;
$node->safe_psql('postgres', 'SET client_min_messages = warning; CREATE EXTENSION usher CASCADE');
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA slow;

-- The definition: straight from the tables, nothing shared with the extension's views, closure or cache. The questions are all
-- users with all of these permissions and scopes; '' stands for no scope.
CREATE VIEW slow.asked_scope AS SELECT unnest(ARRAY['', 'north', 'south', '0190b1c2-0000-7000-8000-00000000000a']) AS s;
CREATE VIEW slow.asked_permission AS SELECT p, split_part(p, ':', 1) AS resource, split_part(p, ':', 2) AS action
    FROM unnest(ARRAY['a:x', 'a:y', 'b:x', 'b:z', 'c:x', 'a:*', '*:*']) AS p;

-- roles that a user has when asked with scope s: direct ones, and their parents, as far as they are active
CREATE VIEW slow.held AS
    WITH RECURSIVE held (user_id, s, role_id) AS (
        SELECT ur.user_id, a.s, ur.role_id FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id, slow.asked_scope a
        WHERE r.is_active AND (ur.expires_at IS NULL OR ur.expires_at > clock_timestamp()) AND (ur.scope IS NULL OR ur.scope = a.s)
        UNION
        SELECT h.user_id, h.s, p.parent_id FROM held h JOIN usher.role_parents p ON p.role_id = h.role_id JOIN usher.roles r ON r.id = p.parent_id
        WHERE r.is_active
    )
    SELECT * FROM held;

CREATE VIEW slow.may AS
    WITH RECURSIVE held AS MATERIALIZED (SELECT * FROM slow.held), subject (user_id, s, name) AS (
        SELECT u.id, a.s, u.id::text FROM usher.users u, slow.asked_scope a
        UNION ALL SELECT h.user_id, h.s, r.name FROM held h JOIN usher.roles r ON r.id = h.role_id
    ), member (user_id, s, name) AS (
        SELECT * FROM subject
        UNION SELECT m.user_id, m.s, g.v1 FROM member m JOIN usher.policy_rules g ON g.ptype = 'g' AND g.v0 = m.name AND g.is_active
              WHERE coalesce(g.v2, '') IN ('', m.s)
    ), rule (user_id, s, permission, effect) AS (
        SELECT h.user_id, h.s, rp.permission, rp.effect FROM usher.role_permissions rp JOIN held h ON h.role_id = rp.role_id
        WHERE (rp.scope IS NULL OR rp.scope = h.s) AND (rp.expires_at IS NULL OR rp.expires_at > clock_timestamp())
        UNION ALL
        SELECT up.user_id, a.s, up.permission, up.effect FROM usher.user_permissions up, slow.asked_scope a
        WHERE (up.scope IS NULL OR up.scope = a.s) AND (up.expires_at IS NULL OR up.expires_at > clock_timestamp())
        UNION ALL
        SELECT m.user_id, m.s, p.v1 || ':' || p.v2, coalesce(p.v3, 'allow') FROM usher.policy_rules p JOIN member m ON p.v0 = m.name
        WHERE p.ptype = 'p' AND p.is_active
    ), spoken AS (
        SELECT rule.*, split_part(permission, ':', 1) AS r, split_part(permission, ':', 2) AS a FROM rule
    )
    SELECT u.id AS user_id, q.p, a.s, u.status IN ('active', 'pending')
        AND coalesce(bool_or(r.effect = 'allow' AND r.r IN ('*', q.resource) AND r.a IN ('*', q.action)), false)
        AND NOT coalesce(bool_or(r.effect = 'deny' AND (r.r IN ('*', q.resource) AND r.a IN ('*', q.action)
                                                        OR q.resource IN ('*', r.r) AND q.action IN ('*', r.a))), false) AS truth
    FROM usher.users u CROSS JOIN slow.asked_permission q CROSS JOIN slow.asked_scope a LEFT JOIN spoken r ON r.user_id = u.id AND r.s = a.s
    GROUP BY u.id, q.p, q.resource, q.action, a.s;

-- whose roles somebody may manage: all of them, in their scopes
CREATE VIEW slow.manages AS
    WITH RECURSIVE held (user_id, role_id, scope) AS (
        SELECT ur.user_id, ur.role_id, ur.scope FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id JOIN usher.users u ON u.id = ur.user_id
        WHERE u.status = 'active' AND r.is_active AND (ur.expires_at IS NULL OR ur.expires_at > clock_timestamp())
        UNION
        SELECT h.user_id, p.parent_id, h.scope FROM held h JOIN usher.role_parents p ON p.role_id = h.role_id JOIN usher.roles r ON r.id = p.parent_id
        WHERE r.is_active
    ), rights AS MATERIALIZED (
        SELECT h.user_id, m.target_role_id, h.scope FROM held h JOIN usher.role_management m ON m.actor_role_id = h.role_id
    ), theirs AS MATERIALIZED (
        SELECT ur.user_id, ur.role_id, ur.scope FROM usher.user_roles ur WHERE ur.expires_at IS NULL OR ur.expires_at > clock_timestamp()
    ), person AS (SELECT id, split_part(email, 'u', 1) AS w FROM usher.users
    ), pair AS (
        SELECT a.id AS actor, t.id AS target, x.role_id, count(r.user_id) > 0 AS covered
        FROM person a JOIN person t USING (w) LEFT JOIN theirs x ON x.user_id = t.id
        LEFT JOIN rights r ON r.user_id = a.id AND (r.target_role_id IS NULL OR r.target_role_id = x.role_id) AND (r.scope IS NULL OR r.scope = x.scope)
        GROUP BY a.id, t.id, x.role_id, x.scope -- of a user without roles: one row, covered by a right over everybody everywhere
    )
    SELECT actor, target, actor = target OR bool_and(covered) AS truth FROM pair GROUP BY actor, target;

CREATE FUNCTION slow.one_of(choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * cardinality(choices))] $$;
CREATE FUNCTION slow.scope() RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT slow.one_of(ARRAY[NULL, NULL, 'north', 'south', '0190b1c2-0000-7000-8000-00000000000a']) $$;
CREATE FUNCTION slow.expiry() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT clock_timestamp() + slow.one_of(ARRAY[NULL, NULL, '1 hour', '-1 hour'])::interval $$;

-- Users of world 7 are w7u1@… to w7u3@…, its roles w7r1 to w7r5, its groups of policies w7g1 to w7g3. Permissions are common to all.
CREATE FUNCTION slow.make_worlds(worlds integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    names text[] := ARRAY['a:x', 'a:y', 'a:*', 'b:x', 'b:*', '*:*'];
BEGIN
    INSERT INTO usher.users (email, status, deactivated_at)
    SELECT 'w' || w || 'u' || n || '@world.test', s, CASE s WHEN 'deactivated' THEN now() END
    FROM generate_series(1, worlds) AS w, generate_series(1, 3) AS n,
        LATERAL slow.one_of(ARRAY['active', 'active', 'active', 'deactivated', left('active', w + n + 6)]) AS s; -- naming both makes it random for each
    INSERT INTO usher.roles (name, is_active) SELECT 'w' || w || 'r' || n, random() < 0.85 FROM generate_series(1, worlds) AS w, generate_series(1, 5) AS n;
    INSERT INTO usher.permissions (name) SELECT unnest(names);
    CREATE TEMP TABLE person ON COMMIT DROP AS SELECT split_part(email, 'u', 1) AS w, id, id::text AS subject FROM usher.users;
    CREATE TEMP TABLE role ON COMMIT DROP AS SELECT split_part(name, 'r', 1) AS w, id, name FROM usher.roles;
    INSERT INTO usher.role_parents (role_id, parent_id)
    SELECT c.id, p.id FROM role c JOIN role p USING (w) WHERE c.name < p.name AND random() < 0.25;
    INSERT INTO usher.role_permissions (role_id, permission, effect, scope, expires_at)
    SELECT r.id, p, slow.one_of(ARRAY['allow', 'allow', 'allow', 'deny']), slow.scope(), slow.expiry()
    FROM role r, unnest(names) AS p, generate_series(1, 2) WHERE random() < 0.12 ON CONFLICT DO NOTHING;
    INSERT INTO usher.user_roles (user_id, role_id, scope, expires_at)
    SELECT u.id, r.id, slow.scope(), slow.expiry() FROM person u JOIN role r USING (w), generate_series(1, 2) WHERE random() < 0.15 ON CONFLICT DO NOTHING;
    INSERT INTO usher.user_permissions (user_id, permission, effect, scope, expires_at)
    SELECT u.id, p, slow.one_of(ARRAY['allow', 'allow', 'deny']), slow.scope(), slow.expiry()
    FROM person u, unnest(names) AS p WHERE random() < 0.08 ON CONFLICT DO NOTHING;
    INSERT INTO usher.role_management (actor_role_id, target_role_id)
    SELECT a.id, CASE WHEN random() < 0.2 THEN NULL ELSE t.id END FROM role a JOIN role t USING (w) WHERE random() < 0.2 ON CONFLICT DO NOTHING;
    CREATE TEMP TABLE subject ON COMMIT DROP AS
        SELECT w, subject AS s FROM person UNION ALL SELECT w, name FROM role
        UNION ALL SELECT 'w' || w, 'w' || w || 'g' || n FROM generate_series(1, worlds) AS w, generate_series(1, 3) AS n;
    INSERT INTO usher.policy_rules (ptype, v0, v1, v2, v3, is_active)
    SELECT 'p', s, slow.one_of(ARRAY['a', 'b', '*']), slow.one_of(ARRAY['x', 'y', '*']), slow.one_of(ARRAY[NULL, 'allow', 'deny']), random() < 0.8
    FROM subject WHERE random() < 0.1 ON CONFLICT DO NOTHING;
    INSERT INTO usher.policy_rules (ptype, v0, v1, v2, is_active)
    SELECT 'g', s, w || 'g' || slow.one_of(ARRAY['1', '2', '3']), slow.scope(), random() < 0.8
    FROM subject WHERE random() < 0.2 ON CONFLICT DO NOTHING;
    ANALYZE usher.users, usher.roles, usher.role_parents, usher.role_closure, usher.role_permissions, usher.user_roles, usher.user_permissions,
        usher.role_management, usher.policy_rules;
END $$;

CREATE FUNCTION slow.compare(OUT comparisons bigint, OUT allowed bigint, OUT differences text) LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE answer ON COMMIT DROP AS
        SELECT u.email, m.*, usher.user_has_permission(m.user_id, m.p, nullif(m.s, '')) AS fast, (usher._decide(m.user_id, m.p, nullif(m.s, ''))).allowed AS decided,
               CASE WHEN random() < 0.01 -- it is as slow as it is thorough
                    THEN (SELECT e.effect = 'allow' FROM usher.explain_access(m.user_id, m.p, nullif(m.s, '')) e WHERE e.step = 'result') ELSE m.truth END AS explained
        FROM slow.may m JOIN usher.users u ON u.id = m.user_id;
    CREATE TEMP TABLE role_answer ON COMMIT DROP AS
        SELECT u.email, r.name, a.s, h.role_id IS NOT NULL AND u.status = 'active' AS truth, usher.user_has_role(u.id, r.name, nullif(a.s, '')) AS fast
        FROM usher.users u JOIN usher.roles r ON split_part(r.name, 'r', 1) = split_part(u.email, 'u', 1) CROSS JOIN slow.asked_scope a
        LEFT JOIN slow.held h ON h.user_id = u.id AND h.role_id = r.id AND h.s = a.s;
    CREATE TEMP TABLE management_answer ON COMMIT DROP AS
        SELECT m.*, usher.can_manage(m.target, m.actor) AS fast FROM slow.manages m;
    SELECT (SELECT count(*) FROM answer) + (SELECT count(*) FROM role_answer) + (SELECT count(*) FROM management_answer),
           (SELECT count(*) FROM answer WHERE truth) + (SELECT count(*) FROM role_answer WHERE truth) + (SELECT count(*) FROM management_answer WHERE truth),
           concat_ws(E'\n', (SELECT string_agg(a::text, E'\n') FROM answer a WHERE truth IS DISTINCT FROM fast OR truth IS DISTINCT FROM decided OR truth IS DISTINCT FROM explained),
                     (SELECT string_agg(a::text, E'\n') FROM role_answer a WHERE truth IS DISTINCT FROM fast),
                     (SELECT string_agg(a::text, E'\n') FROM management_answer a WHERE truth IS DISTINCT FROM fast))
    INTO comparisons, allowed, differences;
END $$;
SQL

# One backend for all worlds: what it remembers of one round must not leak into the next.
my $script = join '', "SET jit = off;\nSELECT setseed(0.$seed) \\g /dev/null\n",
    map { "BEGIN;\nSELECT slow.make_worlds($together) \\g /dev/null\nSELECT $_, comparisons, allowed, differences FROM slow.compare();\nROLLBACK;\n" } 1 .. $rounds;
my ($comparisons, $allowed, $lines, $different) = (0, 0, 0, '');
my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 1, timeout => 3600);
is($status, 0, 'the worlds were made') or diag($err);
for my $line (split /\n/, $out)
{
    if (my ($round, $count, $yes, $rest) = $line =~ /^(\d+)\|(\d+)\|(\d+)\|(.*)$/)
    {
        $lines++;
        $comparisons += $count;
        $allowed += $yes;
        $different .= "round $round: $rest\n" if $rest ne '';
    }
    else { $different .= "    $line\n" }
}
is($lines * $together, $rounds * $together, $rounds * $together . ' worlds');
is($different, '', 'no difference in any comparison') or diag("seed $seed");
note("$comparisons comparisons");
cmp_ok($allowed, '>', $comparisons / 50, "not everything is refused: $allowed allowed");
cmp_ok($allowed, '<', $comparisons / 2, 'nor allowed');

$node->stop;
done_testing();
