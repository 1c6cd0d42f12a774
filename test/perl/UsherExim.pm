# Debian's Exim as an ordinary user: a server of mail that others have written. Takes what an authenticated client sends over TLS, refuses
# some recipients, greylists others, and puts the rest into a maildir.
package UsherExim;
use strict;
use warnings;
use Exporter 'import';
use File::Path qw(make_path);
use IO::Socket::INET;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);

our @EXPORT = qw(exim_program start_exim stop_exim exim_mails end_greylisting);
my @running;

sub exim_program { return (grep { -x } '/usr/sbin/exim4', '/usr/sbin/exim')[0] }

# With the certificate of a folder of make_certificate(). options: knows_smtputf8
# { port: STARTTLS, tls_port: TLS from the beginning }
sub start_exim
{
    my ($certificates, %options) = @_;
    my $folder = PostgreSQL::Test::Utils::tempdir();
    my ($port, $tls_port) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 2;
    make_path("$folder/spool", "$folder/log", "$folder/mail");
    my ($user, $group) = ((getpwuid($<))[0], (getgrgid($())[0]);
    my $smtputf8 = $options{knows_smtputf8} ? '*' : '';
    append_to_file("$folder/exim.conf", <<"CONF");
exim_user = $user
exim_group = $group
deliver_drop_privilege
never_users =
keep_environment =
spool_directory = $folder/spool
log_file_path = $folder/log/%slog
pid_file_path = $folder/exim.pid
primary_hostname = mail.shop.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = $port : $tls_port
tls_on_connect_ports = $tls_port
tls_advertise_hosts = *
tls_certificate = $certificates/tls.crt
tls_privatekey = $certificates/tls.key
auth_advertise_hosts = \${if eq{\$tls_in_cipher}{}{}{*}}
smtputf8_advertise_hosts = $smtputf8
message_size_limit = 200K
acl_smtp_rcpt = recipients
acl_smtp_data = messages

begin acl
recipients:
  deny  message = 5.7.1 Log in first
        !authenticated = *
  deny  message = 5.1.1 There is no such mailbox
        local_parts = nobody
  defer message = 4.7.1 Greylisted, try again
        local_parts = grey
        condition = \${if !exists{$folder/greylisting-is-over}}
  accept
messages:
  deny  message = 554 5.6.0 We do not want that
        condition = \${if match{\$h_subject:}{refused}}
  accept

begin routers
all:
  driver = accept
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = $folder/mail
  maildir_format
  create_directory
  envelope_to_add
  return_path_add
  user = $user
  group = $group

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{\$auth2}{shop}}{eq{\$auth3}{correct horse}}}}
  server_set_id = \$auth2
CONF
    my $self = { folder => $folder, port => $port, tls_port => $tls_port };
    $self->{process} = IPC::Run::start([ exim_program(), '-C', "$folder/exim.conf", '-bdf', '-q1h' ], '<', \undef, '>', "$folder/out", '2>', "$folder/errors");
    push @running, $self;
    my $limit = time + $PostgreSQL::Test::Utils::timeout_default;
    until (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port))
    {
        die 'exim did not start: ' . slurp_file("$folder/errors") if time > $limit || !$self->{process}->pumpable && $self->{process}->finish;
        sleep 0.05;
    }
    return $self;
}

sub end_greylisting { my ($self) = @_; append_to_file("$self->{folder}/greylisting-is-over", '') }

# The messages that have arrived, as text.
sub exim_mails { my ($self) = @_; return map { slurp_file($_) } glob "$self->{folder}/mail/new/*" }

sub stop_exim
{
    my ($self) = @_;
    @running = grep { $_ != $self } @running;
    $self->{process}->signal('TERM');
    eval { $self->{process}->finish };
    return;
}

END
{
    my $status = $?;
    eval { $_->{process}->kill_kill(grace => 2) } for @running;
    $? = $status;
}

1;
