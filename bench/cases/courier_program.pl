# Messages a second of one courier with its usual two threads, into a folder and to an SMTP server on the same machine that takes
# everything; and of an application's own queue, sent by npm nodemailer over two connections to the same server. Its own CPU time is what carries
# over to other machines; the rest is the database and the receiver. What ours has to do more: it makes the messages from events and templates,
# heeds limits and order, and keeps what came of each.
use backend;
use File::Temp;
use IPC::Open2;
use Time::HiRes qw(time sleep);

my $messages = 1000;
my $rounds = 3;
my $sink;

sub cpu_seconds
{
    my ($process) = @_;
    open my $stat, '<', "/proc/$process/stat" or die $!;
    my @fields = split ' ', (<$stat> =~ s/^.*\) //r);
    return ($fields[11] + $fields[12]) / 100;
}

# Until a query says that all is sent: seconds, CPU seconds of the program, and those of the receiver.
sub measure
{
    my ($done, @command) = @_;
    my ($begin, $before) = (time, cpu_seconds($sink));
    pipe my $hold, my $held or die $!; # the standard input of a program that waits for its end
    my $program = fork // die $!;
    if (!$program)
    {
        open STDIN, '<&', $hold;
        open STDOUT, '>', '/dev/null';
        close $held;
        exec @command;
    }
    close $hold;
    sleep 0.02 until backend::sql($done) >= $messages || time > $begin + 600;
    my $seconds = time - $begin;
    my @cpu = (cpu_seconds($program), cpu_seconds($sink) - $before);
    kill 'TERM', $program;
    waitpid $program, 0;
    return ($seconds, @cpu);
}

return {
    title  => 'messages that one courier sends',
    report => sub {
        backend::sql(q{CREATE EXTENSION IF NOT EXISTS usher CASCADE; DROP SCHEMA IF EXISTS bench_mail CASCADE;
            CREATE SCHEMA bench_mail; CREATE EXTENSION usher_courier SCHEMA bench_mail;
            CREATE TABLE bench_mail.outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), recipient text NOT NULL, subject text NOT NULL, body_text text NOT NULL,
                body_html text NOT NULL, status text NOT NULL DEFAULT 'pending', claimed_at timestamptz, sent_at timestamptz);
            CREATE INDEX ON bench_mail.outbox (id) WHERE status = 'pending';});
        backend::sql(qq{INSERT INTO usher.users (email, status) SELECT 'c' || n || '\@courier.bench', 'active' FROM generate_series(1, $messages) AS n;});
        system('sh', '-c', "sh '$ENV{SRC}/tools/build.sh' courier > '$ENV{BUILD}/bench/courier.log' 2>&1") == 0 or die 'make courier failed';
        local $ENV{NODE_PATH} = $ENV{USHER_NODE};
        $sink = open2(my $from, my $to, 'node', "$ENV{SRC}/bench/smtp_sink.js");
        chomp(my $port = <$from>);
        my @database = map { $ENV{BENCH_CONNINFO} =~ /\b$_='?([^' ]+)/ ? $1 : die } qw(host port user);
        my $publish = qq{DELETE FROM bench_mail.messages; DELETE FROM usher.deliveries; DELETE FROM usher.events;
            SELECT count(usher.publish('user.password_changed', jsonb_build_object('user_id', u.id), u.id::text))
            FROM usher.users AS u WHERE u.email LIKE 'c%\@courier.bench'; VACUUM ANALYZE usher.events, usher.deliveries, bench_mail.messages;};
        my @courier = ("$ENV{BUILD}/courier/usher-courier", "--database=$ENV{BENCH_CONNINFO}", '--admin-port=0', '--request-threads=0');
        my $sent = "SELECT count(*) FROM bench_mail.messages WHERE status = 'sent'";
        my %ways = (
            'usher-courier, a folder' => sub {
                my $folder = File::Temp->newdir('usher-mail-XXXXXX', TMPDIR => 1);
                backend::sql($publish);
                return measure($sent, @courier, "--mail-sink=$folder");
            },
            '**usher-courier, an SMTP server**' => sub {
                backend::sql($publish);
                return measure($sent, @courier, "--smtp=smtp://127.0.0.1:$port", '--smtp-tls=none');
            },
            'a table and npm nodemailer, the same server' => sub {
                # the same texts, but ready
                backend::sql(qq{TRUNCATE bench_mail.outbox; INSERT INTO bench_mail.outbox (recipient, subject, body_text, body_html)
                    SELECT u.email, p.subject, p.body_text, coalesce(p.body_html, '') FROM usher.users AS u,
                    bench_mail.preview_message('user.password_changed', '{}', 'en') AS p WHERE u.email LIKE 'c%\@courier.bench'; VACUUM ANALYZE bench_mail.outbox;});
                return measure(q{SELECT count(*) FROM bench_mail.outbox WHERE status = 'sent'}, 'node', "$ENV{SRC}/bench/nodemailer.js", @database, $port);
            });
        my @order = sort keys %ways;
        my %taken;
        for my $round (1 .. $rounds)
        {
            for my $way (@order)
            {
                my ($seconds, $cpu, $receiver) = $ways{$way}->();
                push @{ $taken{$way}{rate} }, $messages / $seconds;
                push @{ $taken{$way}{cpu} }, 1000 * $cpu / $messages;
                push @{ $taken{$way}{receiver} }, 1000 * $receiver / $messages;
            }
        }
        close $to;
        waitpid $sink, 0;
        backend::sql('DROP EXTENSION usher_courier; DROP SCHEMA bench_mail CASCADE;');
        return ('| ' . "$messages messages, median of $rounds rounds" . ' | messages a second | CPU time of the program for one | of the receiver |', '| --- | --- | --- | --- |',
            map { sprintf '| %s | %.0f | %.2g ms | %.2g ms |', $_, map { backend::middle_of(@$_) } @{ $taken{$_} }{qw(rate cpu receiver)} } @order);
    },
};
