# What must hold for every object of the extensions, asked of the catalog.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my $node = PostgreSQL::Test::Cluster->new('catalog');
$node->init;
$node->start;
$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', "$source/tools/database.sql" ],
    'all extensions are created');

# Each query lists what breaks a rule.
my $members = q{
    WITH member AS (
        SELECT e.oid AS extension, e.extname, d.classid, d.objid
        FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        WHERE e.extname LIKE 'usher%'
    ), function AS (
        SELECT m.extname, p.*, p.oid AS function_oid, l.lanname
        FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid JOIN pg_language l ON l.oid = p.prolang
    ), relation AS (
        SELECT m.extname, m.extension, c.*, c.oid AS relation_oid
        FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    )};
my %rules = (
    'every public function has a COMMENT' =>
        q{SELECT function_oid::regprocedure FROM function WHERE proname NOT LIKE '\_%' AND coalesce(obj_description(function_oid, 'pg_proc'), '') = ''},
    'every public table has a COMMENT' =>
        q{SELECT relation_oid::regclass FROM relation WHERE relkind IN ('r', 'p', 'v') AND relname NOT LIKE '\_%'
              AND coalesce(obj_description(relation_oid, 'pg_class'), '') = ''},
    'PUBLIC may execute nothing' =>
        q{SELECT function_oid::regprocedure FROM function
          WHERE EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) a WHERE a.grantee = 0)},
    'PUBLIC may read and write nothing' =>
        q{SELECT relation_oid::regclass FROM relation WHERE relkind IN ('r', 'p', 'v')
              AND EXISTS (SELECT FROM aclexplode(relacl) a WHERE a.grantee = 0)},
    'PUBLIC may not even use the schema usher' =>
        q{SELECT nspname FROM pg_namespace WHERE nspname = 'usher'
              AND EXISTS (SELECT FROM aclexplode(nspacl) a WHERE a.grantee = 0)},
    'SECURITY DEFINER functions pin their search_path' =>
        q{SELECT function_oid::regprocedure FROM function
          WHERE prosecdef AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)},
    'C symbols are usher_<feature>_<verb>, or usher_<name>' =>
        q{SELECT function_oid::regprocedure FROM function WHERE lanname = 'c' AND prosrc !~ '^usher_[a-z0-9_]+$'},
    'no function claims to be LEAKPROOF' =>
        q{SELECT function_oid::regprocedure FROM function WHERE proleakproof},
    'no sequence, no identity column' =>
        q{SELECT relation_oid::regclass::text FROM relation WHERE relkind = 'S'
          UNION ALL SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN relation ON relation_oid = attrelid WHERE attidentity <> ''},
    'timestamps have a time zone, documents are jsonb' =>
        q{SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN relation ON relation_oid = attrelid
          WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped AND atttypid IN ('timestamp'::regtype, 'json'::regtype)},
    'no foreign key crosses extensions' =>
        q{SELECT c.conname FROM pg_constraint c
          JOIN relation a ON a.relation_oid = c.conrelid LEFT JOIN relation b ON b.relation_oid = c.confrelid
          WHERE c.contype = 'f' AND a.extension IS DISTINCT FROM b.extension},
    'every foreign key has an index on its columns' =>
        q{SELECT c.conrelid::regclass || '.' || c.conname FROM pg_constraint c JOIN relation a ON a.relation_oid = c.conrelid
          WHERE c.contype = 'f' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid
              AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)},
    # Not dumped: what triggers make anew from tables that are, and the empty tables that carry cache invalidation.
    'every table is dumped, except derived ones' =>
        q{SELECT relation_oid::regclass FROM relation
          WHERE relkind = 'r' AND relname NOT LIKE '\_%' AND relname NOT LIKE '%\_inval'
              AND relation_oid::regclass::text NOT IN ('usher.role_closure', 'usher.role_graph', 'wash.booking_claims', 'wash.resource_guards')
              AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.oid = relation.extension AND relation_oid = ANY (e.extconfig))},
    # The partitioned audit log has none: a key would cost an index on each partition's hottest path.
    'tables have a primary key' =>
        q{SELECT relation_oid::regclass FROM relation WHERE relkind IN ('r', 'p') AND relname NOT LIKE '%\_inval'
              AND relation_oid::regclass::text <> 'usher.audit_logs'
              AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation_oid AND i.indisprimary)},
);
for my $rule (sort keys %rules)
{
    is($node->safe_psql('postgres', "$members $rules{$rule}"), '', $rule);
}
# the rules above say nothing where there is nothing
cmp_ok($node->safe_psql('postgres', "$members SELECT count(*) FROM function"), '>', 10, 'and the extensions do have functions');
cmp_ok($node->safe_psql('postgres', "$members SELECT count(*) FROM relation WHERE relkind = 'r'"), '>', 5, 'and tables');

$node->stop;
done_testing();
