# A mix of everything by 64 pgbench clients at random isolation levels, while backends are terminated at random and the server crashes
# once.
package UsherMix;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw($node one start_cluster mix finish);
our $node;
my ($steps, $terminated, @strange) = (0, 0);

sub start_cluster
{
	my ($name, $settings) = @_;
	$node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	# Room for the conflicts between 64 serializable transactions: the server sizes their pool by max_connections, and fails when it is full.
	$node->append_conf('postgresql.conf', "max_connections = 500\nlock_timeout = 60s\n" . ($settings // ''));
	$node->start;
}

sub one { return $node->safe_psql('postgres', $_[0]) }

sub load
{
	my ($script, $seconds, $out, $err) = @_;
	return IPC::Run::start([ 'pgbench', '-n', '-c', 64, '-j', 2, '--max-tries', 1000, '-T', $seconds, '-f', $script, $node->connstr('postgres') ], '<', \undef, '>', $out, '2>', $err);
}

# Clients whose connections end are replaced by new ones until the time is over.
sub clients
{
	my ($script, $until) = @_;
	while (time < $until)
	{
		my $level = (('read committed', 'repeatable read', 'serializable'))[ int rand 3 ] =~ s/ /\\ /r;
		local $ENV{PGOPTIONS} = "-c default_transaction_isolation=$level";
		my ($out, $err) = ('', '');
		my $left = int($until - time);
		last if $left < 1;
		my $seconds = $left < 5 ? $left : 5;
		my $load = load($script, $seconds, \$out, \$err);
		my $end = time + $seconds;
		while (time < $end - 0.5 && $load->pumpable)
		{
			$load->pump_nb;
			sleep 0.1;
			$terminated += $node->psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench' AND random() < 0.05 LIMIT 2") == 0;
		}
		$load->finish;
		$steps += $1 if $out =~ /number of transactions actually processed: (\d+)/;
		push @strange, grep { /ERROR/ && !/terminating connection|could not serialize|server closed/ } split /\n/, $err;
	}
}

# One round, with a crash in the middle of it.
sub mix
{
	my ($seconds, $script) = @_;
	my $file = $node->basedir . '/mix.sql';
	append_to_file($file, $script) if !-e $file;
	clients($file, time + $seconds / 2);
	my $load = load($file, 30, \my $out, \my $err);
	sleep 2;
	$node->stop('immediate');
	$load->finish;
	$node->start;
	clients($file, time + $seconds / 2);
}

# Backends were terminated, and nothing has happened that nobody expects.
sub finish
{
	is("@strange[0 .. ($#strange > 2 ? 2 : $#strange)]", '', 'no error that nobody expects');
	cmp_ok($terminated, '>', 5, 'backends were terminated');
	my $log = slurp_file($node->logfile);
	is(scalar(() = $log =~ /deadlock detected/g), 0, 'no deadlock');
	is(scalar(() = $log =~ /canceling statement due to lock timeout/g), 0, 'nobody waited for long');
	unlike($log, qr/PANIC|TRAP|terminated by signal (?!9)/, 'no process broke');
	note("$steps steps in those runs that came to their end");
	$node->stop;
	done_testing();
}

1;
