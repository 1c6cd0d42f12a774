# usher-courier and a server that others have written: Debian's Exim, with STARTTLS, a login, greylisting, refusals, with and without SMTPUTF8.
# What has arrived there is read by Perl's Email::MIME (npm mailparser reads the messages of courier_mail.pl).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherCourier;
use UsherExim;

plan skip_all => 'exim4 is not installed' unless exim_program();
my $has_reader = eval { require Email::MIME; 1 };

my $node = start_courier_cluster('courier_exim');
sub one { return $node->safe_psql('postgres', $_[0]) }
sub write_to { return publish_letter($node, @_) }
sub row_of { my ($email) = @_; return one("SELECT status || ' ' || coalesce(last_code, '') FROM mail.messages WHERE recipient = " . sql_text($email) . ' ORDER BY id DESC LIMIT 1') }
sub make_ready { make_messages_ready($node) }

my $certificates = make_certificate();
my $exim = start_exim($certificates, knows_smtputf8 => 1);
sub mails_to { my ($email) = @_; return grep { /^Envelope-to: \Q$email\E$/m } exim_mails($exim) }
my $password = PostgreSQL::Test::Utils::tempdir() . '/password';
append_to_file($password, "correct horse\n");
my %login = (smtp_user => 'shop', smtp_password_file => $password, tls_ca => "$certificates/tls.crt");
my $courier = start_courier($node, smtp => "smtp://localhost:$exim->{port}", %login);

