# Decisions of access control against a slow, obviously right definition in SQL, over generated worlds of roles, parents, scopes,
# expiry, denies and policies. USHER_SEED repeats a run; USHER_LONG makes it thorough.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{USHER_SEED} // int(rand(1_000_000));
my $worlds = $ENV{USHER_LONG} ? 2000 : 40;
note("seed $seed: USHER_SEED=$seed repeats this run");

my $node = PostgreSQL::Test::Cluster->new('access_random');
$node->init;
$node->start;
$node->safe_psql('postgres', 'SET client_min_messages = warning; CREATE EXTENSION usher CASCADE');
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA slow;

-- The definition: straight from the tables, nothing shared with the extension's views, closure or cache.
CREATE FUNCTION slow.may(u uuid, resource text, action text, s text) RETURNS boolean LANGUAGE sql AS $$
    WITH RECURSIVE held (role_id, scope) AS (
        SELECT ur.role_id, ur.scope FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id
        WHERE ur.user_id = u AND r.is_active AND (ur.expires_at IS NULL OR ur.expires_at > clock_timestamp())
          AND (ur.scope IS NULL OR ur.scope = s)
        UNION
        SELECT p.parent_id, h.scope FROM held h JOIN usher.role_parents p ON p.role_id = h.role_id
        JOIN usher.roles r ON r.id = p.parent_id WHERE r.is_active
    ), subject (name) AS (
        SELECT u::text
        UNION SELECT r.name FROM held h JOIN usher.roles r ON r.id = h.role_id
        UNION SELECT g.v1 FROM subject JOIN usher.policy_rules g ON g.ptype = 'g' AND g.v0 = name AND g.is_active
              WHERE coalesce(g.v2, '') IN ('', s)
    ), rule (r, a, effect) AS (
        SELECT split_part(permission, ':', 1), split_part(permission, ':', 2), effect
        FROM usher.role_permissions rp JOIN held h ON h.role_id = rp.role_id
        WHERE (rp.scope IS NULL OR rp.scope = s) AND (rp.expires_at IS NULL OR rp.expires_at > clock_timestamp())
        UNION ALL
        SELECT split_part(permission, ':', 1), split_part(permission, ':', 2), effect FROM usher.user_permissions up
        WHERE up.user_id = u AND (up.scope IS NULL OR up.scope = s) AND (up.expires_at IS NULL OR up.expires_at > clock_timestamp())
        UNION ALL
        SELECT p.v1, p.v2, coalesce(p.v3, 'allow') FROM usher.policy_rules p JOIN subject ON p.v0 = name WHERE p.ptype = 'p' AND p.is_active
    )
    SELECT EXISTS (SELECT FROM usher.users WHERE id = u AND status IN ('active', 'pending'))
       AND EXISTS (SELECT FROM rule WHERE effect = 'allow' AND r IN ('*', resource) AND a IN ('*', action))
       AND NOT EXISTS (SELECT FROM rule WHERE effect = 'deny'
                         AND (r IN ('*', resource) AND a IN ('*', action) OR resource IN ('*', r) AND action IN ('*', a)))
$$;

CREATE FUNCTION slow.holds(u uuid, role_name text, s text) RETURNS boolean LANGUAGE sql AS $$
    WITH RECURSIVE held (role_id) AS (
        SELECT ur.role_id FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id
        WHERE ur.user_id = u AND r.is_active AND (ur.expires_at IS NULL OR ur.expires_at > clock_timestamp())
          AND (ur.scope IS NULL OR ur.scope = s)
        UNION
        SELECT p.parent_id FROM held h JOIN usher.role_parents p ON p.role_id = h.role_id JOIN usher.roles r ON r.id = p.parent_id WHERE r.is_active
    )
    SELECT EXISTS (SELECT FROM usher.users WHERE id = u AND status = 'active')
       AND EXISTS (SELECT FROM held JOIN usher.roles r ON r.id = held.role_id WHERE r.name = role_name)
$$;

