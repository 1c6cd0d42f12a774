# deploy/: the unit, the proxies' configurations and the gateway's own, each checked by the program that reads it.
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

system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2, '-subj', '/CN=api.example.com',
    '-addext', 'subjectAltName=DNS:api.example.com', '-keyout', "$folder/tls.key", '-out', "$folder/tls.crt");
write_file('tls.pem', slurp_file("$folder/tls.crt") . slurp_file("$folder/tls.key"));
my $node = start_cluster('deploy');
my $gateway = start_gateway($node, trusted_proxies => '127.0.0.1');
my $port = 10000 + int(rand(20000));

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
    through('nginx', $port);
    $process->signal('QUIT');
    $process->finish;
}
SKIP:
{
    my $haproxy = program('haproxy') or skip 'haproxy is not installed', 1;
    my $text = slurp_file("$deploy/haproxy.cfg");
    $port += 10;
    my ($admin_port) = $gateway->{admin} =~ /:(\d+)$/;
    ok($text =~ s/bind :443/bind 127.0.0.1:$port/ && $text =~ s{/etc/usher}{$folder} && $text =~ s/port 8081/port $admin_port/ && $text =~ s/10\.0\.0\.11:8080/127.0.0.1:$gateway->{port}/, 'haproxy.cfg names all of it');
    $text =~ s/^.*10\.0\.0\.12.*\n//m;
    $text =~ s/maxconn 20000/maxconn 200/;
    my $config = write_file('haproxy.cfg', $text);
    ($good, $out) = run_program($haproxy, '-c', '-f', $config);
    ok($good, 'haproxy -c') or diag($out) or skip 'haproxy does not take it', 1;
    my $process = IPC::Run::start([ $haproxy, '-db', '-f', $config ], '<', \undef, '>', "$folder/haproxy.log", '2>&1');
    through('haproxy', $port);
    # a gateway that drains gets nothing new, and no request is lost
    $process->signal('TERM');
    $process->finish;
}
SKIP:
{
    my $systemd = program('systemd-analyze') or skip 'systemd-analyze is not installed', 1;
    my $unit = slurp_file("$deploy/usher-gateway.service");
    $unit =~ s{/usr/bin/usher-gateway}{$ENV{USHER_GATEWAY}}g; # verify wants the program to be there
    $unit =~ s/^Documentation=.*\n//m;
    my $file = write_file('usher-gateway.service', $unit);
    ($good, $out) = run_program($systemd, 'verify', $file);
    ok($good, 'systemd-analyze verify');
    unlike($out, qr/usher-gateway/, '… without a word') or diag($out);
    ($good, $out) = run_program($systemd, 'security', '--offline=true', '--threshold=20', $file);
    ok($good, 'systemd-analyze security: exposure of at most 2.0') or diag($out);
}
is(stop_gateway($gateway), 0, 'stopped');
done_testing();
