# What the owner of a database may set for it must not choose what superusers run: the background worker, its self-checks and the statements
# of ours that run as the owner of the extension use neither the operators nor the functions, types or tables of a search_path that ALTER
# DATABASE, ALTER ROLE or the session has.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('paths');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'usher'
usher.worker_databases = 'd'
usher.flush_interval = 100ms
usher.maintenance_interval = 1s
usher.argon2_memory = 8MB
usher.argon2_iterations = 1
usher.require_verified_email = off
usher.audit_archive_function = 'evil.archive'
usher.audit_retention = 30
log_line_prefix = '%b|'
log_statement = none
CONF
$node->start;
# the superuser of this test keeps its own path; everybody else has that of the database
sub one { my ($sql) = @_; local $ENV{PGOPTIONS} = '-c search_path=pg_catalog,pg_temp'; return $node->safe_psql('d', $sql) }
sub eventually { my ($sql, $what) = @_; local $ENV{PGOPTIONS} = '-c search_path=pg_catalog,pg_temp'; ok($node->poll_query_until('d', $sql), $what) }
$node->safe_psql('postgres', q{CREATE ROLE owner LOGIN; CREATE ROLE app LOGIN; CREATE ROLE installer SUPERUSER LOGIN});
$node->safe_psql('postgres', 'CREATE DATABASE d OWNER owner');
one(q{SET SESSION AUTHORIZATION installer; SET client_min_messages = warning; CREATE SCHEMA wash; CREATE SCHEMA courier;
	CREATE EXTENSION usher_booking SCHEMA wash CASCADE; CREATE EXTENSION usher_payment SCHEMA wash CASCADE;
	CREATE EXTENSION usher_shop SCHEMA wash CASCADE; CREATE EXTENSION usher_loyalty SCHEMA wash CASCADE;
	CREATE EXTENSION usher_courier SCHEMA courier CASCADE; SELECT usher.grant_access('app', 'application')});

# what the owner plants: every operator and function of the server between common types, and types of those names. Each does the same as the
# server's, and says who ran it; the first becomes superuser, if it can.
my $plant = <<'END';
SET search_path = pg_catalog, pg_temp;
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.tell(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE context text;
BEGIN
	GET DIAGNOSTICS context = PG_CONTEXT;
	RAISE LOG 'planted: % ran as % (%) in the session of %: %', what, current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
		session_user, translate(context, E'\n\t', '  ');
	IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN EXECUTE 'ALTER ROLE owner SUPERUSER'; END IF;
	RETURN true;
END $$;
DO $do$
DECLARE
	common CONSTANT oid[] := '{uuid,text,name,oid,timestamptz,bytea,int2,int4,int8,bool,jsonb,interval,inet,cidr,"char",oidvector,date,numeric,float8,regclass,regprocedure,_text,_uuid,_oid,_int2}'::regtype[]::oid[];
	p record;
	made integer := 0;
	body text;
BEGIN
	FOR p IN SELECT f.oid, f.proname AS name, f.proargtypes::oid[] AS types, f.prorettype AS result, o.oprname AS operator, f.provolatile AS volatility
		FROM pg_proc AS f LEFT JOIN pg_operator AS o ON o.oprcode = f.oid AND o.oprkind = 'b'
		WHERE f.pronamespace = 'pg_catalog'::regnamespace AND f.prokind = 'f' AND NOT f.proretset AND f.provariadic = 0
			AND f.proargtypes::oid[] <@ (common || 'anyelement'::regtype::oid || 'anyarray'::regtype::oid || '"any"'::regtype::oid) AND f.prorettype = ANY (common)
			AND NOT '"any"'::regtype = ANY (f.proargtypes::oid[])
			AND f.proname !~ '^(binary_upgrade|pg_(terminate|reload|rotate|promote|switch|stat_reset|create|drop|log_|replication|logical|wal|sleep|backup|try|advisory|notify|ls_|read))'
	LOOP
		made := made + 1;
		body := CASE WHEN p.operator IS NULL
			THEN format('pg_catalog.%I(%s)', p.name, (SELECT string_agg('$' || i, ', ' ORDER BY i) FROM generate_series(1, cardinality(p.types)) AS i))
			ELSE format('$1 OPERATOR(pg_catalog.%s) $2', p.operator) END;
		EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql %s AS $f$ BEGIN PERFORM evil.tell(%L); RETURN %s; END $f$',
			CASE WHEN p.operator IS NULL THEN p.name ELSE 'op' || made END, (SELECT string_agg(format_type(t, NULL), ', ' ORDER BY i) FROM unnest(p.types) WITH ORDINALITY AS u (t, i)),
			format_type(p.result, NULL), CASE p.volatility WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END, p.oid::regprocedure, body);
		IF p.operator IS NOT NULL THEN
			EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.%I, LEFTARG = %s, RIGHTARG = %s)', p.operator, 'op' || made, format_type(p.types[0], NULL), format_type(p.types[1], NULL));
		END IF;
	END LOOP;
	IF made < 800 THEN RAISE 'only % functions', made; END IF;
