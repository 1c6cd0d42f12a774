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
                  'wash.appointments', 'wash.bookings', 'wash.booking_reminders', 'wash.booking_discounts', 'wash.messages', 'wash.message_suppressions', 'wash.webhooks', 'wash.webhook_keys', 'wash.http_requests', 'wash.customers', 'wash.location_exceptions', 'wash.location_hours', 'wash.location_services',
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
    # soft_delete() knows its columns by fixed names, or those of a status of ours, and says so when one is not there
    'names of columns in the arguments of triggers follow' =>
        q{SELECT function_oid::regprocedure FROM function WHERE prorettype = 'trigger'::regtype AND proname NOT LIKE '\_%'
              AND NOT usher._names_columns(function_oid::regproc) AND proname NOT IN ('soft_delete', 'announce_soft_delete')},
    'every column that may say something about a person is answered for by its extension' =>
        q{SELECT table_name || '.' || column_name || ' of ' || extension FROM usher.list_unanswered_columns()},
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
    'usher.row_history' => 'refuses what is not audited, and masks: regress all_audit_questions asks it about every table',
    'usher.row_as_of' => 'refuses what is not audited, and masks: regress all_audit_questions asks it about every table',
    'usher._check_attachment' => 'reads the catalog', 'usher._is_being_installed' => 'reads the catalog',
    'usher.search_audit' => 'a condition for each argument, on the audit log',
    'wash.list_bookings' => 'a condition for each argument, on bookings',
    'wash.list_appointments' => 'a condition for each argument, on appointments',
    'wash.list_payments' => 'a condition for each argument, on payments',
    'wash.list_orders' => 'a condition for each argument, on orders',
    'usher._retire_audit_partitions' => 'DDL on partitions of the audit log; the archive function runs as its owner',
    'usher.finish_load' => 'enables triggers as the extension has made them, on the tables of extensions only',
    'usher._keep_truncation' => 'a trigger, on the tables of extensions only',
    'usher._grant_new_members' => 'an event trigger: grants what an extension has new to roles that have a level',
    'usher._personal_columns' => 'compares with a table of usher',
    'usher.wrap_secrets' => 'columns of tables of usher, by name',
    'usher.slow_statements' => 'the view of pg_stat_statements, found by its extension',
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

# --- Deactivation: the two tables of docs/engine.md, against the catalog and by trying ---------------------------------------------------

