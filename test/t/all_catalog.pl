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
    # Hits of a limit are older than the row that is written about them.
    'every table with updated_at has a trigger that keeps it' =>
        q{SELECT relation_oid::regclass FROM relation JOIN pg_attribute AS a ON a.attrelid = relation_oid AND a.attname = 'updated_at'
          WHERE relkind IN ('r', 'p') AND relation_oid <> 'usher.rate_limit_records'::regclass AND NOT EXISTS (
              SELECT FROM pg_trigger AS t WHERE t.tgrelid = relation_oid AND t.tgtype & 19 = 19
                  AND t.tgfoid IN ('usher.set_updated_at()'::regprocedure, 'usher._stamp_user()'::regprocedure))},
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
    # Not dumped: what says so and why, and the empty tables that carry cache invalidation.
    'every table is dumped, except derived ones' =>
        q{SELECT relation_oid::regclass FROM relation
          WHERE relkind = 'r' AND relname NOT LIKE '\_%' AND relname NOT LIKE '%\_inval'
              AND obj_description(relation_oid, 'pg_class') NOT LIKE '%Not dumped: %'
              AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.oid = relation.extension AND relation_oid = ANY (e.extconfig))},
    # pg_dump -n crashes on one, because it does not know the parents of a table that it does not dump.
    'no table that is dumped is a partition' =>
        q{SELECT relation_oid::regclass FROM relation JOIN pg_extension e ON e.oid = relation.extension AND relation_oid = ANY (e.extconfig) WHERE relispartition},
    'tables with foreign keys can be loaded in any order' =>
        q{SELECT relation_oid::regclass FROM relation JOIN pg_extension e ON e.oid = relation.extension AND relation_oid = ANY (e.extconfig)
          WHERE EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = relation_oid AND c.contype = 'f')
              AND (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = relation_oid AND t.tgfoid = 'usher._load_rows()'::regprocedure AND t.tgenabled = 'A') <> 2},
    # The third kind is data: no script has a reason to write it. A new table needs ship_rows(), the trigger refuse_script, or a place here.
    'rows of scripts are shipped or refused' =>
        q{SELECT relation_oid::regclass FROM relation JOIN pg_extension e ON e.oid = relation.extension AND relation_oid = ANY (e.extconfig)
          WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = relation_oid AND t.tgfoid IN ('usher._keep_decision()'::regprocedure, 'usher._refuse_script()'::regprocedure))
              AND relation_oid::regclass::text NOT IN (
                  'usher._audit_dump', 'usher.audit_seals', 'usher.decisions', 'usher.deliveries', 'usher.events', 'usher.status_history',
                  'usher.idempotent_answers', 'usher.idempotent_calls', 'usher.rate_limit_records', 'usher.api_key_uses', 'usher.consents', 'usher.credentials',
                  'usher.identities', 'usher.login_attempts', 'usher.login_challenges', 'usher.network_failures', 'usher.one_time_codes', 'usher.one_time_tokens',
                  'usher.password_blocklist', 'usher.password_history', 'usher.recovery_codes', 'usher.revoked_tokens', 'usher.second_factors', 'usher.sessions',
                  'wash.appointments', 'wash.bookings', 'wash.booking_reminders', 'wash.messages', 'wash.message_suppressions', 'wash.webhooks', 'wash.webhook_keys', 'wash.http_requests', 'wash.customers', 'wash.location_exceptions', 'wash.location_hours', 'wash.location_services',
                  'wash.location_staff', 'wash.locations', 'wash.services', 'wash.staff_hours', 'wash.staff_skills', 'wash.staff_time_off',
                  'wash.payment_transactions', 'wash.payment_attempts', 'wash.payment_refunds', 'wash.payment_disputes', 'wash.payment_methods',
                  'wash.payment_webhook_secrets', 'wash.payment_webhook_events', 'wash.ledger_journals', 'wash.ledger_entries', 'wash.ledger_totals', 'wash.ledger_unsummed_journals',
                  'wash.products', 'wash.product_prices', 'wash.tax_rates', 'wash.stock_levels', 'wash.stock_reservations', 'wash.inventory_openings',
                  'wash.stock_counts', 'wash.stock_count_lines', 'wash._inventory_dump', 'wash.orders', 'wash.order_lines', 'wash.order_discounts', 'wash.order_events', 'wash.service_materials',
                  'wash.points_accounts', 'wash.points_sources', 'wash.points_deductions', 'wash.points_entries', 'wash.points_lots', 'wash.points_lot_uses',
                  'wash.earning_rules', 'wash.loyalty_tiers', 'wash.loyalty_segments', 'wash.loyalty_offers', 'wash.offer_vouchers', 'wash.offer_uses',
                  'wash.loyalty_rewards', 'wash.reward_redemptions', 'wash.referral_programs', 'wash.referral_codes', 'wash.referral_signals', 'wash.referrals',
                  'wash.loyalty_ads', 'wash.loyalty_ad_counts')},
    'shipped rows stay shipped while triggers rest' =>
        q{SELECT t.tgrelid::regclass FROM pg_trigger t WHERE t.tgfoid = 'usher._keep_decision()'::regprocedure AND t.tgenabled <> 'A'},
    # soft_delete() knows its columns by fixed names, and says so when one is not there
    'names of columns in the arguments of triggers follow' =>
        q{SELECT function_oid::regprocedure FROM function WHERE prorettype = 'trigger'::regtype AND proname NOT LIKE '\_%'
              AND NOT usher._names_columns(function_oid::regproc) AND proname <> 'soft_delete'},
    'every column that may say something about a person is answered for by its extension' =>
        q{SELECT table_name || '.' || column_name || ' of ' || registrant FROM usher.list_unanswered_columns()},
    'every extension is registered, and nothing of a dropped one is' =>
        q{SELECT extname FROM pg_extension WHERE extname LIKE 'usher%' AND extname NOT IN (SELECT name FROM usher.extensions)
          UNION ALL SELECT name FROM usher.extensions WHERE name NOT IN (SELECT extname FROM pg_extension)},
    'every function that core is to call is there' =>
        q{SELECT h.registrant || ' ' || k.hook FROM usher._hooks() k, usher._hook_functions(k.hook) h WHERE h.function IS NULL},
    'events of machines are registered by who publishes them' =>
        q{SELECT DISTINCT o.prefix || '.' || (t ->> 'event')
          FROM usher.machines m
          JOIN (SELECT substring(d FROM 'check_transition\(''(\w+)''') AS machine, substring(d FROM '"event_prefix": *"(\w+)"') AS prefix
                FROM pg_trigger t, pg_get_triggerdef(t.oid) d WHERE t.tgfoid = 'usher.check_transition()'::regprocedure) o ON o.machine = m.name
          CROSS JOIN jsonb_array_elements(m.definition -> 'transitions') t
          WHERE t ? 'event' AND o.prefix || '.' || (t ->> 'event') NOT IN (SELECT event FROM usher.extension_events)},
    # else it never acts: payments and orders come with another extension, or with an application
    'extensions follow events that somebody has declared' =>
        q{SELECT s.extension || ' ' || s.event FROM usher.subscriptions s WHERE s.extension LIKE 'usher%' AND s.event <> 'payment.completed'
              AND s.event NOT IN (SELECT v.event FROM usher.extension_events v)},
    # The partitioned logs have none: a key would cost an index on each partition's hottest path, or is one of each partition's own.
    'tables have a primary key' =>
        q{SELECT relation_oid::regclass FROM relation WHERE relkind IN ('r', 'p') AND relname NOT LIKE '%\_inval'
              AND relation_oid::regclass::text NOT IN ('usher.audit_logs', 'wash.inventory_logs')
              AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation_oid AND i.indisprimary)},
);
for my $rule (sort keys %rules)
{
    is($node->safe_psql('postgres', "$members $rules{$rule}"), '', $rule);
}

