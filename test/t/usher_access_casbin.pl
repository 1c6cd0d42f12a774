# The same models, policies and requests through npm casbin and through usher.enforce(): all answers must be the same. npm casbin reads
# policies from a file; so does usher, or it gets them as rows. The worlds are random; USHER_SEED repeats a run, USHER_LONG makes it
# thorough.
use strict;
use warnings;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{USHER_SEED} // int(rand(1_000_000));
my $worlds = $ENV{USHER_LONG} ? 200 : 8;
note("seed $seed: USHER_SEED=$seed repeats this run");

$ENV{NODE_PATH} = $ENV{USHER_NODE};
my ($lines, $error) = ('', '');
ok(IPC::Run::run([ 'node', "$ENV{USHER_SOURCE}/test/node/casbin.js", $seed, $worlds ], '<', \undef, '>', \$lines, '2>', \$error), 'npm casbin answers') or diag($error);

my $node = PostgreSQL::Test::Cluster->new('access_casbin');
$node->init;
$node->start;
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE TABLE worlds (n integer PRIMARY KEY, world jsonb NOT NULL);
CREATE FUNCTION compare() RETURNS TABLE (name text, allowed bigint, refused bigint, difference text) LANGUAGE plpgsql AS $$
DECLARE
    w jsonb;
    by_rows boolean;
    asked jsonb;
    answer text;
BEGIN
    FOR w, by_rows IN SELECT world, n % 2 = 0 FROM worlds ORDER BY n LOOP
        DELETE FROM usher.policy_rules;
        IF by_rows THEN -- as from the table of another adapter
            INSERT INTO usher.policy_rules (ptype, v0, v1, v2, v3, v4, v5)
            SELECT r ->> 0, r ->> 1, r ->> 2, r ->> 3, r ->> 4, r ->> 5, r ->> 6 FROM jsonb_array_elements(w -> 'rows') WITH ORDINALITY AS r (r, n) ORDER BY r.n;
        ELSIF usher.load_policies(w ->> 'file') <> jsonb_array_length(w -> 'rows') THEN
            RAISE EXCEPTION 'not all rules of % were loaded', w ->> 'file';
        END IF;
        name := w ->> 'name'; allowed := 0; refused := 0; difference := NULL;
        FOR asked IN SELECT jsonb_array_elements(w -> 'requests') LOOP
            BEGIN
                answer := usher.enforce(w ->> 'definition', ARRAY(SELECT jsonb_array_elements_text(asked -> 'request')), w ->> 'context');
            EXCEPTION WHEN OTHERS THEN
                answer := SQLERRM;
            END;
            IF (asked -> 'allowed')::boolean THEN allowed := allowed + 1; ELSE refused := refused + 1; END IF;
            IF answer IS DISTINCT FROM asked ->> 'allowed' THEN
                difference := format('%s: casbin says %s, usher %s', asked -> 'request', asked -> 'allowed', answer);
            END IF;
        END LOOP;
        IF difference IS NOT NULL THEN
            difference := difference || E'\n' || (w ->> 'definition') || E'\n' || jsonb_pretty(w -> 'rows');
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
SQL

my $n = 0;
$node->safe_psql('postgres', join ";\n", map { "INSERT INTO worlds VALUES (" . ++$n . ", \$world\$$_\$world\$)" } split /\n/, $lines);
my $results = decode_json($node->safe_psql('postgres', q{SELECT json_agg(json_build_array(name, allowed, refused, differences)) FROM (
    SELECT name, sum(allowed) AS allowed, sum(refused) AS refused, array_remove(array_agg(difference), NULL) AS differences FROM compare() GROUP BY name ORDER BY name) c}));
my $requests = 0;
for my $model (@$results)
{
	my ($name, $allowed, $refused, $differences) = @$model;
	$requests += $allowed + $refused;
	is(scalar @$differences, 0, "$name: $allowed allowed, $refused refused, the same answers") or diag("seed $seed\n$differences->[0]");
	cmp_ok($allowed, '>', 0, "$name: something is allowed") if $worlds >= 8;
	cmp_ok($refused, '>', 0, "$name: something is refused");
}
is(scalar @$results, 31, 'all models');
cmp_ok($requests, '>=', 10_000, "$requests requests");

$node->stop;
done_testing();
