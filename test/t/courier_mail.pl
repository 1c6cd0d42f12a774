# Messages by usher-courier: options, a folder, an SMTP server that refuses, is greylisting, dies after DATA, wants TLS and a
# login; what arrives is read by another implementation (npm mailparser).
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use UsherCourier;

my $program = $ENV{USHER_COURIER};
my $node = start_courier_cluster('courier_mail');
my $there = start_receivers();
sub one { return $node->safe_psql('postgres', $_[0]) }
sub write_to { return publish_letter($node, @_) }
sub status_of { my ($email) = @_; return one("SELECT status FROM mail.messages WHERE recipient = " . sql_text($email) . ' ORDER BY id DESC LIMIT 1') }
sub mails_to { my ($email) = @_; return grep { $_->{envelope_to} eq $email } received($there, 'mail') }
sub make_ready { make_messages_ready($node) }

# --- options
for ([ '--mail-threads=1', qr/one of smtp and mail_sink/ ], [ '--smtp=http://localhost', qr/smtp must be smtp/ ], [ '--smtp=smtp://user:word@localhost', qr/without a user/ ],
    [ '--mail-sink=/no/such/folder', qr/mail_sink must be a folder/ ], [ '--smtp=smtp://localhost --smtp-user=shop', qr/go together/ ], [ '--mail-threads=0 --lease-s=60', qr/lease_s must be longer than the 60 seconds/ ],
    [ '--pool-size=8', qr/unknown option/ ])
{
    my ($flags, $message) = @$_;
    my $errors = '';
    IPC::Run::run([ $program, '--check-config', split / /, $flags ], '<', \undef, '>', \my $out, '2>', \$errors);
    ok($? >> 8 == 2 && $errors =~ $message, "refused: $flags") or diag($errors);
}
my $password = PostgreSQL::Test::Utils::tempdir() . '/password';
append_to_file($password, "\r\n");
my ($out, $errors) = ('', '');
IPC::Run::run([ $program, '--check-config', '--smtp=smtps://localhost', '--smtp-user=shop', "--smtp-password-file=$password" ], '>', \$out, '2>', \$errors);
is($errors, "usher-courier: no password in the first line of $password\n", 'an empty password is none');
unlink $password;
append_to_file($password, "correct horse\n");
my $deploy = "$ENV{USHER_SOURCE}/deploy";
is(system_log($program, '--check-config', '--config', "$deploy/courier.json", "--smtp-password-file=$password"), 0, 'deploy/courier.json');
my $page = slurp_file("$ENV{USHER_SOURCE}/docs/courier.md");
my $help = `$program --help`;
my @undocumented = grep { $page !~ /^\| [^|]*`\Q$_\E`/m } map { tr/-/_/r } $help =~ /^  --([a-z-]+)/mg;
is_deeply([ grep { !/^(config|check_config|version|help)$/ } @undocumented ], [], 'docs/courier.md has each option');