CREATE FUNCTION slow.manages(target uuid, actor uuid) RETURNS boolean LANGUAGE sql AS $$
    WITH RECURSIVE held (role_id, scope) AS (
        SELECT ur.role_id, ur.scope FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id JOIN usher.users u ON u.id = ur.user_id
        WHERE ur.user_id = actor AND u.status = 'active' AND r.is_active AND (ur.expires_at IS NULL OR ur.expires_at > clock_timestamp())
        UNION
        SELECT p.parent_id, h.scope FROM held h JOIN usher.role_parents p ON p.role_id = h.role_id JOIN usher.roles r ON r.id = p.parent_id WHERE r.is_active
    ), rights AS (
        SELECT m.target_role_id, h.scope FROM held h JOIN usher.role_management m ON m.actor_role_id = h.role_id
    ), theirs AS (
        SELECT ur.role_id, ur.scope FROM usher.user_roles ur WHERE ur.user_id = target AND (ur.expires_at IS NULL OR ur.expires_at > clock_timestamp())
    )
    SELECT target = actor
        OR CASE WHEN EXISTS (SELECT FROM theirs)
                THEN NOT EXISTS (SELECT FROM theirs t WHERE NOT EXISTS (
                         SELECT FROM rights r WHERE (r.target_role_id IS NULL OR r.target_role_id = t.role_id) AND (r.scope IS NULL OR r.scope = t.scope)))
                ELSE EXISTS (SELECT FROM rights r WHERE r.target_role_id IS NULL AND r.scope IS NULL) END
$$;

CREATE FUNCTION slow.one_of(choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * cardinality(choices))] $$;
CREATE FUNCTION slow.scope() RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT slow.one_of(ARRAY[NULL, NULL, 'north', 'south', '0190b1c2-0000-7000-8000-00000000000a']) $$;
CREATE FUNCTION slow.expiry() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT clock_timestamp() + slow.one_of(ARRAY[NULL, NULL, '1 hour', '-1 hour'])::interval $$;

CREATE FUNCTION slow.make_world() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    names text[] := ARRAY['a:x', 'a:y', 'a:*', 'b:x', 'b:*', '*:*'];
BEGIN
    INSERT INTO usher.users (email, status, deactivated_at)
    SELECT 'u' || n || '@world.test', s, CASE s WHEN 'deactivated' THEN now() END
    FROM generate_series(1, 6) AS n, LATERAL slow.one_of(ARRAY['active', 'active', 'active', 'deactivated', left('active', n + 6)]) AS s; -- naming n makes it random for each
    INSERT INTO usher.roles (name, is_active) SELECT 'r' || n, random() < 0.85 FROM generate_series(1, 6) AS n;
    INSERT INTO usher.permissions (name) SELECT unnest(names);
    INSERT INTO usher.role_parents (role_id, parent_id)
    SELECT c.id, p.id FROM usher.roles c, usher.roles p WHERE c.name < p.name AND random() < 0.25;
    INSERT INTO usher.role_permissions (role_id, permission, effect, scope, expires_at)
    SELECT r.id, p, slow.one_of(ARRAY['allow', 'allow', 'allow', 'deny']), slow.scope(), slow.expiry()
    FROM usher.roles r, unnest(names) AS p, generate_series(1, 2) WHERE random() < 0.12 ON CONFLICT DO NOTHING;
    INSERT INTO usher.user_roles (user_id, role_id, scope, expires_at)
    SELECT u.id, r.id, slow.scope(), slow.expiry() FROM usher.users u, usher.roles r, generate_series(1, 2) WHERE random() < 0.15 ON CONFLICT DO NOTHING;
    INSERT INTO usher.user_permissions (user_id, permission, effect, scope, expires_at)
    SELECT u.id, p, slow.one_of(ARRAY['allow', 'allow', 'deny']), slow.scope(), slow.expiry()
    FROM usher.users u, unnest(names) AS p WHERE random() < 0.08 ON CONFLICT DO NOTHING;
    INSERT INTO usher.role_management (actor_role_id, target_role_id)
    SELECT a.id, CASE WHEN random() < 0.2 THEN NULL ELSE t.id END FROM usher.roles a, usher.roles t WHERE random() < 0.2 ON CONFLICT DO NOTHING;
    INSERT INTO usher.policy_rules (ptype, v0, v1, v2, v3, is_active)
    SELECT 'p', s, slow.one_of(ARRAY['a', 'b', '*']), slow.one_of(ARRAY['x', 'y', '*']), slow.one_of(ARRAY[NULL, 'allow', 'deny']), random() < 0.8
    FROM (SELECT u.id::text FROM usher.users u UNION ALL SELECT r.name FROM usher.roles r UNION ALL SELECT 'group' || n FROM generate_series(1, 3) AS n) AS subject (s)
    WHERE random() < 0.1 ON CONFLICT DO NOTHING;
    INSERT INTO usher.policy_rules (ptype, v0, v1, v2, is_active)
    SELECT 'g', s, slow.one_of(ARRAY['group1', 'group2', 'group3']), slow.scope(), random() < 0.8
    FROM (SELECT u.id::text FROM usher.users u UNION ALL SELECT r.name FROM usher.roles r UNION ALL SELECT 'group' || n FROM generate_series(1, 3) AS n) AS subject (s)
    WHERE random() < 0.2 ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION slow.compare(OUT comparisons bigint, OUT allowed bigint, OUT differences text) LANGUAGE plpgsql AS $$
