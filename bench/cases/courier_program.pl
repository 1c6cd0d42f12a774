# Messages a second of one courier with its usual two threads, into a folder and to an SMTP server on the same machine that takes
# everything. Its own CPU time is what carries over to other machines; the rest is the database and the receiver.
use backend;
use File::Temp;
use IPC::Open2;
use Time::HiRes qw(time sleep);

return {
    title  => 'messages that one courier sends',
    report => sub {
        my $messages = 2000;
        backend::sql(q{CREATE EXTENSION IF NOT EXISTS usher CASCADE; DROP SCHEMA IF EXISTS bench_mail CASCADE;
            CREATE SCHEMA bench_mail; CREATE EXTENSION usher_courier SCHEMA bench_mail;});
        system('sh', '-c', "sh '$ENV{SRC}/tools/build.sh' courier > '$ENV{BUILD}/bench/courier.log' 2>&1") == 0 or die 'make courier failed';
        local $ENV{NODE_PATH} = $ENV{USHER_NODE};
        my $sink = open2(my $from, my $to, 'node', "$ENV{SRC}/bench/smtp_sink.js");
        chomp(my $port = <$from>);
        my @lines = ('| to | messages a second | CPU time of the courier for one |', '| --- | --- | --- |');
        for my $way ([ 'a folder', sub { '--mail-sink=' . $_[0] } ], [ 'an SMTP server', sub { ("--smtp=smtp://127.0.0.1:$port", '--smtp-tls=none') } ])
        {
            my $folder = File::Temp->newdir('usher-mail-XXXXXX', TMPDIR => 1);
            backend::sql(qq{DELETE FROM bench_mail.messages;
                INSERT INTO usher.users (email, status) SELECT 'c' || n || '\@courier.bench', 'active' FROM generate_series(1, $messages) AS n
                ON CONFLICT DO NOTHING;
                SELECT count(usher.publish('user.password_changed', jsonb_build_object('user_id', u.id), u.id::text))
                FROM usher.users AS u WHERE u.email LIKE 'c%\@courier.bench';});
            my $begin = time;
            my $courier = fork // die $!;
            if (!$courier)
            {
                open STDOUT, '>', '/dev/null';
                exec "$ENV{BUILD}/courier/usher-courier", "--database=$ENV{BENCH_CONNINFO}", '--admin-port=0', '--request-threads=0', $way->[1]->($folder);
            }
            sleep 0.05 until backend::sql("SELECT count(*) FROM bench_mail.messages WHERE status = 'sent'") >= $messages || time > $begin + 600;
            my $seconds = time - $begin;
            open my $stat, '<', "/proc/$courier/stat" or die $!;
            my @fields = split ' ', (<$stat> =~ s/^.*\) //r);
            my $cpu = ($fields[11] + $fields[12]) / 100;
            kill 'TERM', $courier;
            waitpid $courier, 0;
            push @lines, sprintf('| %s | %.0f | %.2g ms |', $way->[0], $messages / $seconds, 1000 * $cpu / $messages);
        }
        close $to;
        waitpid $sink, 0;
        backend::sql('DROP EXTENSION usher_courier; DROP SCHEMA bench_mail;');
        return @lines;
    },
};