# With the rights of the owner of the extension, on a table, type or function of somebody else: that is how the owner's rights
# are lost. Each of these has been looked at; docs/architecture.md, "Code of others", has the table of places.
my %looked_at = (
    'usher.subscribe' => 'reads the catalog', 'usher.add_route' => 'reads the catalog',
    'usher.row_history' => 'reads through usher._audit_form(), as the owner of the table',
    'usher.row_as_of' => 'reads through usher._audit_form(), as the owner of the table',
    'usher._check_attachment' => 'reads the catalog',
    'usher.search_audit' => 'a condition for each argument, on the audit log',
    'wash.list_bookings' => 'a condition for each argument, on bookings',
    'wash.list_appointments' => 'a condition for each argument, on appointments',
    'wash.list_payments' => 'a condition for each argument, on payments',
    'wash.list_orders' => 'a condition for each argument, on orders',
    'usher._retire_audit_partitions' => 'DDL on partitions of the audit log; the archive function runs as its owner',
    'usher._keep_truncation' => 'a trigger, on the tables of extensions only',
    'usher._personal_columns' => 'compares with a table of usher',
    'usher.wrap_secrets' => 'columns of tables of usher, by name',
);
my $names = join ', ', map { "'$_'" } sort keys %looked_at;
my $reaches_out = q{
    prosecdef AND (
        lanname = 'plpgsql' AND prosrc ~* '\mexecute\M'
        OR EXISTS (SELECT FROM unnest(proargtypes) AS a (type) JOIN pg_type AS t ON t.oid = a.type
                   WHERE a.type IN ('regclass'::regtype, 'regprocedure'::regtype, 'regproc'::regtype, 'regtype'::regtype, 'oid'::regtype)
                       OR t.typtype = 'p'))};
is($node->safe_psql('postgres', "$members SELECT DISTINCT function_oid::regproc FROM function WHERE $reaches_out AND function_oid::regproc::text NOT IN ($names)"),
    '', 'no other function reaches, as the owner of the extension, for what belongs to others');
is($node->safe_psql('postgres', "$members SELECT count(DISTINCT proname) FROM function WHERE $reaches_out"), scalar(keys %looked_at),
    'and those that do are still there');
# the rules above say nothing where there is nothing
cmp_ok($node->safe_psql('postgres', "$members SELECT count(*) FROM function"), '>', 10, 'and the extensions do have functions');
cmp_ok($node->safe_psql('postgres', "$members SELECT count(*) FROM relation WHERE relkind = 'r'"), '>', 5, 'and tables');

$node->stop;
done_testing();
