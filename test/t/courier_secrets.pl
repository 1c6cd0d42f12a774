# No secret of what goes out leaves by another way: tokens of messages, the password of the SMTP server, secrets of webhooks, bodies and headers of
# requests, and of their answers. The server logs all that it can, the courier meets errors of every kind, and then the logs of both,
# pg_stat_activity, the metrics, the audit log and a dump are searched for each secret.
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherCourier;

my $key = PostgreSQL::Test::Utils::tempdir() . '/master_key';
append_to_file($key, 'k' x 32);
chmod 0600, $key;
my $node = start_courier_cluster('courier_secrets', settings => <<~"CONF");
    usher.master_key_file = '$key'
    log_statement = all
    log_min_duration_statement = 0
    log_min_messages = debug1
    log_error_verbosity = verbose
    log_parameter_max_length = -1
    log_parameter_max_length_on_error = -1
    track_activity_query_size = 64kB
    usher.argon2_memory = 8MB
    usher.argon2_iterations = 1
    CONF
my $there = start_receivers();
my $web = "http://127.0.0.1:$there->{web}";
# Statements of ours, which have secrets in their text: what is typed is logged as it stands.
sub quietly { local $ENV{PGOPTIONS} = '-c log_statement=none -c log_min_duration_statement=-1 -c log_min_messages=panic -c track_activities=off'; return $node->safe_psql('postgres', $_[0]) }
my %secret = (
    'the SMTP password' => 'S3CRET-smtp-password', 'a body' => 'S3CRET-body', 'a header' => 'S3CRET-header', 'an answer' => 'S3CRET-answer', 'a header of an answer' => 'S3CRET-cookie',
    'an answer that is refused' => 'S3CRET-refused', 'what a receiver says in an error' => 'S3CRET-error', 'what a handler was told' => 'S3CRET-handler');
UsherCourier::web_says($there, {
    documents => { '/answer' => { token => 'S3CRET-answer' }, '/refused' => { token => 'S3CRET-refused' }, '/fails' => { error => 'S3CRET-error' }, '/handler' => { word => 'S3CRET-handler' } },
    headers => { 'set-cookie' => 'session=S3CRET-cookie' }, status => { '/fails' => 500 } });

