# Where requests of usher-courier lead, and what is done to it there: names that resolve to the inside, names that change between two
# looks, redirects, certificates that prove nothing, and servers that answer slowly, without end, or something else.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherCourier;

my $folder = PostgreSQL::Test::Utils::tempdir();
make_certificates();
my $there = start_node_servers('outsiders.js', $folder);
my $names = "$folder/names";
append_to_file($names, <<~'NAMES');
    good.test 127.0.0.1
    inside.test 127.0.0.2
    both.test 127.0.0.2 127.0.0.1
    turned.test 127.0.0.1 127.0.0.2
    sixth.test ::1
    mapped.test ::ffff:127.0.0.1
    clothed.test 64:ff9b::7f00:1 2002:7f00:1::
    metadata.test 169.254.169.254 fe80::1
    nothing.test 0.0.0.0 ::
    changes.test 127.0.0.1
    changes.test 127.0.0.2
    NAMES
my $resolver = "$folder/names.so";
system_or_bail('gcc', '-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', $resolver, "$ENV{USHER_SOURCE}/test/names/names.c", '-ldl');

my $node = start_courier_cluster('courier_outsiders');
my %courier = (mail_threads => 0, tls_ca => "$folder/ca.crt", environment => { LD_PRELOAD => $resolver, USHER_NAMES => $names });
my $courier = start_courier($node, %courier);
sub one { return $node->safe_psql('postgres', $_[0]) }
one('CREATE TABLE app.answers (request uuid, answer jsonb)');
one('CREATE FUNCTION app.take(request uuid, answer jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO app.answers VALUES (request, answer) $$');

# What comes of one request to each of these URLs: { URL => status or error }
sub results
{
    my @urls = @_;
    my %ids = map { $_ => one('SELECT mail.enqueue_http_request(' . sql_text($_) . ", max_attempts => 1, time_limit => '2 seconds', handler => 'app.take(uuid,jsonb)')") } @urls;
    my $list = join ', ', map { "'$_'" } values %ids;
    my $limit = time + 120;
    until (one("SELECT count(*) FROM app.answers WHERE request IN ($list)") == @urls) { die 'no answer' if time > $limit; select undef, undef, undef, 0.05 }
    return { map { $_ => one("SELECT coalesce(answer ->> 'status_code', answer ->> 'error') || coalesce(' ' || (answer ->> 'body'), '') FROM app.answers WHERE request = '$ids{$_}'") } @urls };
}
sub heard { my ($where) = @_; return grep { $_->{where} eq $where } received({ folder => $folder }, 'http') }

# --- names
my $web = ":$there->{web}";
is_deeply(results("http://good.test$web/"), { "http://good.test$web/" => '200 web' }, 'a name is looked up, and what it leads to answers');
my @inside = map { "http://$_.test$web/" } qw(inside sixth mapped clothed metadata nothing);
is_deeply(results(@inside), { map { $_ => 'address_refused' } @inside }, 'names that lead to the inside: ' . join(' ', @inside));
is(results("http://unknown.test$web/")->{"http://unknown.test$web/"}, 'name_not_resolved', 'a name that leads nowhere');
for my $name ("http://both.test$web/", "http://turned.test$web/")
{
    is(results($name)->{$name}, '200 web', "of several addresses the one that may be reached is: $name");
}
is(results("http://changes.test$web/one")->{"http://changes.test$web/one"}, '200 web', 'a name that leads outside when it is looked up first');
stop_courier($courier);
$courier = start_courier($node, %courier);
is(results("http://changes.test$web/two")->{"http://changes.test$web/two"}, 'address_refused', '… and inside the next time is refused then');
is(scalar(grep { $_ eq 'changes.test' } split /\n/, slurp_file("$names.looks")), 2, '… having been looked up twice');
is(scalar(heard('inside')), 0, 'nobody inside has heard of any of it');

# --- redirects
my @to = map { "http://good.test$web/to?$_" } "http://127.0.0.2$web/", "http://inside.test$web/", 'file:///etc/passwd', "http://good.test$web/followed", "//127.0.0.2$web/";
is_deeply(results(@to), { map { $_ => '307 ' } @to }, 'a redirect is an answer');
is(scalar(heard('inside')), 0, '… and leads nowhere');
is(scalar(grep { $_->{url} eq '/followed' } heard('web')), 0, '… not even outside');