BEGIN
    WITH question AS (
        SELECT u.id, u.email, p, s FROM usher.users u, unnest(ARRAY['a:x', 'a:y', 'b:x', 'b:z', 'c:x', 'a:*', '*:*']) AS p,
            unnest(ARRAY[NULL, 'north', 'south', '0190b1c2-0000-7000-8000-00000000000a']) AS s
    ), answer AS (
        SELECT q.*, slow.may(q.id, split_part(p, ':', 1), split_part(p, ':', 2), s) AS truth, usher.user_has_permission(q.id, p, s) AS fast,
               (usher._decide(q.id, p, s)).allowed AS decided,
               (SELECT e.effect = 'allow' FROM usher.explain_access(q.id, p, s) e WHERE e.step = 'result') AS explained
        FROM question q
    ), role_answer AS (
        SELECT u.email, r.name, s, slow.holds(u.id, r.name, s) AS truth, usher.user_has_role(u.id, r.name, s) AS fast
        FROM usher.users u, usher.roles r, unnest(ARRAY[NULL, 'north', 'south']) AS s
    ), management_answer AS (
        SELECT a.email AS actor, t.email AS target, slow.manages(t.id, a.id) AS truth, usher.can_manage(t.id, a.id) AS fast
        FROM usher.users a, usher.users t
    )
    SELECT (SELECT count(*) FROM answer) + (SELECT count(*) FROM role_answer) + (SELECT count(*) FROM management_answer),
           (SELECT count(*) FROM answer WHERE truth),
           concat_ws(E'\n', (SELECT string_agg(a::text, E'\n') FROM answer a WHERE truth IS DISTINCT FROM fast OR truth IS DISTINCT FROM decided OR truth IS DISTINCT FROM explained),
                     (SELECT string_agg(a::text, E'\n') FROM role_answer a WHERE truth IS DISTINCT FROM fast),
                     (SELECT string_agg(a::text, E'\n') FROM management_answer a WHERE truth IS DISTINCT FROM fast))
    INTO comparisons, allowed, differences;
END $$;
SQL

# One backend for all worlds, each rolled back: what it remembers of one must not leak into the next.
my $script = join '', "SELECT setseed(0.$seed) \\g /dev/null\n",
    map { "BEGIN;\nSELECT slow.make_world() \\g /dev/null\nSELECT $_, comparisons, allowed, differences FROM slow.compare();\nROLLBACK;\n" } 1 .. $worlds;
my ($comparisons, $allowed, $lines, $different) = (0, 0, 0, '');
my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 1, timeout => 3600);
is($status, 0, 'the worlds were made') or diag($err);
for my $line (split /\n/, $out)
{
    if (my ($world, $count, $yes, $rest) = $line =~ /^(\d+)\|(\d+)\|(\d+)\|(.*)$/)
    {
        $lines++;
        $comparisons += $count;
        $allowed += $yes;
        $different .= "world $world: $rest\n" if $rest ne '';
    }
    else { $different .= "    $line\n" }
}
is($lines, $worlds, "$worlds worlds");
is($different, '', "no difference in $comparisons comparisons") or diag("seed $seed");
cmp_ok($allowed, '>', $comparisons / 50, "not everything is refused: $allowed allowed");
cmp_ok($allowed, '<', $comparisons / 2, 'nor allowed');

$node->stop;
done_testing();
