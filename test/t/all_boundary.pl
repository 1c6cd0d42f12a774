# The C++ boundary: every trap of exceptions and errors crossing each other, on a real server.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = $ENV{USHER_BOUNDARY} or die "USHER_BOUNDARY must name the test library";

my $node = PostgreSQL::Test::Cluster->new('boundary');
$node->init;
$node->append_conf('postgresql.conf', "max_parallel_workers_per_gather = 2\n");
$node->start;
$node->safe_psql('postgres', join '', map { "CREATE FUNCTION $_->[0]($_->[1]) RETURNS $_->[2] LANGUAGE c AS '$library', '$_->[0]';\n" }
	(['boundary_live', '', 'integer'], ['boundary_throw', 'text', 'integer'], ['boundary_ereport', 'integer', 'integer'],
	 ['boundary_loop', '', 'integer'], ['boundary_initialise', '', 'integer'], ['boundary_attempt', 'text', 'text']));

# Runs the statements in one session and returns (stdout, stderr).
sub session
{
	my ($sql) = @_;
	my ($out, $err);
	$node->psql('postgres', $sql, stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return ($out, $err);
}

my $pid = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

# throw
for my $case (
	[ 'usher',    qr/ERROR:  US001: message\nDETAIL:  \{"key": 1\}\nHINT:  Hint\./, 'usher::Error keeps SQLSTATE, detail and hint' ],
	[ 'standard', qr/ERROR:  XX000: runtime error/,                               'a standard exception is an internal error' ],
	[ 'foreign',  qr/ERROR:  XX000: unrecognized C\+\+ exception/,                'anything else that is thrown is one too' ],
	[ 'memory',   qr/ERROR:  53200: out of memory/,                               'std::bad_alloc is out of memory' ],
	[ 'long',     qr/ERROR:  22023: m{1000,1023}\nDETAIL:  d{1000,1023}\nHINT:  h{500,511}\n/, 'long texts are cut' ])
{
	my ($out, $err) = session("SELECT boundary_throw('$case->[0]'); SELECT boundary_live();");
	like($err, $case->[1], $case->[2]);
	is($out, '0', "no object survives: $case->[0]");
}

# ereport with live objects
my ($out, $err) = session('SELECT boundary_ereport(50); SELECT boundary_live();');
like($err, qr/ERROR:  22012: from the server\nDETAIL:  The detail\.\nHINT:  The hint\./, 'an ERROR of the server passes unchanged');
is($out, '0', 'and runs the destructors of every frame on its way');

# cancel in a loop
($out, $err) = session("SET statement_timeout = '100ms'; SELECT boundary_loop(); SELECT boundary_live();");
like($err, qr/ERROR:  57014: canceling statement due to statement timeout/, 'a loop that polls can be cancelled');
is($out, '0', 'and its objects are destroyed');

# static initialisation that fails once
($out, $err) = session('SELECT boundary_initialise(); SELECT boundary_initialise(); SELECT boundary_initialise();');
like($err, qr/the first initialisation fails/, 'an initialisation may fail');
is($out, "2\n2", 'is tried again by the next call, and then stays');

# going on after an ERROR
($out, $err) = session(q{
	CREATE TEMP TABLE kept (n integer);
	SELECT boundary_attempt('INSERT INTO kept VALUES (1)');
	SELECT boundary_attempt('INSERT INTO kept SELECT 1 / (n - n) FROM kept');
	SELECT boundary_attempt($$DO 'BEGIN INSERT INTO kept VALUES (2); RAISE EXCEPTION SQLSTATE ''UB001'' USING MESSAGE = ''taken''; END'$$);
	SELECT count(*) FROM kept;
	SELECT boundary_live();
	SET statement_timeout = '100ms';
	SELECT boundary_attempt('SELECT pg_sleep(60)');
	RESET statement_timeout;
	SELECT boundary_live();});
is($out, "committed\n22012 division by zero\nUB001 taken\n1\n0\n0", 'a subtransaction takes back what failed and keeps the rest');
like($err, qr/ERROR:  57014/, 'a cancel is not swallowed');

# nothing leaks: neither server contexts nor C++ memory
($out, $err) = session(q{
	DO $$
	DECLARE
	    before bigint; after_ bigint;
	BEGIN
	    FOR round IN 1..2 LOOP
	        FOR i IN 1..5000 LOOP
	            BEGIN PERFORM boundary_throw('usher'); EXCEPTION WHEN OTHERS THEN NULL; END;
	            BEGIN PERFORM boundary_ereport(3); EXCEPTION WHEN OTHERS THEN NULL; END;
	            PERFORM boundary_attempt('SELECT 1/0');
	        END LOOP;
	        before := after_;
	        after_ := substring(pg_read_file('/proc/self/statm') FROM '^\d+ (\d+)')::bigint * 4;
	    END LOOP;
	    RAISE INFO 'grown by % kB', after_ - before;
	END $$;});
my ($grown) = $err =~ /grown by (-?\d+) kB/;
ok(defined $grown && $grown < 4096, 'twenty thousand errors leave no memory behind') or diag("stderr: $err");

is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $pid, 'the server never restarted');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'and no backend crashed');

$node->stop;
done_testing();