# --- certificates
my %https = map { $_ => "https://good.test:$there->{$_}/" } qw(good other old early self weak);
my $by_address = "https://127.0.0.1:$there->{good}/";
my $plain = "https://good.test$web/";
my $results = results(values %https, $by_address, $plain);
is($results->{ $https{good} }, '200 good', 'TLS, with a certificate that proves it');
is($results->{ $https{$_} }, 'tls_failed', "not with $_") for qw(other old early self);
is($results->{ $https{weak} }, 'tls_failed', 'not with TLS 1.1');
is($results->{$by_address}, 'tls_failed', 'not where the certificate has the name and the URL the address');
is($results->{$plain}, 'tls_failed', 'not with what speaks HTTP');
is_deeply([ map { scalar heard($_) } qw(good other old early self weak) ], [ 1, 0, 0, 0, 0, 0 ], 'none of them has heard the request');
stop_courier($courier);
$courier = start_courier($node, %courier, tls_ca => '');
is(results($https{good})->{ $https{good} }, 'tls_failed', 'an authority that only the program is told of is none without it');
stop_courier($courier);
$courier = start_courier($node, %courier);

# --- time and size
my $raw = "http://good.test:$there->{raw}";
my %expected = (
    (map { $_ => 'timeout' } qw(slow-body slow-head slow-fields slow-status silent continues)),
    (map { $_ => 'answer_too_large' } qw(endless-body endless-chunks endless-chunk endless-fields endless-continue endless-trailer large-length)),
    (map { $_ => 'connection_lost' } qw(short no-http bad-chunk endless-head))); # of one field libcurl itself takes no more than 100 kB
my $begin = time;
my $answers = results(map { "$raw/$_" } sort keys %expected);
my $seconds = time - $begin;
is($answers->{"$raw/$_"}, $expected{$_}, "$_ ends: $expected{$_}") for sort keys %expected;
cmp_ok($seconds, '<', 60, 'all of them in the time that each may take') or diag("$seconds s");
my ($most) = slurp_file("/proc/$courier->{pid}/status") =~ /^VmHWM:\s+(\d+) kB$/m;
cmp_ok($most, '<', 200_000, 'and in little memory') or diag("$most kB");
is(results("http://good.test$web/after")->{"http://good.test$web/after"}, '200 web', 'then others are served as before');
my $log = join "\n", grep { !/"event":"working"/ } split /\n/, slurp_file($courier->{log}); # which tells where its own metrics are
unlike($log, qr/\.test|endless|127\.0\.0/, 'the log says nothing of where it was');
is(stop_courier($courier), 0, 'it stops in good order');
is(one('SELECT count(*) FROM usher.self_check() WHERE violations > 0'), 0, 'self_check() finds nothing');
done_testing();

# An authority, and certificates of it: good and weak for good.test, other for another name, old and early for other days; self is its own.
sub make_certificates
{
    append_to_file("$folder/ca.conf", <<~"CONF");
        [ca]
        default_ca = ours
        [ours]
        database = $folder/index
        new_certs_dir = $folder
        certificate = $folder/ca.crt
        private_key = $folder/ca.key
        default_md = sha256
        policy = any
        rand_serial = yes
        unique_subject = no
        copy_extensions = copy
        [any]
        commonName = supplied
        CONF
    append_to_file("$folder/index", '');
    my @key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes');
    system_or_bail('openssl', 'req', '-x509', @key, '-days', '2', '-subj', '/CN=ca', '-keyout', "$folder/ca.key", '-out', "$folder/ca.crt");
    system_or_bail('openssl', 'req', '-x509', @key, '-days', '2', '-subj', '/CN=good.test', '-addext', 'subjectAltName=DNS:good.test', '-keyout', "$folder/self.key", '-out', "$folder/self.crt");
    my $year = (gmtime)[5] + 1900;
    for ([ 'good', 'good.test', $year - 1, $year + 1 ], [ 'other', 'elsewhere.test', $year - 1, $year + 1 ], [ 'old', 'good.test', $year - 2, $year - 1 ], [ 'early', 'good.test', $year + 1, $year + 2 ])
    {
        my ($name, $host, $from, $until) = @$_;
        system_or_bail('openssl', 'req', '-new', @key, '-subj', "/CN=$host", '-addext', "subjectAltName=DNS:$host", '-keyout', "$folder/$name.key", '-out', "$folder/$name.csr");
        system_or_bail('openssl', 'ca', '-batch', '-notext', '-config', "$folder/ca.conf", '-startdate', "${from}0101000000Z", '-enddate', "${until}0101000000Z", '-in', "$folder/$name.csr", '-out', "$folder/$name.crt");
    }
}