# --- it takes a message
my $subject = 'Ihre Bestellung über 12 € — größer als 75 Bytes, damit sie in mehrere Wörter zerfällt 🚲';
my $text = "Grüße aus Köln.\n" . ('sehr lang ' x 200) . "\n.\n..Punkte\nFrom hier\nEnde mit Leerzeichen \nUnd =3D bleibt.";
one("SELECT mail.set_message_rule('letter.long', address_key => 'email')");
one("SELECT mail.set_message_template('letter.long', 'en', '{{subject}}', " . sql_text($text) . ', ' . sql_text("<p>$text</p>") . ')');
write_to('ok@example.com', $subject, undef, 'letter.long');
wait_for(sub { row_of('ok@example.com') =~ /^sent 250/ }, 'STARTTLS, a login, and Exim takes a message');
wait_for(sub { mails_to('ok@example.com') }, '… and delivers it');
my ($mail) = mails_to('ok@example.com');
like($mail, qr/with esmtpsa\s+\(TLS1\.[23]\)/, '… which came by TLS with a login');
is(scalar(() = $mail =~ /[^\x00-\x7f]/g), 0, '… in ASCII');
my $message_id = one("SELECT message_id FROM mail.messages WHERE recipient = 'ok\@example.com'");
like($mail, qr/^Message-ID: \Q$message_id\E\n/m, '… with the Message-ID of the row');
SKIP:
{
    skip 'Email::MIME is not installed', 4 unless $has_reader;
    my $read = Email::MIME->new($mail);
    my $bytes = sub { my ($value) = @_; utf8::encode($value); return $value };
    is($bytes->($read->header_str('Subject')), $subject, 'Email::MIME reads the subject as it was written');
    is($bytes->($read->header_str('From')), '"Möbel & Söhne" <shop@shop.example>', '… and the sender');
    my ($plain, $html) = $read->subparts;
    is($bytes->($plain->body_str) =~ s/\r\n/\n/gr =~ s/\n\z//r, $text, '… and the text, with its dots and spaces');
    like($bytes->($html->body_str), qr/^<p>Grüße aus Köln/, '… and the HTML');
}

# --- addresses outside ASCII
write_to('ok.grün@example.com');
wait_for(sub { row_of('ok.grün@example.com') =~ /^sent 250/ }, 'a local part outside ASCII, where the server knows SMTPUTF8');
wait_for(sub { mails_to('ok.grün@example.com') }, '… is delivered to as it was written');
write_to('ok@grün.example');
wait_for(sub { row_of('ok@grün.example') =~ /^sent 250/ }, 'a domain outside ASCII');
wait_for(sub { grep { /^To: ok\@xn--grn-ioa\.example$/m } exim_mails($exim) }, '… is delivered to in its ASCII form');

# --- what it refuses
write_to('nobody@example.com');
wait_for(sub { row_of('nobody@example.com') eq 'failed 550 5.1.1' }, 'Exim refuses a recipient');
is(one("SELECT reason FROM mail.message_suppressions WHERE address = 'nobody\@example.com'"), 'bounced', '… to whom nothing is sent again');
write_to('ok.content@example.com', 'This is refused');
wait_for(sub { row_of('ok.content@example.com') eq 'failed 554 5.6.0' }, 'Exim refuses a text');
write_to('grey@example.com');
wait_for(sub { row_of('grey@example.com') eq 'pending 451 4.7.1' }, 'Exim is greylisting');
end_greylisting($exim);
wait_for(sub { make_ready(); row_of('grey@example.com') =~ /^sent/ }, '… and takes it the next time');

# --- while it is away
stop_courier($courier); # on a connection that there is already, a child of the server would go on
stop_exim($exim);
$courier = start_courier($node, smtp => "smtp://localhost:$exim->{port}", %login);
write_to('ok.away@example.com');
wait_for(sub { row_of('ok.away@example.com') eq 'pending connection' }, 'while Exim is stopped, a message waits');
stop_courier($courier);

# --- a server that does not know SMTPUTF8
$exim = start_exim($certificates);
$courier = start_courier($node, smtp => "smtp://localhost:$exim->{port}", %login);
wait_for(sub { make_ready(); row_of('ok.away@example.com') =~ /^sent/ }, 'it goes to another one');
write_to('ok@grün.example');
wait_for(sub { row_of('ok@grün.example') =~ /^sent 250/ }, 'a domain outside ASCII needs no SMTPUTF8');
write_to('ok.blau@example.com');
write_to('ok.größer@example.com');
wait_for(sub { row_of('ok.größer@example.com') eq 'failed no_smtputf8' }, 'a local part outside ASCII is refused where the server does not know SMTPUTF8');
is(scalar(mails_to('ok.größer@example.com')), 0, '… rather than sent as something that the server may read in another way');
write_to('ok.rot@example.com');
wait_for(sub { row_of('ok.rot@example.com') =~ /^sent/ && row_of('ok.blau@example.com') =~ /^sent/ }, '… and others still go');
stop_courier($courier);

# --- TLS from the beginning, and a name that the certificate does not have
$courier = start_courier($node, smtp => "smtps://localhost:$exim->{tls_port}", %login);
write_to('ok.smtps@example.com');
wait_for(sub { row_of('ok.smtps@example.com') =~ /^sent 250/ }, 'smtps: TLS from the beginning');
stop_courier($courier);
for my $address ("smtp://127.0.0.1:$exim->{port}", "smtps://127.0.0.1:$exim->{tls_port}")
{
    my $to = 'ok.name.' . ($address =~ s/\W//gr) . '@example.com';
    $courier = start_courier($node, smtp => $address, %login);
    write_to($to);
    wait_for(sub { row_of($to) eq 'pending tls' }, "a certificate for another name: nothing is sent to $address");
    stop_courier($courier);
}

# --- a wrong password
append_to_file("$password.wrong", "battery staple\n");
$courier = start_courier($node, smtp => "smtp://localhost:$exim->{port}", %login, smtp_password_file => "$password.wrong");
write_to('ok.login@example.com');
wait_for(sub { row_of('ok.login@example.com') eq 'pending login' }, 'Exim does not take a wrong password: the message waits');
is(stop_courier($courier), 0, 'the courier stops in good order');
stop_exim($exim);
is(one('SELECT count(*) FROM usher.self_check() WHERE violations > 0'), 0, 'self_check() finds nothing');
done_testing();
