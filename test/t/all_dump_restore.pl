# pg_dump | psql into a new database: no row is lost or rewritten, and everything keeps working.
use strict;
use warnings;
use CarriedOut;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my ($block, $finish) = document_blocks('docs/dump.md');
my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->start;

sub run_file
{
    my ($database, $file, $name) = @_;
    my ($out, $error) = ('', '');
    my $good = IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ], '>', \$out, '2>', \$error);
    ok($good, $name) or diag($error);
    return $out;
}

# Every table of the extensions with what identifies its contents, of the rows that a dump is to carry.
sub contents
{
    my ($database) = @_;
    my $queries = $node->safe_psql($database, q{
        SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), '''')) FROM %s t %s',
                      c.oid::regclass::text, c.oid::regclass, e.extcondition[array_position(e.extconfig, c.oid)])
        FROM pg_extension e, pg_class c
        WHERE e.extname LIKE 'usher%' AND c.oid = ANY (e.extconfig) AND c.relkind IN ('r', 'p')
            AND c.relname NOT IN ('_audit_dump', '_inventory_dump') -- whose rows are those of the logs, see below
        ORDER BY c.oid::regclass::text COLLATE "C"});
    return $node->safe_psql($database, join ";\n", split /\n/, $queries);
}

# Every privilege on the extensions' objects.
my $privileges = q{
    SELECT line FROM (
        SELECT format('%s %s %s', p.oid::regprocedure, a.grantee::regrole, a.privilege_type)
        FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace::regnamespace::text IN ('usher', 'wash')
        UNION ALL
        SELECT format('%s %s %s', c.oid::regclass, a.grantee::regrole, a.privilege_type)
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace::regnamespace::text IN ('usher', 'wash')
    ) AS lines (line) ORDER BY line COLLATE "C"};

$node->safe_psql('postgres', 'CREATE DATABASE before');
run_file('before', "$source/tools/database.sql", 'the extensions are created');
run_file('before', "$source/examples/carwash/install.sql", 'the demo is loaded');
run_file('before', "$source/examples/carwash/story.sql", 'and its story has happened');

# What rows that no dump carries are made from: bookings that are still to come, one with an appointment, and roles with parents.
$node->safe_psql('before', q{
    SELECT count(wash.set_location_services('01900000-0000-7000-8000-000000000001',
        ARRAY['01900000-0000-7000-8000-000000000011', '01900000-0000-7000-8000-000000000012', '01900000-0000-7000-8000-000000000013', (wash.create_service('Visit', '30 minutes', 1000, 'USD', by_appointment => true)).id]::uuid[]));
    SELECT wash.create_booking((SELECT id FROM wash.customers LIMIT 1), s.id, l.id,
        (SELECT f.start_at FROM wash.find_slots(l.id, s.id, now() + s.days, now() + interval '9 days') f LIMIT 1))
    FROM wash.locations l, LATERAL (SELECT id, CASE name WHEN 'Visit' THEN interval '4 days' ELSE '2 days' END AS days FROM wash.services WHERE name IN ('Visit', 'Exterior wash')) s
    WHERE l.id = '01900000-0000-7000-8000-000000000001';
    SELECT usher.create_role('elder'), usher.create_role('younger'), usher.add_role_parent('younger', 'elder')});

# What is deactivated keeps the time at which it was.
$node->safe_psql('before', q{
    SELECT wash.set_service_active((wash.create_service('Given up', '1 hour', 1, 'USD')).id, false);
    SELECT wash.set_customer_active((wash.upsert_customer(name => 'Moved away')).id, false);
    SELECT usher.create_role('given_up'), usher.update_role('given_up', is_active => false);
    SELECT wash.set_product_status((wash.create_product('OLD-1', 'Old', status => 'active')).product_id, 'archived')});

# An application's own table, with what the extension puts on it.
$node->safe_psql('before', q{
    CREATE TABLE public.notes (id integer PRIMARY KEY, body text, updated_at timestamptz NOT NULL DEFAULT '2001-01-01');
    INSERT INTO public.notes VALUES (1, 'one');
    SELECT usher.enable_updated_at('public.notes');
    SELECT usher.enable_audit('public.notes');
    UPDATE public.notes SET body = 'two'});

# And an application that has registered: a row in every table of registrations.
$node->safe_psql('before', q{
    CREATE FUNCTION public.export_notes(user_id uuid) RETURNS jsonb LANGUAGE sql RETURN '[]'::jsonb;
    SELECT usher.register_extension('Notes', 'notes', 'public', '{"export": "export_notes"}',
        '{upkeep,self_check,configuration,metrics,health,erase}', 'XN',
        '[{"code": "note_lost", "sqlstate": "XN001", "http_status": 410, "description": "The note is lost."}]',
        '{"notes": {"personal": ["body"]}}', '[{"kind": "table", "levels": ["auditor"], "names": "notes"}]',
        '[{"name": "notes.most", "type": "integer", "default_value": "3", "description": "Most notes."}]',
        '{"notes": {"permissions": {"note:write": "Write"}}}', '{note.written}')});
my $registered = q{SELECT to_jsonb(x) FROM usher.list_extensions() x ORDER BY name;
    SELECT registrant, names FROM usher.extension_access ORDER BY registrant, number};

# A shop with orders, in states that follow from rows
$node->safe_psql('before', q{
    SELECT wash.create_product('dump-soap', 'Soap', price_minor => 500, id => '01900000-0000-7000-8000-0000000000a1', status => 'active');
    SELECT wash.receive_stock('01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000001', 10);
    SELECT wash.place_order((wash.create_order('01900000-0000-7000-8000-000000000001', '[{"product_id": "01900000-0000-7000-8000-0000000000a1", "quantity": 3}]', '01900000-0000-7000-8000-0000000000a2',
        id => '01900000-0000-7000-8000-0000000000a3')).order_id);
    SELECT wash.fulfil_order('01900000-0000-7000-8000-0000000000a3', '[{"line_no": 1, "quantity": 1}]')});

# the audit log has its months, and a seal; the log of stock has rows in a month of its own
$node->safe_psql('before', 'SELECT pg_sleep(1.1); SELECT count(*) FROM usher.run_maintenance()');
$node->safe_psql('before', q{SET session_replication_role = replica; UPDATE wash.inventory_logs SET created_at = created_at + interval '1 month' WHERE movement = 'sale'});
my $log = q{SELECT tableoid::regclass, count(*), md5(string_agg(l::text, chr(10) ORDER BY l.id)) FROM usher.audit_logs l GROUP BY 1 ORDER BY 1::text COLLATE "C";
    SELECT seq, row_count, is_intact, chain FROM usher.verify_audit_chain();
    SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'usher.audit_logs'::regclass ORDER BY 1::text COLLATE "C";
    SELECT tableoid::regclass, count(*), md5(string_agg(l::text, chr(10) ORDER BY l.id)) FROM wash.inventory_logs l GROUP BY 1 ORDER BY 1::text COLLATE "C"};
my $before = contents('before');
my $log_before = $node->safe_psql('before', $log);
like($log_before, qr/^usher\.audit_logs_\d{4}_\d\d\|[1-9].*^1\|[1-9]\d*\|t\|/ms, 'the audit log is in months, and sealed');
like($log_before, qr/^wash\.inventory_logs_default\|2\|.*^wash\.inventory_logs_\d{4}_\d\d\|1\|/ms, '… and so is the log of stock');
my ($filled) = scalar(() = $before =~ /\|[1-9]\d*\|/g);
cmp_ok($filled, '>=', 12, 'a dump has something to lose: tables with rows');
my $notes = $node->safe_psql('before', 'SELECT * FROM public.notes');

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
for my $way (
    [ 'plain',  [ 'pg_dump', '-f', "$dump.sql" ], [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.sql" ] ],
    [ 'custom', [ 'pg_dump', '-Fc', '-f', "$dump.custom" ], [ 'pg_restore', '--exit-on-error', "$dump.custom" ] ],
    # PostgreSQL then loads the tables of extensions in any order
    [ 'jobs',   [ 'pg_dump', '-Fd', '--jobs=3', '-f', "$dump.folder" ], [ 'pg_restore', '--exit-on-error', '--jobs=4', "$dump.folder" ] ])
{
    my ($name, $save, $restore) = @$way;
    $node->safe_psql('postgres', "CREATE DATABASE $name");
    $node->command_ok([ @$save, '-d', $node->connstr('before') ], "$name: pg_dump");
    $node->command_ok([ @$restore, '-d', $node->connstr($name) ], "$name: restored without an error");
    is(contents($name), $before, "$name: every row of every table is the same");
    is($node->safe_psql($name, 'SELECT * FROM public.notes'), $notes, "$name: restoring does not touch updated_at");
    is($node->safe_psql($name, $registered), $node->safe_psql('before', $registered), "$name: extensions and applications are registered as before");
    is($node->safe_psql($name, $log), $log_before, "$name: the audit log is the same: no row more or less, in the same months, its chain intact");
    is($node->safe_psql($name, 'SELECT count(*) FROM usher.schema_drift()'), 0, "$name: and so is every object");
    is($node->safe_psql($name, $privileges), $node->safe_psql('before', $privileges), "$name: and every privilege");
    is($node->safe_psql($name, q{SELECT string_agg(rule || ' ' || violations, ', ') FROM usher.self_check() WHERE violations > 0}), '',
        "$name: usher.self_check() finds nothing");

    my $error;
    $node->psql($name, q{SET ROLE usher_gateway; SELECT usher.publish('note.written')}, stderr => \$error);
    like($error, qr/event "note.written" belongs to "notes"/, "$name: events have their publishers");

    # works: the story once more, on top of what was restored
    run_file($name, "$source/examples/carwash/story.sql", "$name: the story happens again");
    $node->safe_psql($name, q{UPDATE public.notes SET body = 'three'});
    isnt($node->safe_psql($name, 'SELECT updated_at FROM public.notes'), $node->safe_psql('before', 'SELECT updated_at FROM public.notes'),
        "$name: updated_at moves");
}

# As pg_upgradecluster does it (-m dump): definitions, then the rows with triggers switched off, which afterwards are ordinary ones. Nothing
# that follows from the rows was made. It is said, and one function makes it good.
{
    my $name = 'as pg_upgradecluster';
    $node->safe_psql('postgres', 'CREATE DATABASE upgraded');
    $node->command_ok([ 'pg_dump', '--schema-only', '-f', "$dump.definitions", '-d', $node->connstr('before') ], "$name: definitions");
    run_file('upgraded', "$dump.definitions", "$name: made");
    $node->command_ok([ 'pg_restore', '--data-only', '--disable-triggers', '--exit-on-error', '-d', $node->connstr('upgraded'), "$dump.custom" ], "$name: rows");
    my $said = q{SELECT finding, advice FROM usher.check_configuration() WHERE severity = 'critical' AND finding ~ 'triggers are not enabled|by hand|wait in'};
    like($node->safe_psql('upgraded', $said), qr/^\d+ triggers are not enabled as the extensions have made them: .*\|SELECT \* FROM usher\.finish_load\(\);[^\n]*$/, "$name: what is wrong is said once, and what to do");
    is($node->safe_psql('upgraded', 'SELECT count(*) FROM wash.booking_claims'), 0, "$name: claims were not made");
    {
        local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ($node->host, $node->port, 'upgraded');
        my $done = run_block($finish);
        like($done, qr/triggers_enabled *\| *[1-9]\d\d$/m, "$name: triggers are as they were made");
        like($done, qr/wash\._inventory_dump *\| *2$/m, "$name: rows of a log are moved");
    }
    my $derived = q{SELECT * FROM wash.booking_claims ORDER BY booking_id, resource_kind, holder_id;
        SELECT role_id, ancestor_id FROM usher.role_closure ORDER BY 1, 2;
        SELECT * FROM wash.product_facets ORDER BY 1, 2, 3;
        SELECT * FROM wash.loyalty_offer_keys ORDER BY 1, 2};
    for my $again ('', ', again')
    {
        is(contents('upgraded'), $before, "$name: every row of every table is the same$again");
        is($node->safe_psql('upgraded', $log =~ s/audit_logs l/audit_logs l WHERE event_type <> 'database.load_finished'/r), $log_before, "$name: the logs are the same$again");
        is($node->safe_psql('upgraded', $derived), $node->safe_psql('before', $derived), "$name: what is derived is there$again");
        is($node->safe_psql('upgraded', 'SELECT * FROM usher.schema_drift()'), '', "$name: every object is as installed$again");
        is($node->safe_psql('upgraded', q{SELECT string_agg(rule || ' ' || violations, ', ') FROM usher.self_check() WHERE violations > 0}), '', "$name: usher.self_check() finds nothing$again");
        is($node->safe_psql('upgraded', $said), '', "$name: and nothing is left to do$again");
        # where nothing is to be done, nothing is lost
        like($node->safe_psql('upgraded', 'SELECT step, affected FROM usher.finish_load()'), qr/^triggers_enabled\|0$/m, "$name: there is nothing to enable$again");
    }
    isnt($node->safe_psql('upgraded', $derived), '', "$name: which is something");
    my (undef, undef, $refused) = $node->psql('upgraded', q{SET ROLE usher_gateway; SELECT usher.finish_load()});
    like($refused, qr/permission denied/, "$name: not for everybody");
}

# Over what is there: everything is dropped and made anew, and the story that happened after the dump is gone.
for my $options ($ENV{USHER_LONG} ? [] : (), ['--jobs=4'])
{
    my $name = "over what is there @$options";
    $node->command_ok([ 'pg_restore', '--exit-on-error', '--clean', '--if-exists', @$options, '-d', $node->connstr('jobs'), "$dump.folder" ], "$name: restored without an error");
    is(contents('jobs'), $before, "$name: every row of every table is the same");
    is($node->safe_psql('jobs', 'SELECT count(*) FROM usher.schema_drift()'), 0, "$name: and so is every object");
    is($node->safe_psql('jobs', $privileges), $node->safe_psql('before', $privileges), "$name: and every privilege");
}

# Whatever order the tables come in: each by itself, backwards.
{
    $node->safe_psql('postgres', 'CREATE DATABASE backwards');
    $node->command_ok([ 'pg_restore', '--exit-on-error', '--section=pre-data', '-d', $node->connstr('backwards'), "$dump.custom" ], 'backwards: definitions');
    my ($list) = run_command([ 'pg_restore', '--list', "$dump.custom" ]);
    my @data = reverse grep { / TABLE DATA / } split /\n/, $list;
    cmp_ok(scalar @data, '>', 40, 'there are tables to load');
    my $number = 0;
    for my $line (@data)
    {
        PostgreSQL::Test::Utils::append_to_file("$dump.list" . ++$number, "$line\n");
        my ($out, $error) = run_command([ 'pg_restore', '--exit-on-error', '--use-list', "$dump.list$number", '-d', $node->connstr('backwards'), "$dump.custom" ]);
        is($error, '', "loaded: $line") if $error;
    }
    $node->command_ok([ 'pg_restore', '--exit-on-error', '--section=post-data', '-d', $node->connstr('backwards'), "$dump.custom" ], 'backwards: indexes and the like');
    is(contents('backwards'), $before, 'backwards: every row of every table is the same');
    is($node->safe_psql('backwards', $log), $log_before, 'backwards: the audit log is the same');
    my $closure = 'SELECT role_id, ancestor_id FROM usher.role_closure ORDER BY 1, 2';
    my $claims = 'SELECT * FROM wash.booking_claims ORDER BY booking_id, resource_kind, holder_id';
    is($node->safe_psql('backwards', $_), $node->safe_psql('before', $_), 'backwards: what is derived is there') for $closure, $claims;
    isnt($node->safe_psql('backwards', $claims), '', 'which is something');
    is($node->safe_psql('backwards', q{SELECT string_agg(rule || ' ' || violations, ', ') FROM usher.self_check() WHERE violations > 0}), '',
        'backwards: usher.self_check() finds nothing, no row without the one that it refers to either');
    # the keys are asked as ever, and a row that got past them is found
    my (undef, undef, $error) = $node->psql('backwards', q{INSERT INTO usher.consents (user_id, purpose, document_version) VALUES (usher.uuid_v7(), 'x', '1')});
    like($error, qr/violates foreign key constraint/, 'who is not loading a dump meets the foreign keys');
    $node->safe_psql('backwards', q{SET session_replication_role = replica; INSERT INTO usher.role_management (actor_role_id) VALUES (usher.uuid_v7())});
    is($node->safe_psql('backwards', q{SELECT violations FROM usher.self_check() WHERE rule = 'no row refers to one that is not there'}), 1, 'usher.self_check() finds rows that refer to nothing');
}

# By schema: the rows of the extension, the months of the audit log, and no crash.
$node->command_ok([ 'pg_dump', '-n', 'usher', '-f', "$dump.schema", '-d', $node->connstr('before') ], 'pg_dump -n usher');
like(slurp_file("$dump.schema"), qr/^COPY usher\.users .*^COPY usher\._audit_dump |^COPY usher\._audit_dump .*^COPY usher\.users /ms, 'has the rows of the extension');
$node->safe_psql('postgres', 'CREATE DATABASE by_schema');
run_file('by_schema', "$source/tools/database.sql", 'by schema: into a database that has the extensions');
$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('by_schema'), '-f', "$dump.schema" ], 'by schema: loaded');
is($node->safe_psql('by_schema', 'SELECT count(*) FROM usher.users'), $node->safe_psql('before', 'SELECT count(*) FROM usher.users'), 'by schema: with the users');

# Columns with names that others had before, and after others that are gone: the audit log, a machine and a time of change go on, and
# no secret is in clear.
sub last_audit { return $node->safe_psql($_[0], q{SELECT new_values FROM usher.audit_logs WHERE resource_type = 'public.cards' ORDER BY id DESC LIMIT 1}) }
$node->safe_psql('before', q{
    CREATE TABLE public.cards (gone integer, card uuid PRIMARY KEY DEFAULT usher.uuid_v7(), number text, code text, stage text NOT NULL DEFAULT 'draft', noticed timestamptz, words text);
    ALTER TABLE public.cards DROP COLUMN gone;
    SELECT usher.enable_audit('public.cards', exclude => '{code}', redact => '{number,words}');
    SELECT usher.define_machine('card', '{"initial": ["draft"], "transitions": [{"from": null, "to": "draft", "action": "make", "event": "made"}, {"from": "draft", "to": "sent", "action": "send", "event": "sent"}]}');
    SELECT usher.attach_machine('card', 'public.cards', 'stage', '{"id_column": "card", "event_prefix": "card", "payload_columns": ["card", "words", "stage"]}');
    SELECT usher.enable_updated_at('public.cards', 'noticed');
    SELECT usher.register_extension('Cards', 'cards', 'public', declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}',
        personal_data => '{"cards": {"personal": ["number"], "sensitive": ["code"]}}');
    CREATE ROLE keeper;
    ALTER TABLE public.cards OWNER TO keeper;
    SET ROLE keeper; -- who may not read what is kept about columns
    ALTER TABLE public.cards RENAME number TO secret;
    RESET ROLE;
    ALTER TABLE public.cards RENAME code TO secret_code;
    ALTER TABLE public.cards RENAME card TO id;
    ALTER TABLE public.cards RENAME stage TO status;
    ALTER TABLE public.cards RENAME noticed TO changed_at;
    ALTER TABLE public.cards DROP COLUMN words;
    ALTER TABLE public.cards ADD COLUMN number text});
is($node->safe_psql('before', q{SELECT table_name, column_name, kind FROM usher.personal_columns WHERE registrant = 'cards' ORDER BY 2}), "cards|secret|personal\ncards|secret_code|sensitive",
    'what an application registered about its columns goes with them');
$node->safe_psql('postgres', 'CREATE DATABASE renamed');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dump.renamed", '-d', $node->connstr('before') ], 'renamed: pg_dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '--jobs=2', '-d', $node->connstr('renamed'), "$dump.renamed" ], 'renamed: restored');
for my $name (qw(before renamed))
{
    $node->safe_psql($name, q{INSERT INTO public.cards (secret, secret_code, number) VALUES ('4711', '0815', 'open'); UPDATE public.cards SET status = 'sent', secret = '4712'});
    like(last_audit($name), qr/"secret": "\[redacted\]"/, "$name: a renamed column is redacted");
    like(last_audit($name), qr/"changed_at": "2/, "$name: the time of change is kept");
    is($node->safe_psql($name, q{SELECT count(*) FROM usher.audit_logs l WHERE resource_type = 'public.cards' AND l::text ~ '471|0815'}), 0, "$name: and no secret stands anywhere");
    is($node->safe_psql($name, q{SELECT payload - 'id' FROM usher.events WHERE event = 'card.sent'}) =~ /"status": "sent"/, 1, "$name: the machine goes on, without the column that is gone");
    is($node->safe_psql($name, q{SELECT to_status FROM usher.history('public.cards', (SELECT id FROM public.cards)) ORDER BY seq}), "draft\nsent", "$name: and so does the history");
    is($node->safe_psql($name, q{SELECT finding FROM usher.check_configuration() WHERE finding LIKE '%redacts every value%'}), '', "$name: nothing is in doubt");
    $node->safe_psql($name, q{SELECT usher.detach_machine('public.cards', 'status'); SELECT usher.disable_updated_at('public.cards', 'changed_at')});
    is($node->safe_psql($name, q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.cards'::regclass AND tgname !~ 'audit'}), 0, "$name: they are found under the new names");
}
# When nobody watched (event triggers can be switched off), a database that knows the table still knows the column; a restored one
# cannot, and keeps everything to itself.
$node->safe_psql('before', q{
    ALTER EVENT TRIGGER usher_follow_columns DISABLE;
    ALTER TABLE public.cards RENAME secret TO hidden;
    ALTER EVENT TRIGGER usher_follow_columns ENABLE;
    UPDATE public.cards SET hidden = '4713', number = 'public'});
like(last_audit('before'), qr/"hidden": "\[redacted\]".*"number": "public"/, 'unwatched: the column is known by its number');
$node->safe_psql('postgres', 'CREATE DATABASE doubtful');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dump.doubtful", '-d', $node->connstr('before') ], 'unwatched: pg_dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('doubtful'), "$dump.doubtful" ], 'unwatched: restored');
my (undef, undef, $warning) = $node->psql('doubtful', q{UPDATE public.cards SET hidden = '4714', number = 'private'});
like($warning, qr/WARNING:  audit of relation "cards" redacts every value: column "secret" of its lists does not exist/, 'in doubt: it is said');
like(last_audit('doubtful'), qr/"hidden": "\[redacted\]".*"number": "\[redacted\]"/, 'in doubt: everything is redacted');
like($node->safe_psql('doubtful', q{SELECT finding, severity FROM usher.check_configuration()}), qr/audit of table public\.cards redacts every value: column secret of its lists does not exist\|critical/,
    'in doubt: check_configuration() says so');
my (undef, undef, $hint) = $node->psql('doubtful', q{SELECT usher.enable_audit('public.cards', exclude => '{secret_code}', redact => '{hidden}')});
like($hint, qr/column secret of relation public\.cards does not exist.*"cards" has registered it as personal: it has to register again/s, 'so is what was registered');
$node->safe_psql('doubtful', q{SELECT usher.register_extension('Cards', 'cards', 'public', declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}',
    personal_data => '{"cards": {"personal": ["hidden"], "sensitive": ["secret_code"]}}')});
$node->safe_psql('doubtful', q{SELECT usher.enable_audit('public.cards', exclude => '{secret_code}', redact => '{hidden}'); UPDATE public.cards SET number = 'again'});
like(last_audit('doubtful'), qr/"number": "again"/, 'and enable_audit() puts it right');
# a trigger that somebody made by hand, with whatever arguments, stands in the way of nothing
$node->safe_psql('doubtful', q{
    CREATE TABLE public.odd (id integer PRIMARY KEY, words text, status text);
    CREATE TRIGGER a AFTER TRUNCATE ON public.odd FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change('no JSON');
    CREATE TRIGGER b AFTER TRUNCATE ON public.odd FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change('{"redact": {"words": 1}, "exclude": "words"}');
    CREATE TRIGGER c AFTER TRUNCATE ON public.odd FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change();
    CREATE TRIGGER d BEFORE INSERT ON public.odd FOR EACH ROW EXECUTE FUNCTION usher.check_transition('x');
    CREATE TRIGGER e BEFORE UPDATE ON public.odd FOR EACH ROW EXECUTE FUNCTION usher.set_updated_at();
    ALTER TABLE public.odd RENAME words TO letters;
    ALTER TABLE public.odd RENAME status TO state;
    ALTER TABLE public.odd DROP COLUMN letters});
is($node->safe_psql('doubtful', q{SELECT count(*) FROM usher.check_configuration() WHERE finding LIKE '%odd redacts%'}), 0, 'nor of check_configuration()');
# two columns that changed names unwatched: what is said anew is meant as the columns are called now
$node->safe_psql('doubtful', q{
    ALTER EVENT TRIGGER usher_follow_columns DISABLE;
    ALTER TABLE public.cards RENAME hidden TO passing;
    ALTER TABLE public.cards RENAME number TO hidden;
    ALTER TABLE public.cards RENAME passing TO number;
    ALTER EVENT TRIGGER usher_follow_columns ENABLE;
    UPDATE usher.personal_columns SET column_name = 'number' WHERE registrant = 'cards' AND column_name = 'hidden';
    SELECT usher.enable_audit('public.cards', exclude => '{secret_code}', redact => '{number}');
    UPDATE public.cards SET number = '4715', hidden = 'public'});
like(last_audit('doubtful'), qr/"hidden": "public".*"number": "\[redacted\]"/, 'and takes columns by the names that they have now');

# What PostgreSQL leaves out of a dump, or puts into one that cannot be loaded, is said before.
my $additions = q{SELECT severity, finding FROM usher.check_configuration() WHERE finding LIKE '%by hand%' ORDER BY 1, 2};
is($node->safe_psql('before', $additions), '', 'nothing was added to the tables of the extensions');
$node->safe_psql('before', q{
    CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    ALTER TABLE wash.services ADD COLUMN color text NOT NULL DEFAULT 'blue', ADD COLUMN "Title" text GENERATED ALWAYS AS (upper(name)) STORED;
    ALTER TABLE usher.users ADD CONSTRAINT named CHECK (first_name IS NULL OR first_name <> 'x'), ADD CONSTRAINT whole UNIQUE (id, email);
    CREATE INDEX services_color_idx ON wash.services (color);
    CREATE TRIGGER mine BEFORE UPDATE ON wash.locations FOR EACH ROW EXECUTE FUNCTION public.nothing();
    UPDATE wash.services SET color = 'red' WHERE name = 'Visit'});
is($node->safe_psql('before', $additions), join("\n",
    (map { "critical|column $_ of wash.services was added by hand: a dump cannot be loaded without it" } '"Title"', 'color'),
    map { "warning|$_ was added by hand: a dump has nothing of it" } 'constraint named on usher.users', 'constraint whole on usher.users',
        'index wash.services_color_idx', 'trigger mine on wash.locations'),
    'columns, checks, indexes and triggers of the DBA are named');
# with the commands that are given, run where docs/dump.md says
my $commands = $node->safe_psql('before', q{SELECT substring(advice FROM 'of a dump: (.*)') FROM usher.check_configuration() WHERE finding LIKE '%by hand%'});
$node->safe_psql('postgres', 'CREATE DATABASE new');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dump.added", '-d', $node->connstr('before') ], 'additions: pg_dump');
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/additions.sql", $commands);
rename "$dump.added", "$folder/app.dump" or die $!;
{
    local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
    command_ok([ 'sh', '-ec', "cd '$folder'\n$block->{text}" ], "additions: docs/dump.md:$block->{line}");
}
is(contents('new'), contents('before'), 'additions: every row is the same');
is($node->safe_psql('new', $additions), $node->safe_psql('before', $additions), 'additions: and every addition is there');

$node->stop;
done_testing();