my $page = slurp_file("$source/docs/engine.md");
my ($section) = $page =~ /^## Deactivation\n(.*?)^## /ms or die 'docs/engine.md has no section "Deactivation"';
my ($followed, $others) = split /^\| Tables \| Why/m, $section;
sub first_cells { return sort map { my $cell = $_; $cell =~ /`(?:usher\.)?(\w+)`/g } $_[0] =~ /^\| (`[^|]*) \|/mg }
my @followed = first_cells($followed);
my @others = first_cells($others);
my $has_such_column = q{
    EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = relation_oid AND a.attnum > 0 AND a.attname ~
        '^(is_)?(active|enabled|disabled|deleted|archived|released|retired|removed|revoked|suspended|closed|status)$|^(activated|enabled|disabled|deleted|deactivated|archived|released|retired|removed|revoked|suspended|withdrawn|ended|closed)_at$|^valid_until$')};
is($node->safe_psql('postgres', "$members SELECT string_agg(relname::text, ' ' ORDER BY relname::text COLLATE \"C\") FROM relation WHERE relkind IN ('r', 'p') AND relname <> 'status_history' AND $has_such_column"),
    join(' ', sort @followed, @others), 'every table with something that switches off or ends stands in docs/engine.md');

my %needs = (
    'a column deleted_at' => q{EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = relation_oid AND a.attname = 'deleted_at' AND a.atttypid = 'timestamptz'::regtype AND NOT a.attnotnull)},
    'a CHECK that keeps deleted_at and the state together' => q{EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = relation_oid AND c.contype = 'c' AND c.convalidated AND pg_get_constraintdef(c.oid) ~ '\mdeleted_at IS (NOT )?NULL\M')},
    'a trigger that sets it' => q{EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = relation_oid AND t.tgfoid IN ('usher.soft_delete()'::regprocedure, 'usher._stamp_user()'::regprocedure))},
    'a view active_<table> with the rights of its reader' => q{EXISTS (SELECT FROM pg_class AS v JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = v.oid AND d.deptype = 'e' AND d.refobjid = relation.extension
        WHERE v.relname = 'active_' || relation.relname AND v.relnamespace = relation.relnamespace AND v.relkind = 'v' AND 'security_invoker=true' = ANY (v.reloptions))},
    'audit, which knows by whom' => q{EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = relation_oid AND t.tgfoid = 'usher.audit_change()'::regprocedure)});
my $followed_names = join ', ', map { "'$_'" } @followed;
for my $what (sort keys %needs)
{
    is($node->safe_psql('postgres', "$members SELECT relation_oid::regclass FROM relation WHERE relkind = 'r' AND relname IN ($followed_names) AND NOT $needs{$what}"), '', "what is deactivated has $what");
}
# whoever may read a table may read its view; of users, what every level may
is($node->safe_psql('postgres', "$members SELECT relation_oid::regclass || ' ' || l.level FROM relation CROSS JOIN unnest('{application,gateway,readonly,auditor,admin}'::text[]) AS l (level)
        WHERE relkind = 'r' AND relname IN ($followed_names)
            AND EXISTS (SELECT FROM usher.extension_access AS x WHERE x.kind = 'table' AND l.level = ANY (x.levels) AND x.names ~ ('\\m' || relname || '\\M'))
            AND NOT EXISTS (SELECT FROM usher.extension_access AS x WHERE x.kind = 'table' AND l.level = ANY (x.levels) AND x.names ~ ('\\mactive_' || relname || '\\M'))"),
    '', 'and the view is read by whoever reads the table');

# A row of each, deactivated and restored. Those with a status are changed by a statement of their own.
my %row = (
    'usher.roles' => q{INSERT INTO usher.roles (name) VALUES ('tried')},
    'usher.policy_rules' => q{INSERT INTO usher.policy_rules (ptype, v0) VALUES ('p', 'tried')},
    'usher.token_issuers' => q{INSERT INTO usher.token_issuers (issuer, provider, audiences, algorithms, jwks) VALUES ('https://tried.example', 'tried', '{a}', '{ES256}', '{"keys": []}')},
    'wash.services' => q{INSERT INTO wash.services (name, duration, price_minor, currency) VALUES ('Tried', '1 hour', 1, 'EUR')},
    'wash.locations' => q{INSERT INTO wash.locations (name, address, city, state, zip_code, time_zone) VALUES ('Tried', 'A', 'C', 'S', '1', 'UTC')},
    'wash.location_staff' => q{WITH place AS (INSERT INTO wash.locations (name, address, city, state, zip_code, time_zone) VALUES ('Of staff', 'A', 'C', 'S', '1', 'UTC') RETURNING id)
        INSERT INTO wash.location_staff (location_id, staff_id, role, bookable) SELECT id, usher.uuid_v7(), 'washer', true FROM place},
    'wash.customers' => q{INSERT INTO wash.customers (name) VALUES ('Tried')},
    'wash.payment_methods' => q{INSERT INTO wash.payment_methods (customer_id, processor, token) VALUES (usher.uuid_v7(), 'stripe', 'tok_tried')},
    'wash.loyalty_tiers' => q{INSERT INTO wash.loyalty_tiers (code, rank, threshold) VALUES ('TRIED', 1, 1)},
    'wash.referral_programs' => q{INSERT INTO wash.referral_programs (code, referrer_points, referee_points) VALUES ('tried', 1, 1)},
    'wash.offer_vouchers' => q{WITH offer AS (INSERT INTO wash.loyalty_offers (title, kind, percent) VALUES ('Tried', 'percent', 5) RETURNING id)
        INSERT INTO wash.offer_vouchers (offer_id, code_hash) SELECT id, '\x01' FROM offer},
    'wash.products' => q{INSERT INTO wash.products (sku, name) VALUES ('TRIED', 'Tried'); UPDATE wash.products SET status = 'active'},
    'usher.users' => q{INSERT INTO usher.users (email, status) VALUES ('tried@example.com', 'active')});
my %by_status = (
    'wash.products' => [ q{UPDATE wash.products SET status = 'archived'}, q{UPDATE wash.products SET status = 'active'} ],
    'usher.users' => [ q{UPDATE usher.users SET status = 'deleted'}, q{UPDATE usher.users SET status = 'active'} ]);
is(join(' ', sort keys %row), $node->safe_psql('postgres', "$members SELECT string_agg(relation_oid::regclass::text, ' ' ORDER BY relation_oid::regclass::text COLLATE \"C\") FROM relation WHERE relkind = 'r' AND relname IN ($followed_names)"),
    'a row of every such table is tried');
for my $table (sort keys %row)
{
    (my $view = $table) =~ s/\./.active_/;
    my $has_status = exists $by_status{$table};
    my $key = $node->safe_psql('postgres', "SELECT usher._primary_key('$table')::text");
    $key =~ tr/{}//d;
    $node->safe_psql('postgres', $row{$table});
    my $seen = sub {
        return $node->safe_psql('postgres', "SELECT is_deleted, in_view FROM (SELECT t.deleted_at IS NOT NULL AS is_deleted, EXISTS (SELECT FROM $view AS v WHERE v.$key = t.$key) AS in_view FROM $table AS t ORDER BY t.$key DESC LIMIT 1) AS s");
    };
    my $do = sub { # 0: deactivate, 1: restore
        return $node->safe_psql('postgres', $by_status{$table}[$_[0]] . ' RETURNING true') if $has_status;
        return $node->safe_psql('postgres', sprintf "SELECT usher.%s('$table', to_jsonb((SELECT t.$key FROM $table AS t ORDER BY t.$key DESC LIMIT 1)))", $_[0] ? 'restore_row' : 'soft_delete_row');
    };
    my @story = ($seen->(), $do->(0), $seen->(), $do->(1), $seen->());
    is_deeply(\@story, [ 'f|t', 't', 't|f', 't', 'f|t' ], "$table: in the view, deactivated, out of it with a time, restored, and in it without") or diag(join ' ', @story);
    is($node->safe_psql('postgres', "SELECT count(*) FROM usher.audit_logs WHERE resource_type = '$table' AND action = 'update' AND new_values ? 'deleted_at' AND actor_name = session_user"), 2, "$table: both are in the audit log, with who it was");
    next if $has_status;
    my $prefix = $node->safe_psql('postgres', "SELECT substring(pg_get_triggerdef(t.oid) FROM 'announce_soft_delete\\(''(.*)''\\)') FROM pg_trigger AS t WHERE t.tgrelid = '$table'::regclass AND t.tgfoid = 'usher.announce_soft_delete()'::regprocedure");
    is($node->safe_psql('postgres', "SELECT string_agg(e.event, ' ' ORDER BY e.created_at, e.id), bool_and(v.event IS NOT NULL) FROM usher.events AS e LEFT JOIN usher.extension_events AS v ON v.event = e.event WHERE e.event IN ('$prefix.deactivated', '$prefix.restored')"),
        $prefix eq '' ? '|' : "$prefix.deactivated $prefix.restored|t", "$table: " . ($prefix eq '' ? 'without events' : 'and published, under declared names'));
    $do->(0);
    is($node->safe_psql('postgres', "SELECT usher.purge_deleted('$table', '1 day'), usher.purge_deleted('$table', '0')"), '0|1', "$table: removed once it is old enough");
}

$node->stop;
done_testing();
