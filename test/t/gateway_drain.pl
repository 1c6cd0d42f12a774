# drain_delay_ms: what is asked while a gateway is on its way out is answered, and no request is lost when it goes, with
# clients that ask it directly, and behind haproxy while one gateway after the other is restarted.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use UsherGateway;

my $node = start_cluster('drain');
sub is_draining { my ($self) = @_; return http($self, 'GET', "$self->{admin}/readyz")->{content} =~ /draining/ }

sub answered
{
	my ($self) = @_;
	my ($answered, $metrics) = (0, http($self, 'GET', "$self->{admin}/metrics")->{content});
	$answered += $1 while $metrics =~ /^usher_gateway_requests_total\{.* (\d+)$/mg;
	return $answered;
}

# --- during the delay
my $gateway = start_gateway($node, drain_delay_ms => 60000);
my $ask = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
my $kept = connect_to($gateway);
raw($gateway, $ask, socket => $kept, until => qr/\}$/);
kill 'TERM', $gateway->{pid};
wait_for(sub { is_draining($gateway) }, 'readyz says no');
my @answers = map { [ exchange($gateway, $ask) ] } 1 .. 20;
is((grep { $_->[0]{status} == 200 } @answers), 20, '20 of 20 new connections are answered');
is((grep { $_->[0]{headers}{connection}[0] eq 'close' && $_->[1] } @answers), 20, '… and told to come back elsewhere');
my ($answer, $closed) = exchange($gateway, $ask, socket => $kept);
is_deeply([ $answer->{status}, $answer->{headers}{connection}[0], $closed ], [ 200, 'close', 1 ], 'so is one that was kept alive');
my $first = connect_to($gateway); # has not asked yet when the delay ends
my $idle = connect_to($gateway);
kill 'HUP', $gateway->{pid};
sleep 0.3;
is((exchange($gateway, $ask))[0]{status}, 200, 'SIGHUP does not end the delay');
kill 'TERM', $gateway->{pid};
sleep 0.2;
is((exchange($gateway, $ask, socket => $first))[0]{status}, 200, 'a second SIGTERM does; whoever connected before that is answered');
my $began = time;
is((raw($gateway, '', socket => $idle))[1], 1, '… and one that says nothing is closed');
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gateway->{port}, Proto => 'tcp'), '… and nobody listens');
$gateway->{process}->finish;
is($gateway->{process}->result(0), 0, 'exit status 0');
cmp_ok(time - $began, '<', 10, '… soon');

SKIP:
{
	skip 'node is not installed', 1 unless grep { -x "$_/node" } split /:/, $ENV{PATH};
	my $script = "$ENV{USHER_SOURCE}/test/node/drain.js";
	my ($out, $errors);
	my $start = sub {
		($out, $errors) = ('', '');
		return IPC::Run::start([ 'node', $script, @_ ], '<', \undef, '>', \$out, '2>', \$errors);
	};
	my $judge = sub {
		my ($load, $name, $least) = @_;
		$load->finish;
		is($errors, '', "$name: the load ran");
		my $seen = decode_json($out);
		note("$name: $out");
		cmp_ok($seen->{answered}, '>', $least, "$name: requests were answered");
		is_deeply($seen->{lost}, {}, "$name: no request is lost");
		is_deeply($seen->{others}, {}, "$name: all answers are 200");
		return $seen;
	};

	# --- asked directly until it is gone, and after that
	for my $kind ('keep', 'new')
	{
		for my $delay (0, 600)
		{
			my $gone = start_gateway($node, drain_delay_ms => $delay, log_requests => 'false');
			my $load = $start->("$gone->{url}/echo", 32, 6, $kind);
			wait_for(sub { answered($gone) > 150 }, "$kind, $delay ms: there is load"); # some answers are still on their way
			is(stop_gateway($gone), 0, "$kind, $delay ms: stopped");
			my $seen = $judge->($load, "$kind, $delay ms", 100);
			cmp_ok($seen->{refused}, '>', 0, "$kind, $delay ms: then nobody listens");
		}
	}

	# --- a rolling restart behind haproxy, as deploy/ has it
	my ($haproxy) = grep { -x } map { "$_/haproxy" } split(/:/, $ENV{PATH}), '/usr/sbin';
	skip 'haproxy is not installed', 1 unless $haproxy;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $options = decode_json(slurp_file("$ENV{USHER_SOURCE}/deploy/gateway.json"));
	cmp_ok($options->{drain_delay_ms}, '>=', 3000, 'deploy/gateway.json waits for longer than haproxy needs to see it');
	my $start_one = sub {
		my ($at, $admin) = @_;
		return start_gateway($node, drain_delay_ms => $options->{drain_delay_ms}, trusted_proxies => '127.0.0.1',
			log_requests => 'false', $at ? (port => $at, admin_port => $admin, port_search => 0) : ());
	};
	my @gateways = map { $start_one->() } 1, 2;
	my $config = slurp_file("$ENV{USHER_SOURCE}/deploy/haproxy.cfg");
	ok($config =~ s/bind :443.*/bind 127.0.0.1:$port/ && $config =~ s/ port 8081//, 'haproxy.cfg names all of it');
	for my $i (0, 1)
	{
		my ($admin) = $gateways[$i]{admin} =~ /:(\d+)$/;
		my $host = '10.0.0.' . (21 + $i);
		ok($config =~ s/\Q$host\E:8080/127.0.0.1:$gateways[$i]{port} port $admin/, "… and gateway $i");
	}
	$config =~ s/maxconn 20000/maxconn 500/;
	open my $file, '>', "$folder/haproxy.cfg" or die;
	print $file $config;
	close $file;
	my $proxy = IPC::Run::start([ $haproxy, '-db', '-f', "$folder/haproxy.cfg" ], '<', \undef, '>', "$folder/haproxy.log", '2>&1');
	wait_for(sub { HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$port/echo")->{status} == 200 }, 'haproxy is there');
	my $load = $start->("http://127.0.0.1:$port/echo", 32, 14, 'keep');
	sleep 2;
	for my $i (0, 1)
	{
		my ($admin) = $gateways[$i]{admin} =~ /:(\d+)$/;
		is(stop_gateway($gateways[$i]), 0, "gateway $i is stopped");
		$gateways[$i] = $start_one->($gateways[$i]{port}, $admin);
		sleep 2; # until haproxy asks it again
	}
	$judge->($load, 'behind haproxy', 1000);
	$proxy->signal('TERM');
	$proxy->finish;
	is(stop_gateway($_), 0, 'stopped') for @gateways;
}
done_testing();
