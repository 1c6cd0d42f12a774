# deploy/: the units, the proxies' configurations and the gateway's own, each checked by the program that reads it.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $deploy = "$ENV{USHER_SOURCE}/deploy";
my $folder = PostgreSQL::Test::Utils::tempdir();
sub program { my ($name) = @_; return (grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin')[0] }
sub run_program { my ($out) = (''); my $good = IPC::Run::run([@_], '<', \undef, '>', \$out, '2>&1'); return ($good, $out) }
sub write_file { my ($name, $text) = @_; open my $f, '>', "$folder/$name" or die; print $f $text; close $f; return "$folder/$name" }

# --- the gateway's options
my ($good, $out) = run_program($ENV{USHER_GATEWAY}, '--config', "$deploy/gateway.json", '--check-config');
ok($good, 'gateway.json') or diag($out);
($good, $out) = run_program($ENV{USHER_GATEWAY}, '--config', "$deploy/ha/gateway.json", '--check-config');
ok($good, 'ha/gateway.json') or diag($out);
my $options = decode_json(slurp_file("$deploy/gateway.json"));
like(slurp_file("$deploy/nginx.conf"), qr/server $options->{listen}:$options->{port};/, 'nginx asks where the gateway listens');

# --- files that speak of each other: addresses, ports, sockets
{
    my %text = map { $_ => slurp_file("$deploy/$_") } qw(haproxy.cfg haproxy-tenants.cfg ha/haproxy.cfg ha/pgbouncer.ini ha/patroni.yml ha/etcd.conf pgbouncer.ini watch/prometheus.yml);
    my %json = map { $_ => decode_json(slurp_file("$deploy/$_")) } qw(ha/gateway.json gateway-red.json courier.json);
    # the front of several gateways
    for my $front ([ 'haproxy.cfg', 'ha/gateway.json' ], [ 'haproxy-tenants.cfg', 'gateway-red.json' ])
    {
        my ($proxy, $gateway) = ($text{ $front->[0] }, $json{ $front->[1] });
        my ($address, $port, $own_check) = $proxy =~ /^    server one (\S+):(\d+)(?: port (\d+))?$/m;
        my $check = $own_check // ($proxy =~ /^    default-server check port (\d+) /m)[0];
        is("$address:$port, $address:$check", "$gateway->{listen}:$gateway->{port}, $gateway->{admin_listen}:$gateway->{admin_port}", "$front->[0] asks where the gateway of $front->[1] listens");
        my ($own) = $proxy =~ /[Tt]his (?:one )?is (10\.0\.0\.\d+)/;
        is_deeply($gateway->{trusted_proxies}, [$own], '… which takes its word about clients, and nobody else\'s');
        my ($seen) = $proxy =~ /inter (\d)s fall (?:\d)/;
        cmp_ok($gateway->{drain_delay_ms}, '>', 2000 * $seen, '… and drains for longer than it needs to notice');
    }
    # the way from a gateway to the servers
    my %database = $text{'ha/pgbouncer.ini'} =~ /^(\w+) = host=127\.0\.0\.1 port=(\d+) dbname=app$/mg;
    my %leads = map { $_->[1] => $_->[0] } map { [ /frontend (\w+)\n    bind 127\.0\.0\.1:(\d+)\n/ ] } split /\n\n/, $text{'ha/haproxy.cfg'};
    is_deeply({ map { $_ => $leads{ $database{$_} } } keys %database }, { app => 'primary', app_standby => 'standbys' }, 'PgBouncer asks where haproxy listens');
    my ($socket, $pooler_port) = $text{'ha/pgbouncer.ini'} =~ /^unix_socket_dir = (\S+)\nlisten_port = (\d+)$/m;
    for my $option ([ database => 'app' ], [ standby_database => 'app_standby' ])
    {
        like($json{'ha/gateway.json'}{ $option->[0] }, qr/^host=\Q$socket\E port=$pooler_port dbname=$option->[1] /, "… and the gateway's $option->[0] is there");
    }
    like($text{$_}, qr{^unix_socket_dir = /var/run/postgresql$}m, "$_: Debian makes the folder of the sockets") for 'pgbouncer.ini', 'ha/pgbouncer.ini';
    my ($server) = $text{'ha/patroni.yml'} =~ /^postgresql:\n  listen: (\S+)$/m;
    my ($api) = $text{'ha/patroni.yml'} =~ /^restapi:\n  listen: \S+:(\d+)$/m;
    for my $backend ($text{'ha/haproxy.cfg'} =~ /^backend \w+\n(.*?)(?=^\w|\z)/msg)
    {
        my @servers = $backend =~ /^    server \w+ (\S+ check port \d+)$/mg;
        is($servers[0], "$server check port $api", 'haproxy asks where Patroni and its server listen');
        is_deeply([ map { (split /:/)[0] } @servers ], [ map { (split /:/)[0] } split /, /, ($text{'ha/patroni.yml'} =~ /^  hosts: \[(.*)\]$/m)[0] ], '… on all machines');
    }
    is_deeply([ $text{'ha/patroni.yml'} =~ /^  hosts: \[(.*)\]$/m ], [ join ', ', map { s{.*http://(.*):2380}{$1:2379}r } split /,/, ($text{'ha/etcd.conf'} =~ /^ETCD_INITIAL_CLUSTER=(.*)$/m)[0] ], 'Patroni asks etcd where it listens');
    is((slurp_file("$deploy/ha/usher-backup-primary.conf") =~ m{^ExecCondition=.* http://(\S+)/primary$}m)[0], (split /:/, $server)[0] . ":$api", 'backups ask Patroni who is primary');
    # over the network with TLS, on both sides; who may do everything comes from the servers alone
    like($text{'ha/pgbouncer.ini'}, qr/^server_tls_sslmode = (require|verify-ca|verify-full)$/m, 'PgBouncer speaks TLS with the servers');
    my @hba = $text{'ha/patroni.yml'} =~ /^    - ((?:local|host\w*) .*)$/mg;
    cmp_ok(scalar @hba, '>', 4, 'patroni.yml says who is let in');
    is_deeply([ grep { /^host(nossl)? / && !/ reject$/ } @hba ], [], '… over the network with TLS only');
    like($text{'ha/patroni.yml'}, qr/^        ssl: "on"$/m, '… which is on');
    my ($nodes, $rejected, $others) = map { my $pattern = $_; [ grep { $hba[$_] =~ $pattern } 0 .. $#hba ] } qr/^hostssl .*postgres.* 10\.0\.0\.1[123]\/32 /, qr/^host all,replication .*postgres.*replicator.* all reject$/, qr/^hostssl all all /;
    ok(@$nodes == 3 && @$rejected == 1 && @$others && $nodes->[-1] < $rejected->[0] && $rejected->[0] < $others->[0], '… the superuser from the three servers alone');
    # who watches
    my %targets = map { /- job_name: (\S+)\n.*?targets: \["(\S+?)"/s ? ($1 => $2) : () } split /(?=  - job_name)/, $text{'watch/prometheus.yml'};
    for my $program (qw(gateway courier))
    {
        my $help = (run_program($program eq 'gateway' ? $ENV{USHER_GATEWAY} : $ENV{USHER_COURIER}, '--help'))[1];
        my ($address) = $help =~ /^  --admin-listen=(\S+)$/m;
        my ($admin_port) = $help =~ /^  --admin-port=(\S+)$/m;
        is($targets{ $program eq 'gateway' ? 'usher' : 'usher-courier' }, "$address:$admin_port", "prometheus.yml asks where the $program\'s admin listener is");
    }
}

# --- the units. What the gateway waits for after the drain: 3 seconds for the clients of what it has cancelled; the courier, 5 for the
# database to hear what was not finished.
my %binary = (gateway => $ENV{USHER_GATEWAY}, courier => $ENV{USHER_COURIER});
my %unit = map { $_ => slurp_file("$deploy/usher-$_.service") } qw(gateway courier);
my %after_drain_ms = (gateway => 3000, courier => 5000);
for my $program (sort keys %unit)
{
    my $unit = $unit{$program};
    my $shipped = decode_json(slurp_file("$deploy/$program.json"));
    my ($role) = $shipped->{database} =~ /user=(\S+)/;
    my ($user) = $unit =~ /^User=(\S+)$/m;
    is($user, $role, "$program: systemd unit and connection string name the same user, so that peer authentication works");
    like($unit, qr/^# .*adduser .* \Q$user\E$/m, '… whom the unit says how to make');
    unlike($unit, qr/^DynamicUser=/m, '… and whom the server can look up');
    my $help = (run_program($binary{$program}, '--help'))[1];
    my %default = $help =~ /^  --(drain-[a-z-]+)=(\d+)$/mg;
    my $drain = 0;
    $drain += $shipped->{ tr/-/_/r } // $default{$_} for keys %default;
    cmp_ok($drain, '>', 10000, '… which drains');
    my ($patience) = $unit =~ /^TimeoutStopSec=(\d+)$/m;
    cmp_ok($patience * 1000, '>', $drain + $after_drain_ms{$program}, '… for less than systemd waits');
}
sub hardening { return [ grep { /=/ } split /\n/, ($_[0] =~ /^(CapabilityBoundingSet=.*?)^\[Install\]/ms)[0] ] }
# The template of each is its unit, but for the name of the instance.
for my $program (sort keys %unit)
{
    my $template = slurp_file("$deploy/usher-$program\@.service");
    like($template, qr/^User=usher_${program}_%i\nGroup=usher_${program}_%i$/m, "$program: each instance has a user of its own");
    like($template, qr/^# .*adduser .* usher_${program}_red$/m, '… whom the template says how to make');
    my $lines = sub { return [ grep { !/^(#|Description=|$)/ } split /\n/, $_[0] ] };
    my $as_one = $template =~ s/_%i\b//gr =~ s/-%i\b//gr;
    is_deeply($lines->($as_one), $lines->($unit{$program}), '… and is else as the unit is');
}
cmp_ok(scalar @{ hardening($unit{gateway}) }, '>', 20, 'the gateway is hardened');
is_deeply(hardening($unit{courier}), hardening($unit{gateway}), '… and the courier as much');

system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2, '-subj', '/CN=api.example.com',
    '-addext', 'subjectAltName=DNS:api.example.com', '-keyout', "$folder/tls.key", '-out', "$folder/tls.crt");
write_file('tls.pem', slurp_file("$folder/tls.crt") . slurp_file("$folder/tls.key"));
my $node = start_cluster('deploy');
my $gateway = start_gateway($node, environment => { USHER_GATEWAY_CONFIG => "$deploy/gateway.json" });
my $port = PostgreSQL::Test::Cluster::get_free_port();

# Through a proxy: TLS, the client's address, bodies, and what the proxy adds.
sub through
{
    my ($name, $proxy_port) = @_;
    my @curl = ('curl', '-sS', '--max-time', 10, '--cacert', "$folder/tls.crt", '--resolve', "api.example.com:$proxy_port:127.0.0.1");
    my $url = "https://api.example.com:$proxy_port";
    my $limit = time + 20;
    do { ($good, $out) = run_program(@curl, "$url/echo"); select undef, undef, undef, 0.1 if $out !~ /^\{/ } until $out =~ /^\{/ || time > $limit;
    my $echo = eval { decode_json($out) } // {};
    is($echo->{client_ip}, '127.0.0.1', "$name: a request comes through") or diag($out);
    ($good, $out) = run_program(@curl, '-H', 'X-Forwarded-For: 203.0.113.5', "$url/echo");
    is(eval { decode_json($out)->{client_ip} }, '127.0.0.1', "$name: what a client claims itself is not believed") or diag($out);
    ($good, $out) = run_program(@curl, '-H', 'Content-Type: application/json', '-H', 'Transfer-Encoding: chunked', '-d', '{"a":1}', "$url/echo");
    is(eval { decode_json($out)->{body} }, '{"a":1}', "$name: a body in chunks") or diag($out);
    ($good, $out) = run_program(@curl, '-o', '/dev/null', '-w', '%{http_code}', "$url/status/503");
    is($out, '503', "$name: a refusal stays one") or diag($out);
    for my $version ('--http1.1', '--http2')
    {
        ($good, $out) = run_program(@curl, $version, "$url/echo");
        is(eval { decode_json($out)->{headers}{host} }, "api.example.com:$proxy_port", "$name: the host comes with its port, $version") or diag($out);
    }
    return sub { my ($flags, $path) = @_; return run_program(@curl, @$flags, "$url$path") };
}

SKIP:
{
    my $nginx = program('nginx') or skip 'nginx is not installed', 1;
    my $text = slurp_file("$deploy/nginx.conf");
    ok($text =~ s/127\.0\.0\.1:8080/127.0.0.1:$gateway->{port}/ && $text =~ s{/etc/usher}{$folder}g, 'nginx.conf names the gateway and certificates');
    $text =~ s/listen \[::\]:\d+[^;]*;//g;
    $text =~ s/listen 443/listen 127.0.0.1:$port/;
    $text =~ s/listen 80;/'listen 127.0.0.1:' . ($port + 1) . ';'/e;
    $text =~ s/client_max_body_size/access_log off;\n    client_max_body_size/;
    mkdir "$folder/nginx" or die;
    my $temporary = join '', map { "${_}_temp_path $folder/nginx/$_;\n" } qw(client_body proxy fastcgi uwsgi scgi);
    my $main = write_file('nginx.main', "daemon off;\npid $folder/nginx.pid;\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n$temporary$text\n}\n");
    my @command = ($nginx, '-p', $folder, '-c', $main, '-e', 'stderr');
    ($good, $out) = run_program(@command, '-t');
    ok($good, 'nginx -t') or diag($out) or skip 'nginx does not take it', 1;
    my $process = IPC::Run::start([@command], '<', \undef, '>', "$folder/nginx.log", '2>&1');
    my $ask = through('nginx', $port);
    # compressed is what all may read, and nothing else
    my @head = ('-H', 'Accept-Encoding: gzip', '-o', '/dev/null', '-D', '-');
    for my $case ([ '/docs/swagger-ui.css', 1 ], [ '/docs/swagger-ui-bundle.js', 1 ], [ '/openapi.json', 1 ], [ '/big?5000', 0 ])
    {
        ($good, $out) = $ask->(\@head, $case->[0]);
        is($out =~ /^content-encoding: gzip/mi ? 1 : 0, $case->[1], "nginx: $case->[0] is " . ($case->[1] ? 'compressed' : 'as it is')) or diag($out);
    }
    ($good, $out) = $ask->([ '-H', 'Content-Type: application/json', '-d', '{"status": 200, "headers": [["ETag", "\"7\""], ["Content-Type", "application/json"]], "body": "' . 'x' x 3000 . '"}', @head ], '/answer');
    like($out, qr/^etag: "7"\r?$/mi, 'nginx: the tag of a version stays strong, as If-Match wants it') or diag($out);
    # one program that asks for all of them, on one connection: quicker than the limit on a busy machine too
    ($good, $out) = $ask->([ '-o', '/dev/null', '-w', "%{http_code} %{content_type} \n" ], '/auth/login?[1-100]');
    my %seen;
    $seen{$_}++ for split /\n/, $out;
    is(join(', ', sort keys %seen), '404 application/problem+json , 429 application/problem+json ', 'nginx: logins of one address are limited, and the refusal is a problem document') or diag(explain(\%seen));
    ($good, $out) = $ask->(['-D', '-'], '/auth/login');
    like($out, qr/^retry-after: 1\r?$/mi, '… that says when to come back') if $out =~ / 429/;
    ($good, $out) = $ask->([ '-o', '/dev/null', '-w', '%{http_code}' ], '/echo');
    is($out, '200', 'nginx: … while other requests pass');
    $process->signal('QUIT');
    $process->finish;
}
SKIP:
{
    my $haproxy = program('haproxy') or skip 'haproxy is not installed', 1;
    ($good, $out) = run_program($haproxy, '-c', '-f', "$deploy/ha/haproxy.cfg");
    ok($good, 'haproxy -c of ha/haproxy.cfg') or diag($out);
    my $text = slurp_file("$deploy/haproxy.cfg");
    $port += 10;
    # the gateway with the options that are shipped for it, but for addresses, ports and the database; haproxy's own address is 127.0.0.1 here
    my $behind = write_file('behind.json', slurp_file("$deploy/ha/gateway.json") =~ s/\b10\.0\.0\.20\b/127.0.0.1/gr =~ s/\b10\.0\.0\.21\b/127.0.0.21/gr =~ s/^  "standby_database".*\n//mr);
    my $other = start_gateway($node, drain_delay_ms => 0, environment => { USHER_GATEWAY_CONFIG => $behind });
    my ($admin_port) = $other->{admin} =~ /:(\d+)$/;
    ok($text =~ s/bind :443/bind 127.0.0.1:$port/ && $text =~ s{/etc/usher}{$folder} && $text =~ s/port 8081/port $admin_port/ && $text =~ s/10\.0\.0\.21:8080/127.0.0.21:$other->{port}/, 'haproxy.cfg names all of it');
    ok($text =~ s/^    server two .*\n//m && $text !~ /^    server .* 10\./m, '… and this test has one of them');
    $text =~ s/maxconn 20000/maxconn 200/;
    my $config = write_file('haproxy.cfg', $text);
    ($good, $out) = run_program($haproxy, '-c', '-f', $config);
    ok($good, 'haproxy -c') or diag($out) or skip 'haproxy does not take it', 1;
    my $process = IPC::Run::start([ $haproxy, '-db', '-f', $config ], '<', \undef, '>', "$folder/haproxy.log", '2>&1');
    my $ask = through('haproxy', $port);
    ($good, $out) = $ask->([ '--interface', '127.0.0.9', '-H', 'X-Forwarded-For: 203.0.113.5' ], '/echo');
    is(eval { decode_json($out)->{client_ip} }, '127.0.0.9', 'haproxy: the client of a request is the client, and not haproxy') or diag($out);
    # a gateway that drains gets nothing new, and no request is lost
    $process->signal('TERM');
    $process->finish;
    is(stop_gateway($other), 0, 'stopped');
}
SKIP:
{
    my $systemd = program('systemd-analyze') or skip 'systemd-analyze is not installed', 1;
    for my $program (sort keys %unit, map { "$_\@" } keys %unit)
    {
        my ($plain) = $program =~ /(\w+)/;
        my $unit = slurp_file("$deploy/usher-$program.service") =~ s{/usr/bin/usher-$plain}{$binary{$plain}}gr; # verify wants the program to be there
        $unit =~ s/^Documentation=.*\n//m;
        my $file = write_file("usher-$program.service", $unit);
        ($good, $out) = run_program($systemd, 'verify', $file);
        ok($good, "$program: systemd-analyze verify");
        unlike($out, qr/usher-$plain/, '… without a word') or diag($out);
        ($good, $out) = run_program($systemd, 'security', '--offline=true', '--threshold=20', $file);
        ok($good, '… and security: exposure of at most 2.0') or diag($out);
    }
}
is(stop_gateway($gateway), 0, 'stopped');
done_testing();
