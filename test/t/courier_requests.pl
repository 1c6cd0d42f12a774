# HTTP requests by usher-courier: webhooks that npm standardwebhooks verifies, requests of the application with handlers, keys
# of an outside issuer; and where no request may go.
use strict;
use warnings;
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherCourier;

my $node = start_courier_cluster('courier_requests');
my $there = start_receivers();
my $web = "http://127.0.0.1:$there->{web}";
my $courier = start_courier($node, mail_threads => 0);
sub one { return $node->safe_psql('postgres', $_[0]) }
sub heard { my ($url) = @_; return grep { $_->{url} eq $url } received($there, 'http') }
sub make_ready { one("UPDATE mail.http_requests SET next_attempt_at = now() WHERE status IN ('pending', 'answered')") }
sub error_of { my ($sql) = @_; my ($code, $out, $errors) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql"); return $errors =~ /ERROR:  (\w{5})/ ? $1 : 'none' }

# --- webhooks
my ($id, $secret) = split /\|/, one("SELECT * FROM mail.add_webhook('$web/hook', '{letter.*,user.*}')");
like($secret, qr{^whsec_[A-Za-z0-9+/]{43}=$}, 'a webhook has a secret, told once');
my $settings = { secrets => [$secret] };
UsherCourier::web_says($there, $settings);
my $event = one("SELECT usher.publish('letter.written', '{\"title\": \"Grüße\"}', 'letters')");
wait_for(sub { one("SELECT count(*) FROM mail.http_requests WHERE status = 'completed'") == 1 }, 'an event goes out');
my ($request) = heard('/hook');
is_deeply($request->{verified}, [ JSON::PP::true ], 'standardwebhooks verifies its signature');
my $body = UsherCourier::as_bytes(decode_json($request->{body}));
is_deeply([ $body->{type}, $body->{data}{title}, $request->{headers}{'webhook-id'} ], [ 'letter.written', 'Grüße', $event ], 'type, data and id are those of the event');

my $second = one("SELECT mail.rotate_webhook_secret('$id')");
$settings->{secrets} = [ $secret, $second ];
UsherCourier::web_says($there, $settings);
one(q{SELECT usher.publish('letter.written', '{"title": "both"}')});
wait_for(sub { grep { $_->{body} =~ /both/ } heard('/hook') }, 'an event after a rotation goes out');
is_deeply((grep { $_->{body} =~ /both/ } heard('/hook'))[0]{verified}, [ JSON::PP::true, JSON::PP::true ], '… signed with the old secret and the new one');

# secrets stay
one("SELECT usher.publish('letter.secret', '{\"reset_token\": \"tiger\"}')");
one("SELECT user_id FROM usher.register_user('ann\@example.com', 'tiger umbrella 47 rivers')");
one("SELECT usher.publish('letter.written', '{\"title\": \"last\"}')");
wait_for(sub { grep { $_->{body} =~ /last/ } heard('/hook') }, 'what was published last has gone');
wait_for(sub { one("SELECT count(*) FROM usher.deliveries WHERE consumer = 'usher_courier.webhooks' AND status = 'pending'") == 0 }, 'and all that was before it was looked at');
is(scalar(grep { $_->{body} =~ /tiger|token|verification_requested/ } heard('/hook')), 0, 'no webhook gets an event that carries a token');
is(error_of("SELECT mail.add_webhook('$web/hook', '{user.password_reset_requested}')"), 'UM003', '… nor can one ask for it');

# what was sent stays for a replay, without what was personal of somebody who is gone
my $ann = one("SELECT id FROM usher.users WHERE email = 'ann\@example.com'");
one("SELECT usher.publish('user.password_changed', jsonb_build_object('user_id', '$ann', 'client_ip', '203.0.113.77'), '$ann')");
wait_for(sub { grep { $_->{body} =~ /203\.0\.113\.77/ } heard('/hook') }, 'an event with an address of somebody goes out');
my ($replayed) = map { $_->{headers}{'webhook-id'} } grep { $_->{body} =~ /203\.0\.113\.77/ } heard('/hook');
one("SELECT usher.erase_user('$ann')");
is(one("SELECT mail.retry_http_request(request_id) FROM mail.list_http_requests() WHERE event_id = '$replayed'"), 't', 'after the user was erased it can be sent again');
wait_for(sub { 2 == grep { $_->{headers}{'webhook-id'} eq $replayed } heard('/hook') }, '… and it is');
is_deeply([ map { [ $_->{body} =~ /203\.0\.113\.77/ ? 1 : 0, $_->{body} =~ /\Q$ann\E/ ? 1 : 0 ] } grep { $_->{headers}{'webhook-id'} eq $replayed } heard('/hook') ], [ [ 1, 1 ], [ 0, 1 ] ],
    '… without what was personal');

# failures, order, dead letters, replay
$settings->{status} = { '/hook' => 500 };
UsherCourier::web_says($there, $settings);
one("SELECT usher.publish('letter.written', jsonb_build_object('title', 'ordered ' || i), 'one key') FROM generate_series(1, 3) AS i");
wait_for(sub { grep { $_->{body} =~ /ordered 1/ } heard('/hook') }, 'a receiver that fails is tried');
wait_for(sub { one("SELECT status || ' ' || status_code FROM mail.http_requests ORDER BY id DESC LIMIT 1 OFFSET 2") eq 'pending 500' }, '… and again later');
is(scalar(grep { $_->{body} =~ /ordered [23]/ } heard('/hook')), 0, 'those of the same key wait for it');
isnt(one("SELECT failing_since FROM mail.list_webhooks()"), '', 'the list says since when it fails');
$settings->{status} = {};
UsherCourier::web_says($there, $settings);
wait_for(sub { make_ready(); one("SELECT count(*) FROM mail.http_requests WHERE status IN ('pending', 'claimed')") == 0 }, 'then all go');
is_deeply([ grep { $_ } map { $_->{status} == 200 && $_->{body} =~ /ordered (\d)/ ? $1 : () } heard('/hook') ], [ 1, 2, 3 ], '… in their order');
$settings->{status} = { '/hook' => 503 };
UsherCourier::web_says($there, $settings);
one("SELECT usher.publish('letter.written', '{\"title\": \"dead\"}')");
wait_for(sub { one("SELECT count(*) FROM mail.http_requests WHERE status = 'pending' AND attempts = 1") == 1 }, 'another one fails');
one("UPDATE mail.http_requests SET attempts = 24, next_attempt_at = now() WHERE status = 'pending'");
wait_for(sub { one("SELECT count(*) FROM mail.list_http_requests('failed')") == 1 }, 'after 25 attempts it is a dead letter');
is(one("SELECT count(*) FROM usher.events WHERE event = 'http_request.failed'"), 1, '… which an event tells');
$settings->{status} = {};
UsherCourier::web_says($there, $settings);
is(one("SELECT mail.retry_http_request(request_id) FROM mail.list_http_requests('failed')"), 't', 'replayed by hand');
wait_for(sub { grep { $_->{status} == 200 && $_->{body} =~ /dead/ } heard('/hook') }, '… it arrives');

# a week of failures, and 410
$settings->{status} = { '/hook' => 500, '/gone' => 410 };
UsherCourier::web_says($there, $settings);
one("UPDATE mail.webhooks SET failing_since = now() - interval '8 days'");
one("SELECT usher.publish('letter.written', '{\"title\": \"week\"}')");
wait_for(sub { one("SELECT disabled_reason FROM mail.list_webhooks()") eq 'failures' }, 'a webhook that has failed for a week is disabled');
is(one("SELECT payload ->> 'id' FROM usher.events WHERE event = 'webhook.disabled'"), $id, '… which an event tells');
one("SELECT mail.update_webhook('$id', url => '$web/gone', is_active => true)");
wait_for(sub { make_ready(); one("SELECT disabled_reason FROM mail.list_webhooks()") eq 'gone' }, 'one whose receiver says 410 is disabled at once');
one("SELECT mail.remove_webhook('$id')");
is(one("SELECT count(*) FROM usher.list_subscriptions() WHERE consumer = 'usher_courier.webhooks'"), 0, 'without webhooks nothing is followed');

# --- requests of the application
one(<<'SQL');
CREATE TABLE app.answers (request uuid, answer jsonb);
CREATE FUNCTION app.take(request uuid, answer jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF answer #>> '{context,mode}' = 'fail' AND NOT EXISTS (SELECT FROM app.answers) THEN RAISE EXCEPTION 'not today'; END IF;
    INSERT INTO app.answers VALUES (request, answer);
END $$;
SQL
sub ask
{
    my ($path, %more) = @_;
    my $extra = join '', map { ", $_ => $more{$_}" } sort keys %more;
    my $url = $path =~ /^http/ ? $path : $web . $path;
    return one("SELECT mail.enqueue_http_request('$url', handler => 'app.take(uuid,jsonb)'$extra)");
}
sub answer_to { my ($id) = @_; my $text = one("SELECT answer FROM app.answers WHERE request = '$id'"); return $text eq '' ? undef : decode_json($text) }
sub wait_answer { my ($id, $name) = @_; wait_for(sub { make_ready() if $name =~ /again/; answer_to($id) }, $name); return answer_to($id) // {} }
my $asked = ask('/check', method => "'POST'", headers => q{'{"authorization": "Bearer swordfish", "content-type": "text/plain"}'}, body => "'secret=swordfish'", context => q{'{"order": 7}'});
is(one("SELECT count(*) FROM mail.http_requests AS r WHERE to_jsonb(r) - 'content' \@? '\$.** ? (\@.type() == \"string\" && \@ like_regex \"swordfish\")'"), 0, 'headers and body stand in no other column');
my $answer = wait_answer($asked, 'the handler gets the answer');
is_deeply([ $answer->{status_code}, $answer->{context}{order}, decode_json($answer->{body})->{heard} ], [ 200, 7, '/check' ], '… with status, context and body');
is_deeply([ map { [ $_->{method}, $_->{body}, $_->{headers}{authorization} ] } heard('/check') ], [ [ 'POST', 'secret=swordfish', 'Bearer swordfish' ] ], 'the request was what was asked for');
wait_for(sub { one("SELECT count(*) FROM mail.http_requests WHERE id = '$asked' AND content IS NULL AND answer IS NULL") == 1 }, 'what it held is gone when it is done');
my %got = (redirect => wait_answer(ask('/redirect'), 'a redirect is an answer'), big => wait_answer(ask('/big', max_attempts => 1), 'an answer that is too large'),
    bytes => wait_answer(ask('/bytes'), 'an answer that is no text'), slow => wait_answer(ask('/slow', time_limit => "'1 second'", max_attempts => 1), 'an answer that never comes'),
    dies => wait_answer(ask('/dies', max_attempts => 1), 'a connection that dies'));
is_deeply([ $got{redirect}{status_code}, scalar(heard('/never')) ], [ 302, 0 ], '… that nobody follows');
is_deeply([ @{ $got{big} }{qw(error body)} ], [ 'answer_too_large', undef ], '… is cut off');
is($got{bytes}{body_base64}, '/wAB', '… comes in base64');
is_deeply([ $got{slow}{error}, $got{dies}{error} ], [ 'timeout', 'connection_lost' ], 'each has its word');
$settings->{status} = { '/flaky' => 503 };
UsherCourier::web_says($there, $settings);
my $flaky = ask('/flaky');
wait_for(sub { one("SELECT status || attempts FROM mail.http_requests WHERE id = '$flaky'") eq 'pending1' }, '503 is tried again later');
$settings->{status} = {};
UsherCourier::web_says($there, $settings);
is(wait_answer($flaky, '… again and then answered')->{attempts}, 2, '… at the second attempt');
one('TRUNCATE app.answers');
my $failing = ask('/handler', context => q{'{"mode": "fail"}'});
wait_for(sub { one("SELECT status FROM mail.http_requests WHERE id = '$failing'") eq 'answered' }, 'a handler that fails is called again');
one("INSERT INTO app.answers VALUES (NULL, '{}')");
wait_answer($failing, '… again with the answer that there is');
is(scalar(heard('/handler')), 1, '… and the request is not sent again');
one("SELECT mail._call_request_handler('app.take(uuid,jsonb)'::regprocedure, NULL, NULL, 1)");
is(one('SELECT count(*) FROM app.answers WHERE answer IS NULL'), 1, 'a handler that is given nothing gets NULL');
# one that takes longer than a statement of the program may, and one that takes longer than it may itself
one(<<'SQL');
CREATE FUNCTION app.take_slowly(request uuid, answer jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep((answer #>> '{context,seconds}')::numeric);
    INSERT INTO app.answers VALUES (request, answer);
END $$;
ALTER SYSTEM SET usher.handler_timeout = '4s';
SELECT pg_reload_conf();
SQL
my $hasty = start_courier($node, mail_threads => 0, statement_timeout_ms => 1000);
stop_courier($courier);
my ($slow, $endless) = map { one("SELECT mail.enqueue_http_request('$web/slow_handler', handler => 'app.take_slowly(uuid,jsonb)', context => '{\"seconds\": $_}', max_attempts => 1)") } 2.5, 60;
wait_for(sub { one("SELECT status FROM mail.http_requests WHERE id = '$slow'") eq 'answered' }, 'an answer is kept before its handler is done');
ask('/beside');
wait_for(sub { heard('/beside') }, '… and other requests go out meanwhile');
is(answer_to($slow), undef, '… while it is not');
wait_answer($slow, 'a handler that takes longer than statement_timeout_ms gets its answer');
wait_for(sub { one("SELECT status || ' ' || error_code FROM mail.http_requests WHERE id = '$endless'") =~ /^failed handler: 53400/ }, 'one that takes longer than usher.handler_timeout has failed');
is(one("SELECT payload ->> 'reason' FROM usher.events WHERE event = 'http_request.failed' ORDER BY id DESC LIMIT 1"), 'handler: 53400', '… which an event tells');
is(scalar(heard('/slow_handler')), 2, '… and neither request is sent again');
one("ALTER SYSTEM RESET usher.handler_timeout; SELECT pg_reload_conf()");
stop_courier($hasty);
$courier = start_courier($node, mail_threads => 0);

# whose handler
one("CREATE ROLE app_test LOGIN; SELECT usher.grant_access('app_test', 'application'); GRANT USAGE ON SCHEMA app TO app_test");
my ($code, $out, $errors) = $node->psql('postgres', "SELECT mail.enqueue_http_request('$web/x', handler => 'app.take(uuid,jsonb)')", extra_params => [ '-U', 'app_test' ]);
like($errors, qr/only the owner of a function can make it a handler/, 'nobody names a handler of others');
($code, $out, $errors) = $node->psql('postgres', "SELECT mail.enqueue_http_request('$web/x')", extra_params => [ '-U', 'app_test' ]);
is($errors, '', 'an application may send requests');
($code, $out, $errors) = $node->psql('postgres', 'SELECT mail.claim_requests($$x$$)', extra_params => [ '-U', 'app_test' ]);
like($errors, qr/permission denied/, '… but not read those of others');
# what a handler of theirs may
one(<<'SQL');
CREATE SCHEMA app_own AUTHORIZATION app_test;
SET ROLE app_test;
CREATE TABLE app_own.seen (who name, what text);
CREATE FUNCTION app_own.spy(request uuid, answer jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    attempt text;
BEGIN
    FOREACH attempt IN ARRAY ARRAY['SELECT count(*) FROM mail.http_requests', 'SELECT mail.claim_messages($x$spy$x$)', 'SET ROLE courier_test', 'RESET ROLE', 'CREATE TEMP TABLE left_behind ()'] LOOP
        BEGIN
            EXECUTE attempt;
            INSERT INTO app_own.seen VALUES (current_user, attempt);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    INSERT INTO app_own.seen VALUES (current_user, 'called');
END $$;
SQL
$node->safe_psql('postgres', "SELECT mail.enqueue_http_request('$web/spy', handler => 'app_own.spy(uuid,jsonb)')", extra_params => [ '-U', 'app_test' ]);
wait_for(sub { one("SELECT count(*) FROM app_own.seen WHERE what = 'called'") == 1 }, 'an application names its own handler');
is(one("SELECT string_agg(who || ' ' || what, ',') FROM app_own.seen"), 'app_test called', '… which runs as its owner, and gets at nothing of the courier or the extension');
is(error_of("SELECT mail.enqueue_http_request('$web/x', headers => '{\"x\": \"a\\r\\nb: c\"}')"), '22023', 'no header ends its line');

# --- where no request may go: what its text tells at once, and the rest when somebody connects
my %at_once = map { $_ => 1 } (
    'ftp://example.com/', 'file:///etc/passwd', 'gopher://127.0.0.1:25/', 'javascript:alert(1)', '//example.com/', 'http://', 'http:///x', 'http://user@example.com/', 'http://user:word@127.0.0.1/',
    'http://127.0.0.1@10.0.0.1/', 'http://10.0.0.1/', 'http://10.255.255.255:8080/', 'http://172.16.0.1/', 'http://172.31.255.255/', 'http://192.168.1.1/', 'http://169.254.169.254/latest/meta-data/',
    'http://127.0.0.2/', 'http://127.255.255.255/', 'http://0.0.0.0/', 'http://100.64.0.1/', 'http://192.0.0.192/', 'http://198.18.0.1/', 'http://192.0.2.1/', 'http://224.0.0.1/', 'http://255.255.255.255/',
    'http://[::1]/', 'http://[::]/', 'http://[fe80::1]/', 'http://[fe80::1%25eth0]/', 'http://[fc00::1]/', 'http://[fd12:3456::1]/', 'http://[ff02::1]/', 'http://[::ffff:10.0.0.1]/', 'http://[::ffff:a9fe:a9fe]/',
    'http://[64:ff9b::7f00:1]/', 'http://[2002:7f00:1::]/', 'http://[2001:0:7f00:1::]/', 'http://[2001:db8::1]/', 'http://[::127.0.0.1]/', 'http://example.com:99999999/', "http://exa\x01mple.com/", 'http://example.com /',
    'http://ex{a}mple.com/');
one(<<'SQL');
CREATE FUNCTION app.refusal(url text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM mail.enqueue_http_request(url); RETURN 'none'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SQL
is(one('SELECT u FROM unnest(ARRAY[' . join(', ', map { sql_text($_) } sort keys %at_once) . "]) AS u WHERE app.refusal(u) <> 'UM002'"), '', scalar(keys %at_once) . ' URLs are refused by what they say');
my @at_connect = ('http://2130706434/', 'http://0x7f.2/', 'http://0177.0.0.2/', 'http://127.2/', 'http://0/', 'http://3232235777/', 'http://0xa9fea9fe/', 'http://[0:0:0:0:0:ffff:7f00:1]:' . $there->{web} . '/');
one("INSERT INTO app.answers SELECT NULL, '{}' WHERE false");
my @refused;
for my $url (@at_connect)
{
    my $result = error_of('SELECT mail.enqueue_http_request(' . sql_text($url) . ", max_attempts => 1, context => '{\"connect\": true}', handler => 'app.take(uuid,jsonb)')");
    push @refused, $url if $result eq 'UM002';
}
my $expected = @at_connect - @refused;
wait_for(sub { one("SELECT count(*) FROM mail.http_requests WHERE context ? 'connect' AND status IN ('completed', 'failed')") == $expected }, 'other writings of such addresses come to an end');
is(one("SELECT count(*) FROM mail.http_requests WHERE context ? 'connect' AND error_code IS DISTINCT FROM 'address_refused'"), 0, '… refused where they would connect');
one("ALTER DATABASE postgres SET courier.allowed_networks = ''");
my $again = sub { stop_courier($courier); $courier = start_courier($node, mail_threads => 0) }; # sessions learn settings when they begin
$again->();
my $name = ask("http://localhost:$there->{web}/by-name", max_attempts => 1);
is(wait_answer($name, 'a name that leads to this machine')->{error}, 'address_refused', '… is refused after it was resolved');
is(scalar(heard('/by-name')), 0, '… so that nobody hears of it');
one("ALTER DATABASE postgres SET courier.allowed_networks = '127.0.0.1/32, ::1/128'");
$again->();
is(wait_answer(ask("http://localhost:$there->{web}/by-name", max_attempts => 1), 'what the DBA lists')->{status_code}, 200, '… is reached');
{
    my $proxied = start_courier($node, mail_threads => 0, environment => { http_proxy => 'http://127.0.0.1:9', ALL_PROXY => 'http://127.0.0.1:9' });
    stop_courier($courier);
    is(wait_answer(ask('/no-proxy', max_attempts => 1), 'with a proxy in the environment')->{status_code}, 200, '… no proxy is asked');
    $courier = $proxied;
}

# --- keys of an issuer (npm jose)
sub jose
{
    my ($input) = @_;
    local $ENV{NODE_PATH} = $ENV{USHER_NODE};
    my $result = '';
    IPC::Run::run([ 'node', "$ENV{USHER_SOURCE}/test/node/jose.js", 'sign' ], '<', \encode_json($input), '>', \$result) or die 'jose failed';
    my ($es256) = grep { $_->{alg} eq 'ES256' } @{ decode_json($result)->{made} };
    return $es256;
}
my $issuer = "http://127.0.0.1:$there->{web}";
my $claims = { iss => $issuer, aud => 'shop', sub => 'abc', iat => time, exp => time + 3600 };
my @keys = map { jose({ claims => $claims, secret => 'x' x 64 }) } 1 .. 2;
$_->{jwk}{kid} = $_->{kid} for @keys;
my $publish_key = sub {
    my ($key, $kid) = @_;
    $settings->{documents} = { '/.well-known/openid-configuration' => { issuer => $issuer, jwks_uri => "$issuer/jwks" }, '/jwks' => { keys => [ $key->{jwk} ] } };
    $settings->{headers} = { 'cache-control' => 'public, max-age=600' };
    UsherCourier::web_says($there, $settings);
};
$publish_key->($keys[0]);
my $user = one("SELECT user_id FROM usher.register_user('bob\@example.com', 'tiger umbrella 47 rivers')");
one("SELECT usher.link_identity('$user', 'outside', 'abc')");
one("SELECT usher.follow_token_issuer('$issuer', '{shop}', 'outside')");
wait_for(sub { one("SELECT fetched_at IS NOT NULL FROM usher.list_followed_issuers()") eq 't' }, 'discovery document and keys of an issuer are fetched');
is(one("SELECT error IS NULL FROM usher.verify_token('$keys[0]{token}')"), 't', 'a token of the issuer is accepted');
is(one("SELECT due_at BETWEEN fetched_at + interval '599 seconds' AND fetched_at + interval '601 seconds' FROM usher.list_followed_issuers()"), 't', 'Cache-Control says when they are due');
my $fetches = scalar heard('/jwks');
$publish_key->($keys[1]);
is(one("SELECT error FROM usher.verify_token('$keys[1]{token}')"), 'invalid_signature', 'the next key of the same name is not known yet');
one("UPDATE usher.issuer_key_sources SET due_at = now(), asked_at = now() - interval '1 hour'");
wait_for(sub { one("SELECT coalesce(error, '') FROM usher.verify_token('$keys[1]{token}')") eq '' }, 'it is after they were due');
my $other = jose({ claims => $claims, secret => 'x' x 64 });
$keys[1]{jwk}{kid} = 'renamed';
$publish_key->($keys[1]);
is(one("SELECT error FROM usher.verify_token('$other->{token}')"), 'invalid_signature', 'a key that somebody else has is no key');
$settings->{documents}{'/jwks'} = { keys => [] };
UsherCourier::web_says($there, $settings);
one("UPDATE usher.issuer_key_sources SET due_at = now(), asked_at = now() - interval '1 hour'");
wait_for(sub { one("SELECT last_error FROM usher.list_followed_issuers()") =~ /cannot be used/ }, 'a key set that cannot be used is told');
is(one("SELECT coalesce(error, '') FROM usher.verify_token('$keys[1]{token}')"), '', '… and takes nothing away');
$publish_key->($keys[1]);
one("UPDATE usher.issuer_key_sources SET due_at = now(), asked_at = now() - interval '1 hour'");
wait_for(sub { one("SELECT coalesce(error, '') FROM usher.verify_token('$keys[1]{token}')") eq 'unknown_key' }, 'a key that was renamed is unknown');
my $before = scalar heard('/jwks');
$keys[1]{jwk}{kid} = $keys[1]{kid};
$publish_key->($keys[1]);
one("UPDATE usher.issuer_key_sources SET asked_at = now() - interval '1 hour'");
wait_for(sub { one("SELECT coalesce(error, '') FROM usher.verify_token('$keys[1]{token}')") eq '' }, 'an unknown key makes the courier ask before it is due');
my $after = scalar heard('/jwks');
one("SELECT error FROM usher.verify_token('$other->{untyped}')") for 1 .. 3;
cmp_ok($after - $before, '<=', 2, '… once');
$settings->{documents}{'/.well-known/openid-configuration'}{issuer} = 'https://other.example';
UsherCourier::web_says($there, $settings);
one("UPDATE usher.issuer_key_sources SET due_at = now(), asked_at = now() - interval '1 hour'");
wait_for(sub { one("SELECT last_error FROM usher.list_followed_issuers()") =~ /another issuer/ }, 'a discovery document of another issuer is refused');

my $log = slurp_file($courier->{log});
unlike($log, qr/swordfish|whsec_|hook|eyJ/, 'the log has no secret and no address');
is(stop_courier($courier), 0, 'it stops in good order');
unlike(one("SELECT string_agg(a::text, ' ') FROM usher.audit_logs AS a"), qr/swordfish|whsec_|\/hook/, 'nor has the audit log');
is(one("SELECT count(*) FROM usher.self_check() WHERE violations > 0"), 0, 'self_check() finds nothing');
done_testing();
