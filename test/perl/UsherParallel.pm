# Many sessions that do the same thing at the same moment, and an authenticator application.
package UsherParallel;
use strict;
use warnings;
use Digest::SHA qw(hmac_sha1);
use Exporter 'import';
use IPC::Run;

our @EXPORT = qw(parallel tally totp);

# Runs the same statements in that many sessions at once: each waits at a lock that this one holds until all are there.
# ":client" stands for the number of the session. Returns what each one printed.
sub parallel
{
	my ($node, $count, $sql) = @_;
	my $gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(4711)');
	my @runs;
	for my $i (1 .. $count)
	{
		my $run = { out => '', err => '' };
		(my $mine = $sql) =~ s/:client/$i/g;
		my $wait = 'DO $$ BEGIN PERFORM pg_advisory_lock_shared(4711); PERFORM pg_advisory_unlock_shared(4711); END $$';
		$run->{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $wait, map { ('-c', $_) } split /;\s*/, $mine ],
			'<', \undef, '>', \$run->{out}, '2>', \$run->{err});
		push @runs, $run;
	}
	$node->poll_query_until('postgres', "SELECT count(*) = $count FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4711")
	  or die 'clients did not arrive';
	$gate->query_safe('SELECT pg_advisory_unlock(4711)');
	$_->{handle}->finish for @runs;
	$gate->quit;
	return map { chomp(my $line = $_->{out} . $_->{err}); $line } @runs;
}

# "wrong: 3, right: 1"
sub tally { my %count; $count{$_}++ for @_; return join ', ', map { "$_: $count{$_}" } sort keys %count }

# The code of a secret in base32, so many time steps from now (RFC 6238).
sub totp
{
	my ($secret, $steps) = @_;
	my $bits = join '', map { sprintf '%05b', index('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', $_) } split //, $secret;
	my $mac = hmac_sha1(pack('Q>', int(time / 30) + ($steps // 0)), pack('B*', substr($bits, 0, 8 * int(length($bits) / 8))));
	my $at = ord(substr($mac, 19, 1)) & 15;
	return sprintf '%06d', (unpack('N', substr($mac, $at, 4)) & 0x7fffffff) % 1000000;
}

1;
