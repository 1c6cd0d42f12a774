# The life of the extension: whoever registered before it came gets their mail, it is alone in a schema whose name needs quotes, dumped and
# restored with what was decided and what is under way, no token gets into a log, and it goes while core goes on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('courier_life');
$node->init;
$node->append_conf('postgresql.conf', "usher.argon2_memory = 8MB\nusher.argon2_iterations = 1\nshared_preload_libraries = ''\nlog_statement = all\nlog_min_messages = debug1\nlog_parameter_max_length = -1\n");
$node->start;
sub one { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', "SET client_min_messages = warning; $sql") }

one("CREATE EXTENSION usher CASCADE; SELECT usher.register_user('early\@courier.example', 'correct horse battery'); SELECT usher.request_password_reset('early\@courier.example')");
my $early = one(q{SELECT string_agg(payload ->> 'token', ' ' ORDER BY id) FROM usher.events WHERE payload ? 'token'});
like($early, qr/^\S{40,} \S{40,}$/, 'somebody registers and asks for a reset before there is a courier');
my $post = '"The Post"';
one(qq{CREATE SCHEMA $post; CREATE EXTENSION usher_courier SCHEMA $post; CREATE ROLE program LOGIN; SELECT usher.grant_access('program', 'courier')});
my $claim = qq{SELECT recipient || ' ' || subject || ' ' || substring(body_text FROM 'token=([A-Za-z0-9_-]+)') FROM $post.claim_messages('w', lease => '1 hour')};
my $report = qq{SELECT count($post.report_message(id, attempts, 'sent')) FROM $post.messages WHERE status = 'claimed'};
my ($verify, $reset) = split / /, $early;
is($node->safe_psql('postgres', $claim, connstr => $node->connstr('postgres') . ' user=program'), "early\@courier.example Confirm your e-mail address $verify", 'they get their mail once it is there, with the token that they were given');
one($report);
is(one($claim), "early\@courier.example Reset your password $reset", '… and the next after it has gone');
is(one(qq{SELECT error IS NULL FROM usher.verify_email('$verify', 'correct horse battery')}), 't', '… and it is good');
one($report);
is(one(q{SELECT count(*) FROM usher.events WHERE payload ? 'token'}), '0', 'once sent, no token is left');
is(one('SELECT count(*) FROM usher.schema_drift()'), '0', 'schema_drift() finds nothing');
is(one('SELECT count(*) FROM usher.list_unanswered_columns()'), '0', 'each column says what it tells about people');

# Keys of outside issuers: without preload nobody can say that a token has come with an unknown key, so they are fetched every five minutes
is(one('SELECT preloaded FROM usher.health()'), 'f', 'the library is not preloaded');
my $jwk = '{"kty":"EC","crv":"P-256","kid":"a","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}';
my $issuer = q{'https://issuer.courier.example/'};
one("SELECT usher.follow_token_issuer($issuer, '{shop}', 'outside', 'https://issuer.courier.example/keys')");
my $asked = qq{SELECT count(*) FROM $post.claim_requests('w') WHERE url LIKE 'https://issuer%'};
is(one($asked), '1', 'keys of an issuer are asked for at once');
one(qq{SELECT $post.report_request(id, 1, 200, '{"cache-control": "max-age=86400"}', convert_to('{"keys": [$jwk]}', 'UTF8')) FROM $post.http_requests WHERE purpose = 'issuer_keys'});
my $ago = sub { one("UPDATE usher.issuer_key_sources SET asked_at = asked_at - interval '$_[0]', fetched_at = fetched_at - interval '$_[0]'"); return one($asked) };
is($ago->('4 minutes'), '0', '… not again within five minutes');
is($ago->('2 minutes'), '1', '… then again, though they are good for a day');
is(one($asked), '0', '… once');
one(qq{DELETE FROM $post.http_requests; SELECT usher.unfollow_token_issuer($issuer)});

# Decisions, and messages under way, in a dump
one(qq{SELECT $post.set_message_template('user.password_changed', 'en', 'Decided', 'Decided'); SELECT $post.remove_message_template('user.locked', 'de');
	SELECT $post.set_message_template('user.locked', 'fr', 'Compte', 'Compte'); UPDATE $post.message_rules SET priority = 3 WHERE event = 'user.locked';
	SELECT $post.suppress_address('nobody\@courier.example'); SELECT usher.register_user('late\@courier.example', 'correct horse battery')});
one("SELECT usher.register_user('later\@courier.example', 'correct horse battery')");
like(one(qq{SELECT string_agg(recipient, ' ') FROM $post.claim_messages('w', 1, '1 hour')}), qr/^late/, 'one message is claimed');
my $state = join '; ', map { "SELECT '$_ ' || count(*) || ' ' || md5(string_agg((to_jsonb(t) - 'updated_at')::text, '|' ORDER BY (to_jsonb(t) - 'updated_at')::text)) FROM $post.$_ AS t" } qw(message_rules message_templates messages message_suppressions);
$state .= q{; SELECT count(*) FROM usher.deliveries; SELECT event, consumer FROM usher.subscriptions ORDER BY 1, 2};
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dumped');
one('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'restored');
is(one($state, 'restored'), one($state), 'the restored database has the same rules, templates, messages and suppressed addresses');
is(one('SELECT string_agg(rule, chr(10)) FROM usher.self_check() WHERE violations > 0', 'restored'), '', '… in which self_check() finds nothing');
is(one(qq{SELECT string_agg(recipient, ' ') FROM $post.claim_messages('w')}, 'restored'), 'later@courier.example', '… and what is not claimed can be');

# The log has statements, and none of what they gave
my $log = slurp_file($node->logfile);
like($log, qr/claim_messages/, 'the log has the claims');
$log =~ s/verify_email\('\Q$verify\E'//g; # typed by this test
unlike($log, qr/\Q$_\E/, '… and no token') for $verify, $reset;
is(one(qq{SELECT count(*) FROM usher.audit_logs AS l WHERE position('$verify' IN l::text) > 0 OR position('$reset' IN l::text) > 0}), '0', 'nor has the audit log');

# Dropped, with a webhook that waits
one(qq{SELECT $post.add_webhook('https://hooks.courier.example/', '{user.*}'); SELECT usher.register_user('hooked\@courier.example', 'correct horse battery')});
is(one(q{SELECT count(*) > 0 FROM usher.deliveries WHERE consumer = 'usher_courier.webhooks' AND status = 'pending'}), 't', 'a webhook is to hear of somebody');
one('DROP EXTENSION usher_courier');
is(one(q{SELECT count(*) FROM usher.list_extensions() WHERE name = 'usher_courier'}), '0', 'dropped, it leaves nothing behind');
is(one(q{SELECT count(*) FROM usher.subscriptions WHERE consumer LIKE 'usher_courier%'}), '0', '… no subscription either, of a webhook neither');
is(one(q{SELECT count(*) FROM usher.deliveries WHERE consumer LIKE 'usher_courier%' AND status <> 'completed'}), '0', '… and no event that waits for it');
is(one(q{SELECT error IS NULL FROM usher.register_user('last@courier.example', 'correct horse battery')}), 't', '… and core goes on');
$node->stop;
done_testing();
