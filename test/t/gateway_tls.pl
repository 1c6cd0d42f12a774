# TLS: what is spoken, what is not, and new certificates without a restart.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $folder = PostgreSQL::Test::Utils::tempdir();
sub certificate
{
    my ($name, $days) = @_;
    system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 30, '-subj', "/CN=$name",
        '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', "$folder/$name.key", '-out', "$folder/$name.crt");
}
certificate($_) for qw(first second);
sub take { my ($name) = @_; for my $part (qw(key crt)) { my $text = slurp_file("$folder/$name.$part"); open my $f, '>', "$folder/live.$part" or die; print $f $text; close $f } }
take('first');

my $node = start_cluster('tls');
my $gateway = start_gateway($node, tls_certificate => "$folder/live.crt", tls_key => "$folder/live.key");
like($gateway->{url}, qr{^https://127}, 'the ready file says https');

sub curl
{
    my ($certificate, @arguments) = @_;
    my ($out, $errors) = ('', '');
    my $good = IPC::Run::run([ 'curl', '-sS', '--max-time', 20, '--cacert', "$folder/$certificate.crt", @arguments ], '>', \$out, '2>', \$errors);
    return ($good, $out, $errors);
}
my ($good, $out, $errors) = curl('first', '-i', "$gateway->{url}/echo");
ok($good, 'a request over TLS') or diag($errors);
like($out, qr{^HTTP/1\.1 200 }, '… is answered');
($good, $out) = curl('first', '--http2', '-w', '%{http_version} %{num_connects}', '-o', '/dev/null', "$gateway->{url}/echo", '-o', '/dev/null', "$gateway->{url}/echo");
like($out, qr/^1\.1 \d1\.1 0$/, 'HTTP/1.1 is agreed on, and connections are kept') or diag($out);
append_to_file("$folder/large", '{"a":"' . 'x' x 200_000 . '"}');
($good, $out) = curl('first', '-d', "\@$folder/large", '-H', 'Content-Type: application/json', "$gateway->{url}/echo");
cmp_ok(length $out, '>', 200_000, 'a large body, and a large answer');
($good) = curl('first', '--tls-max', '1.1', '--ciphers', 'DEFAULT:@SECLEVEL=0', "$gateway->{url}/echo");
ok(!$good, 'TLS 1.1 is not spoken');
for my $version ('1.2', '1.3')
{
    ($good) = curl('first', "--tlsv$version", '--tls-max', $version, "$gateway->{url}/echo");
    ok($good, "TLS $version is");
}
($good) = curl('first', '--tls-max', '1.2', '--ciphers', 'AES128-SHA', "$gateway->{url}/echo");
ok(!$good, 'no cipher without forward secrecy');
my ($answer, $closed) = raw($gateway, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", wait => 5);
ok($answer !~ /HTTP/ && $closed, 'plain HTTP gets no answer');
my $silent = connect_to($gateway); # holds one thread, nobody else
($good) = curl('first', "$gateway->{url}/echo");
ok($good, 'a client that says nothing does not stop others');
close $silent;
like(http($gateway, 'GET', "$gateway->{admin}/metrics")->{content}, qr/^usher_gateway_tls_failures_total [1-9]/m, 'failed handshakes are counted');

# --- another certificate
sub reloads { return scalar log_lines($gateway, $_[0]) }
($good) = curl('second', "$gateway->{url}/echo");
ok(!$good, 'the second certificate is not there yet');
take('second');
kill 'HUP', $gateway->{pid};
wait_for(sub { reloads('reload') == 1 }, 'SIGHUP');
($good, undef, $errors) = curl('second', "$gateway->{url}/echo");
ok($good, '… and the next connection gets it') or diag($errors);
open my $broken, '>', "$folder/live.crt" or die;
print $broken "no certificate\n";
close $broken;
kill 'HUP', $gateway->{pid};
wait_for(sub { reloads('reload_failed') == 1 }, 'a file that cannot be used');
($good) = curl('second', "$gateway->{url}/echo");
ok($good, '… changes nothing');
is(stop_gateway($gateway), 0, 'stopped');

# --- configuration
sub check { my ($out, $errors) = ('', ''); IPC::Run::run([ $ENV{USHER_GATEWAY}, '--check-config', @_ ], '>', \$out, '2>', \$errors); return ($? >> 8, $errors) }
is((check("--tls-certificate=$folder/first.crt", "--tls-key=$folder/first.key"))[0], 0, '--check-config reads the files');
for my $case ([ "--tls-certificate=$folder/first.crt", qr/go together/ ], [ "--tls-certificate=$folder/first.crt --tls-key=$folder/second.key", qr/does not belong|could not use/ ],
    [ "--tls-certificate=$folder/none --tls-key=$folder/first.key", qr/could not read a certificate/ ], [ "--tls-certificate=$folder/first.crt --tls-key=$folder/first.crt", qr/could not use the private key/ ],
    [ '--tls-min-version=1.1', qr/must be 1\.2 or 1\.3/ ], [ '--pages=/no/such/folder', qr/no index\.html/ ])
{
    my ($status, $said) = check(split / /, $case->[0]);
    is($status, 2, "refused: $case->[0]");
    like($said, $case->[1], '… and why');
}
done_testing();