# --- a folder
my $folder = PostgreSQL::Test::Utils::tempdir();
my $courier = start_courier($node, mail_sink => $folder);
write_to('ann@example.com', 'To a folder', "A link: https://shop.example/?token=abc=def\nFrom here on.");
wait_for(sub { status_of('ann@example.com') eq 'sent' }, 'a message is sent as soon as it is there');
my @files = glob "$folder/*.eml";
is(scalar @files, 1, 'it is one file');
my $text = slurp_file($files[0]);
like($text, qr/^To: ann\@example\.com\r?$/m, 'with its recipient');
like($text, qr{https://shop\.example/\?token=abc=def From}, 'a link in ASCII stands there as it is');
is(HTTP::Tiny->new->get("$courier->{admin}/readyz")->{status}, 200, 'readyz');
is(metric($courier, 'usher_courier_attempts_total{kind="message",outcome="sent"}'), 1, 'metrics count what was sent');
kill 'HUP', $courier->{pid}; # what administrators send, and what ends a program that does not know it
is(stop_courier($courier), 0, 'it stops in good order');
is((courier_log($courier))[-1]{event} // '', 'stopped', '… says so, and SIGHUP has not ended it before');

# --- a server
$courier = start_courier($node, smtp => "smtp://127.0.0.1:$there->{smtp}", smtp_tls => 'none');
my $subject = 'Ihre Bestellung über 12 € — größer als 75 Bytes, damit sie in mehrere Wörter zerfällt 🚲';
my $german = "Grüße aus Köln.\n" . ('sehr lang ' x 200) . "\n.\n..Punkte\nEnde mit Leerzeichen \nUnd =3D bleibt.";
one("SELECT mail.set_message_rule('letter.long', address_key => 'email')");
one("SELECT mail.set_message_template('letter.long', 'en', '{{subject}}', " . sql_text($german) . ', ' . sql_text("<p>$german</p>") . ')');
write_to('ok.german@example.com', $subject, undef, 'letter.long');
wait_for(sub { status_of('ok.german@example.com') eq 'sent' }, 'UTF-8 is sent');
my ($mail) = mails_to('ok.german@example.com');
is($mail->{subject}, $subject, 'mailparser reads the subject as it was written');
is($mail->{text} =~ s/\s+\z//r, $german, '… and the text, with its dots and spaces');
like($mail->{html}, qr/Grüße aus Köln/, '… and the HTML');
is_deeply($mail->{from}, { address => 'shop@shop.example', name => 'Möbel & Söhne' }, '… and the sender');
ok($mail->{ascii} && $mail->{longest} <= 998, 'on the wire it is ASCII, in lines that every server takes');
like(join(' ', @{ $mail->{headers} }), qr/auto-submitted/, 'programs that answer are told not to');
is($mail->{message_id}, one("SELECT message_id FROM mail.messages WHERE recipient = 'ok.german\@example.com'"), 'the Message-ID is that of the row');

write_to('ok.grün@example.com', 'UTF-8');
wait_for(sub { status_of('ok.grün@example.com') eq 'sent' }, 'an address outside ASCII is written to (SMTPUTF8)');
is((mails_to('ok.grün@example.com'))[0]{to}{address}, 'ok.grün@example.com', 'mailparser reads it');
write_to('ok@grün.example', 'IDN');
wait_for(sub { status_of('ok@grün.example') eq 'sent' }, 'a domain outside ASCII is written to');
ok((mails_to('ok@grün.example'))[0]{ascii}, '… in its ASCII form, which the server shows as it was');

# --- nobody writes a header
write_to('ok.header@example.com', "Hello\r\nBcc: victim\@example.com\r\n\r\nBody", "Text\r\n.\r\nMAIL FROM:<evil\@example.com>");
wait_for(sub { status_of('ok.header@example.com') =~ /sent|failed/ }, 'a subject with line breaks comes to an end');
is(scalar(grep { $_->{envelope_to} =~ /victim/ || "@{ $_->{headers} }" =~ /bcc/i || $_->{envelope_from} =~ /evil/ } received($there, 'mail')), 0, 'it makes no header, and text makes no command');

# --- what servers say
write_to('nobody@example.com');
wait_for(sub { status_of('nobody@example.com') eq 'failed' }, '550 for a recipient is final');
is(one("SELECT last_code FROM mail.messages WHERE recipient = 'nobody\@example.com'"), '550 5.1.1', '… and its code is kept');
write_to('relay@example.com');
wait_for(sub { one("SELECT status || ' ' || last_code FROM mail.messages WHERE recipient = 'relay\@example.com'") eq 'pending 550 5.7.1' }, 'that we may not send is for now');
is(one("SELECT count(*) FROM mail.message_suppressions WHERE address = 'relay\@example.com'"), 0, '… and not held against the recipient');
write_to('refused@example.com');
wait_for(sub { status_of('refused@example.com') eq 'failed' }, '554 after DATA is final');
write_to('grey@example.com');
wait_for(sub { one("SELECT last_code FROM mail.messages WHERE recipient = 'grey\@example.com'") eq '451 4.7.1' }, '451 is for now');
is(status_of('grey@example.com'), 'pending', '… so that it waits');
wait_for(sub { make_ready(); status_of('grey@example.com') eq 'sent' }, '… and goes the next time');
write_to('later@example.com');
wait_for(sub { one("SELECT last_code FROM mail.messages WHERE recipient = 'later\@example.com'") eq '451 4.3.0' }, 'a server that never takes it is asked again later');
write_to('dies@example.com');
wait_for(sub { one("SELECT coalesce(last_code, '') FROM mail.messages WHERE recipient = 'dies\@example.com'") eq 'connection' }, 'a connection that dies after DATA is no success');
wait_for(sub { make_ready(); status_of('dies@example.com') eq 'sent' }, '… it is sent again');
my @twice = mails_to('dies@example.com');
is(scalar @twice, 2, '… so that the recipient may have it twice');
is($twice[0]{message_id}, $twice[1]{message_id}, '… with the same Message-ID, by which they can tell');

# --- a transaction that rolls back
$node->safe_psql('postgres', q{BEGIN; SELECT usher.publish('letter.written', '{"email": "ok.never@example.com", "subject": "x", "text": "y"}'); ROLLBACK});
write_to('ok.after@example.com');
wait_for(sub { status_of('ok.after@example.com') eq 'sent' }, 'what is written after a rollback goes');
is(scalar(mails_to('ok.never@example.com')), 0, 'mail of a transaction that rolls back is never sent');
my %connections = map { $_->{connection} => 1 } received($there, 'mail');
cmp_ok(scalar keys %connections, '<', scalar(received($there, 'mail')), 'connections are used again');
stop_courier($courier);

# --- TLS and a login
my %login = (smtp => "smtp://localhost:$there->{smtp_tls}", smtp_user => 'shop', smtp_password_file => $password);
$courier = start_courier($node, %login, tls_ca => "$there->{folder}/tls.crt");
write_to('ok.tls@example.com');
wait_for(sub { status_of('ok.tls@example.com') eq 'sent' }, 'STARTTLS and a login');
is_deeply([ map { [ $_->{secure} ? 1 : 0, $_->{user} ] } mails_to('ok.tls@example.com') ], [ [ 1, 'shop' ] ], 'the server saw both');
my $log = slurp_file($courier->{log});
stop_courier($courier);
$courier = start_courier($node, %login); # an authority that nobody knows
write_to('ok.unknown@example.com');
wait_for(sub { one("SELECT coalesce(last_code, '') FROM mail.messages WHERE recipient = 'ok.unknown\@example.com'") eq 'tls' }, 'a certificate of nobody known: nothing is sent');
$log .= slurp_file($courier->{log});
stop_courier($courier);
$courier = start_courier($node, smtp => "smtp://127.0.0.1:$there->{smtp}"); # a server without STARTTLS
write_to('ok.clear@example.com');
wait_for(sub { one("SELECT coalesce(last_code, '') FROM mail.messages WHERE recipient = 'ok.clear\@example.com'") eq 'tls' }, 'without STARTTLS nothing is sent in the clear');
$log .= slurp_file($courier->{log});
stop_courier($courier);
append_to_file("$password.wrong", "battery staple\n");
$courier = start_courier($node, %login, tls_ca => "$there->{folder}/tls.crt", smtp_password_file => "$password.wrong");
write_to('ok.login@example.com');
wait_for(sub { one("SELECT coalesce(last_code, '') FROM mail.messages WHERE recipient = 'ok.login\@example.com'") eq 'login' }, 'a wrong password is no fault of the recipient');
$log .= slurp_file($courier->{log});
stop_courier($courier);
unlike($log, qr/horse|staple|Some text|ok\.|example\.com/, 'the log has no password, no text and no address');

# --- while a server is away
$courier = start_courier($node, smtp => 'smtp://127.0.0.1:9', smtp_tls => 'none');
write_to('ok.away@example.com');
wait_for(sub { one("SELECT coalesce(last_code, '') FROM mail.messages WHERE recipient = 'ok.away\@example.com'") eq 'connection' }, 'a server that is away is asked again later');
$node->restart;
wait_for(sub { HTTP::Tiny->new->get("$courier->{admin}/readyz")->{status} == 200 }, 'a database that was restarted is found again');
is(stop_courier($courier), 0, 'and it stops');

# --- least privilege
for my $statement ('SELECT * FROM mail.messages', 'SELECT * FROM mail.http_requests', "SELECT usher.publish('letter.written')", 'SELECT * FROM usher.users', 'SELECT * FROM mail.list_webhooks()')
{
    my ($code, $out, $errors) = $node->psql('postgres', $statement, extra_params => [ '-U', 'courier_test' ]);
    like($errors, qr/permission denied/, "the level courier may not: $statement");
}

# --- many, and couriers that are killed at any moment
my $seed = $ENV{USHER_SEED} // int(rand(1_000_000));
note("seed $seed: USHER_SEED=$seed repeats the pauses between the kills");
srand($seed);
my ($many, $most_kills) = $ENV{USHER_LONG} ? (10000, 60) : (500, 6);
$node->safe_psql('postgres', qq{SELECT usher.publish('letter.written', jsonb_build_object('email', 'ok.' || i || '\@many.example', 'subject', 'Number ' || i, 'text', 'x'))
    FROM generate_series(1, $many) AS i});
$node->safe_psql('postgres', "UPDATE mail.messages SET status = 'suppressed', claimed_by = NULL, finished_at = now() WHERE status IN ('pending', 'claimed') AND recipient NOT LIKE '%many%'");
my %flags = (smtp => "smtp://127.0.0.1:$there->{smtp}", smtp_tls => 'none', smtp_timeout_ms => 1500, lease_s => 3, request_threads => 0);
my @couriers = map { start_courier($node, %flags) } 1 .. 2;
my ($kills, $left, $begin) = (0, $many, time);
while ($left > 0 && time < $begin + ($ENV{USHER_LONG} ? 1200 : 120))
{
    if ($kills < $most_kills)
    {
        sleep rand($ENV{USHER_LONG} ? 2 : 0.5);
        my $victim = int rand 2;
        stop_courier($couriers[$victim], 'KILL');
        $couriers[$victim] = start_courier($node, %flags);
        $kills++;
    }
    sleep 0.3;
    $left = one("SELECT count(*) FROM usher.deliveries WHERE consumer = 'usher_courier' AND status = 'pending'") + one("SELECT count(*) FROM mail.messages WHERE status IN ('pending', 'claimed')");
}
is($left, 0, 'all of many messages find their end');
my $seconds = time - $begin;
stop_courier($_) for @couriers;
my (%arrived, %ids);
for (grep { $_->{envelope_to} =~ /many/ } received($there, 'mail'))
{
    $arrived{ $_->{envelope_to} }++;
    $ids{ $_->{envelope_to} }{ $_->{message_id} } = 1;
}
is(scalar keys %arrived, $many, 'none is lost, though couriers were killed');
is(one("SELECT count(*) FROM mail.messages WHERE recipient LIKE '%many%' AND status = 'sent'"), $many, '… nor held to have failed');
my $doubles = 0;
$doubles += $_ - 1 for values %arrived;
cmp_ok($doubles, '<=', $kills * 2, 'at most one twice for each thread that was killed');
is(scalar(grep { keys %$_ > 1 } values %ids), 0, '… with the same Message-ID');
diag(sprintf 'seed %d: %d messages in %d s, %d couriers killed, %d messages twice', $seed, $many, $seconds, $kills, $doubles) if $ENV{USHER_LONG};

# --- what the database has kept
is(one("SELECT count(*) FROM usher.self_check() WHERE violations > 0"), 0, 'self_check() finds nothing');
done_testing();