# --- what goes out
quietly("SELECT usher.register_user('$_\@example.com', 'a passphrase of $_')") for qw(ok.ann nobody later.bob dies);
quietly("SELECT usher.request_password_reset('$_\@example.com')") for qw(ok.ann nobody later.bob dies);
my $number = 0;
$secret{ 'token ' . ++$number } = $_ for split /\n/, quietly(q{SELECT payload ->> 'token' FROM usher.events WHERE payload ? 'token'});
cmp_ok($number, '>=', 8, 'messages with tokens wait');
my ($webhook, $old) = split /\|/, quietly("SELECT * FROM mail.add_webhook('$web/hook', '{letter.written}')");
@secret{ 'the secret of a webhook', 'the next secret of a webhook' } = ($old, quietly("SELECT mail.rotate_webhook_secret('$webhook')"));
quietly(<<'SQL');
CREATE FUNCTION app.take(request uuid, answer jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION app.fail(request uuid, answer jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 / 0; END $$;
CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON mail.http_requests FOR EACH ROW WHEN (old.status = 'claimed' AND new.status <> 'claimed' AND old.url LIKE '%/refused') EXECUTE FUNCTION app.refuse();
CREATE TRIGGER refuse BEFORE UPDATE ON mail.messages FOR EACH ROW WHEN (old.status = 'claimed' AND new.status <> 'claimed' AND old.recipient = 'dies@example.com') EXECUTE FUNCTION app.refuse();
SQL
for ('/answer take', '/refused take', '/fails take', '/handler fail', '/slow take', '/dies take')
{
    my ($path, $handler) = split / /;
    quietly("SELECT mail.enqueue_http_request('$web$path', 'POST', body => 'secret=S3CRET-body', headers => '{\"authorization\": \"Bearer S3CRET-header\"}', handler => 'app.$handler(uuid,jsonb)', max_attempts => 2, time_limit => '2 seconds')");
}
quietly(q{SELECT usher.publish('letter.written', '{"email": "ok.letter@example.com", "subject": "Hello", "text": "Some text."}')});

# --- a courier that may not log in, and one that works
my $password = PostgreSQL::Test::Utils::tempdir() . '/password';
append_to_file($password, "$secret{'the SMTP password'}\n");
my @seen;
my @logs;
sub look_until
{
    my ($courier, $what, $name) = @_;
    wait_for(sub {
        push @seen, quietly('SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()'), HTTP::Tiny->new->get("$courier->{admin}/metrics")->{content}, HTTP::Tiny->new->get("$courier->{admin}/readyz")->{content};
        return $what->();
    }, $name);
}
my %short = (lease_s => 5, smtp_timeout_ms => 2000, request_threads => 0); # what cannot be reported is soon another's
my $courier = start_courier($node, %short, smtp => "smtp://localhost:$there->{smtp_tls}", smtp_user => 'shop', smtp_password_file => $password, tls_ca => "$there->{folder}/tls.crt");
look_until($courier, sub { quietly("SELECT count(*) FROM mail.messages WHERE last_code = 'login'") >= 4 }, 'a courier whose password is not taken');
push @logs, $courier->{log};
stop_courier($courier);
quietly("UPDATE mail.messages SET next_attempt_at = now() WHERE status = 'pending'");
$courier = start_courier($node, %short, smtp => "smtp://127.0.0.1:$there->{smtp}", smtp_tls => 'none');
my $other = start_courier($node, mail_threads => 0);
push @logs, map { $_->{log} } $courier, $other;
look_until($courier, sub { slurp_file($courier->{log}) =~ /report_lost/ && slurp_file($other->{log}) =~ /statement_failed/ }, 'two whose reports are refused');
quietly('DROP TRIGGER refuse ON mail.http_requests; DROP TRIGGER refuse ON mail.messages');
my $ended = sub {
    quietly("UPDATE mail.messages SET next_attempt_at = now(), attempts = greatest(attempts, 5) WHERE status = 'pending'; UPDATE mail.http_requests SET next_attempt_at = now() WHERE status IN ('pending', 'answered')");
    return quietly("SELECT (SELECT count(*) FROM mail.messages WHERE status IN ('pending', 'claimed')) + (SELECT count(*) FROM mail.http_requests WHERE status IN ('pending', 'claimed'))
        + (SELECT count(*) FROM usher.deliveries WHERE status = 'pending' AND consumer LIKE 'usher_courier%')") == 0;
};
look_until($courier, $ended, 'all of it comes to an end');
diag(quietly("SELECT string_agg(x, chr(10)) FROM (SELECT concat_ws(' ', recipient, status, attempts, last_code) AS x FROM mail.messages WHERE status IN ('pending', 'claimed')
    UNION ALL SELECT concat_ws(' ', url, status, attempts, error_code) FROM mail.http_requests WHERE status IN ('pending', 'claimed')
    UNION ALL SELECT concat_ws(' ', consumer, status, attempts, error_message) FROM usher.deliveries WHERE status = 'pending') AS l")) unless $ended->();
is(stop_courier($_), 0, 'a courier stops in good order') for $courier, $other;

# --- what has arrived was there
my @mails = received($there, 'mail');
my @arrived = grep { my $token = $secret{$_}; grep { index($_->{text}, $token) >= 0 } @mails } grep { /^token/ } keys %secret;
cmp_ok(scalar @arrived, '>=', 4, 'tokens were in the messages that arrived');
is(scalar(grep { $_->{body} eq 'secret=S3CRET-body' && $_->{headers}{authorization} eq 'Bearer S3CRET-header' } received($there, 'http')) > 4, 1, '… and bodies and headers in the requests');
is(quietly("SELECT count(*) FROM usher.events WHERE event IN ('message.failed', 'http_request.failed')") > 2, 1, '… and some have failed');

# --- where none may be
my $log = slurp_file($node->logfile);
like($log, qr/$_/, "the server's log has $_") for 'claim_messages', 'report_message', 'report_request', 'not now';
my %kept = map { my $token = $secret{$_}; $_ => quietly("SELECT count(*) FROM usher.events AS e JOIN mail.messages AS m ON m.event_id = e.id
    WHERE m.keeps_secret AND e.payload ->> 'token' = '$token'") } grep { /^token/ } keys %secret;
my $dump = '';
IPC::Run::run([ 'pg_dump', '--data-only', $node->connstr('postgres') ], '>', \$dump) or die 'pg_dump failed';
my %place = (
    'the log of the server' => $log, 'the log of the courier' => join('', map { slurp_file($_) } @logs), 'pg_stat_activity and the metrics of the courier' => join("\n", @seen),
    'metrics and health' => quietly('SELECT (SELECT string_agg(m::text, chr(10)) FROM usher.metrics() AS m) || (SELECT string_agg(h::text, chr(10)) FROM usher.health() AS h)'),
    'the audit log' => quietly("SELECT string_agg(a::text, chr(10)) FROM usher.audit_logs AS a"), 'a dump' => $dump);
for my $place (sort keys %place)
{
    cmp_ok(length $place{$place}, '>', 100, "there is something to search in: $place");
    my @found = grep { index($place{$place}, $secret{$_}) >= 0 } sort keys %secret;
    # A message that has failed can be sent again: its token stays in the event while it is good, and nowhere else.
    @found = grep { !$kept{$_} } @found if $place eq 'a dump';
    is(join(', ', @found), '', "no secret in $place");
}
done_testing();