END $do$;
CREATE VIEW evil.pg_extension AS SELECT e.* FROM pg_catalog.pg_extension AS e WHERE evil.tell('pg_extension');
CREATE VIEW evil.pg_class AS SELECT c.* FROM pg_catalog.pg_class AS c WHERE evil.tell('pg_class');
CREATE VIEW evil.pg_proc AS SELECT c.* FROM pg_catalog.pg_proc AS c WHERE evil.tell('pg_proc');
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.tell('text'));
CREATE DOMAIN evil.jsonb AS pg_catalog.jsonb CHECK (evil.tell('jsonb'));
CREATE DOMAIN evil.uuid AS pg_catalog.uuid CHECK (evil.tell('uuid'));
CREATE DOMAIN evil.cidr AS pg_catalog.cidr CHECK (evil.tell('cidr'));
CREATE DOMAIN evil.name AS pg_catalog.name CHECK (evil.tell('name'));
CREATE DOMAIN evil.timestamptz AS pg_catalog.timestamptz CHECK (evil.tell('timestamptz'));
GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC;
-- two that are called on purpose, as their owner
CREATE TABLE evil.done (event pg_catalog.text);
CREATE FUNCTION evil.handler(event pg_catalog.text, payload pg_catalog.jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.done VALUES (event); END $$;
CREATE FUNCTION evil.archive(pg_catalog.regclass, pg_catalog.timestamptz, pg_catalog.timestamptz) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.done VALUES ('archived'); END $$;
ALTER DATABASE d SET search_path = evil, pg_catalog;
ALTER DATABASE d SET quote_all_identifiers = on;
ALTER DATABASE d SET standard_conforming_strings = off;
ALTER DATABASE d SET default_transaction_read_only = on;
ALTER DATABASE d SET default_transaction_isolation = serializable;
END
$plant .= "ALTER DATABASE d SET transaction_timeout = '1ms';\n" if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'});
one("SET SESSION AUTHORIZATION owner; $plant");
# a DBA who has followed suit
$node->safe_psql('postgres', "ALTER ROLE $_ SET search_path = evil, pg_catalog") for 'installer', $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', 'ALTER ROLE installer IN DATABASE d SET search_path = evil, pg_catalog');
sub planted { return grep { /planted: / } split /\n/, slurp_file($node->logfile) }
# by others than whoever makes the statement
sub misled { my ($what) = @_; my %seen = map { (s/^.*planted: //r =~ s/ in the session of \w+//r) => 1 } grep { !/ran as (\w+) \(f\) in the session of \1:/ } planted(); is_deeply([ sort keys %seen ], [], $what) }

is(scalar(my @none = planted()), 0, 'nothing has run yet');
is($node->safe_psql('d', 'SET transaction_read_only = off; SELECT 1 + 1', extra_params => [ '-U', 'app' ]), 2, 'a session of the database');
cmp_ok(scalar(my @some = planted()), '>', 0, '… uses the operators of its owner: they are in force');
truncate $node->logfile, 0;

# --- the worker, from its start on
my $set_up = q{
	SET SESSION AUTHORIZATION installer; SET search_path = pg_catalog; SET transaction_read_only = off;
	SET default_transaction_read_only = off; SET standard_conforming_strings = on; SET quote_all_identifiers = off; SET default_transaction_isolation = "read committed";
};
$node->restart;
eventually(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'usher worker' AND datname = 'd'}, 'the worker runs');
eventually(q{SELECT count(*) > 5 FROM usher.self_checks}, '… and has noted whom it will check');
sub admin { return one("$set_up $_[0]") }
admin(q{
	SELECT usher.subscribe('path.*', 'reader', 'evil.handler(text,jsonb)'), usher.define_rate_limit('path', 'fixed_window', 100, '1 hour');
	SELECT usher.register_user('ann@paths.example', 'what ann remembers');
	UPDATE usher.self_checks SET started_at = now() - interval '25 hours';
	SELECT usher.publish('path.one'), usher.hit_rate_limit('path', 'k')});
# what is rolled back, and written by the worker
admin(q{BEGIN; SELECT usher.set_request_context('192.0.2.7'); SELECT usher.login('ann@paths.example', 'wrong') FROM generate_series(1, 2); ROLLBACK});
admin(q{BEGIN; SELECT usher.set_request_context('192.0.2.7'); SELECT usher.login('nobody@paths.example', 'wrong'); ROLLBACK});
admin(q{SELECT usher.issue_token((SELECT id FROM usher.users)) AS t \gset
	BEGIN; SELECT usher.authenticate(:'t'); SELECT usher.check_access('path:walk', '{"id": "1"}'); ROLLBACK});
my $ad = admin(q{SELECT (wash.create_advertisement('{"title": {"en": "Wash"}, "placement": "top"}')).ad_id});
admin("SELECT wash.set_advertisement_status('$ad', 'active'); SELECT wash.record_advertisement_event('$ad'), wash.record_advertisement_event('$ad', 'click')");

eventually(q{SELECT last_flush_at > now() - interval '1 minute' AND last_upkeep_at > now() - interval '1 minute' FROM usher.health()}, 'it flushes, and keeps up');
eventually(q{SELECT count(*) = 1 FROM evil.done WHERE event = 'path.one'}, '… runs handlers');
eventually(q{SELECT failed_login_attempts = 2 FROM usher.credentials}, '… writes failures of accounts that were rolled back');
eventually(q{SELECT count(*) > 0 FROM usher.network_failures WHERE failed_login_attempts > 0}, '… of networks');
eventually(q{SELECT count(*) > 0 FROM usher.audit_logs WHERE event_type ~ 'access'}, '… and rows that outlive a rollback');
eventually(q{SELECT request_count = 1 FROM usher.rate_limit_records WHERE policy = 'path'}, '… counters');
eventually(q{SELECT count(*) = 2 FROM wash.loyalty_ad_counts}, '… what extensions count');
eventually(q{SELECT count(*) > 5 AND bool_and(checked_at > now() - interval '1 minute' AND failure IS NULL) FROM usher.last_self_check()}, '… checks itself');
eventually(q{SELECT sum(row_count) > 0 FROM usher.audit_seals}, '… and seals the audit log');
is(one('SELECT worker_problem FROM usher.health()'), '', '… without a problem, whatever the database is set to');
$node->restart; # flushes once more
eventually(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'usher worker' AND datname = 'd'}, 'it runs again');
eventually(q{SELECT last_upkeep_at > pg_postmaster_start_time() FROM usher.health()}, '… and keeps up');
misled('nothing of the owner of the database has run with other rights than the caller\'s');
is(one(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'owner'}), 'f', '… who is no superuser');

done_testing();
