# A report that fails in the database, though the message has gone: it is told later and later, with one line of the log for each cause, and the
# message is not sent again.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use UsherCourier;

my $node = start_courier_cluster('courier_reports');
sub one { return $node->safe_psql('postgres', $_[0]) }
one(<<'SQL');
CREATE SEQUENCE app.tried; -- what fails is rolled back, but for this
CREATE TABLE app.trouble (code text);
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE FUNCTION app.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    wanted text := (SELECT code FROM app.trouble);
BEGIN
    IF wanted IS NOT NULL THEN
        PERFORM nextval('app.tried');
        RAISE EXCEPTION 'no' USING ERRCODE = wanted;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE UPDATE ON mail.messages FOR EACH ROW WHEN (NEW.status = 'sent') EXECUTE FUNCTION app.fail();
INSERT INTO app.trouble VALUES ('23514');
SQL
my $folder = PostgreSQL::Test::Utils::tempdir();
my $courier = start_courier($node, mail_sink => $folder, mail_threads => 1, request_threads => 0);
my $tried = sub { return one('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM app.tried') };
my @of = ('statement_failed', 'statements_work_again');
my $lines = sub { my ($event) = @_; return grep { $_->{event} eq $event } courier_log($courier) };

one("SELECT usher.publish('letter.written', " . json_text(email => 'ann@example.com', subject => 'Hello', text => 'Some text.') . ')');
wait_for(sub { $tried->() >= 3 }, 'a report is tried again when it has failed');
my ($begin, $before) = (time, $tried->());
sleep 6;
my $more = $tried->() - $before;
cmp_ok($more, '>=', 1, 'it is tried further');
cmp_ok($more, '<', (time - $begin) * 2, '… later and later: ' . $more . ' times in six seconds');
is(scalar($lines->($of[0])), 1, 'the log has one line about it');
is(($lines->($of[0]))[0]{sqlstate}, '23514', '… with the cause');
one("UPDATE app.trouble SET code = '23505'");
$before = $tried->();
wait_for(sub { $tried->() > $before }, 'another cause');
wait_for(sub { scalar($lines->($of[0])) == 2 }, '… has a line of its own');
one('DELETE FROM app.trouble');
wait_for(sub { one('SELECT status FROM mail.messages') eq 'sent' }, 'it is told as soon as that is possible');
is(one('SELECT attempts FROM mail.messages'), '1', '… of the one attempt');
is(scalar(my @files = glob "$folder/*.eml"), 1, '… and the message went once');
wait_for(sub { scalar($lines->($of[1])) == 1 }, 'the log says that it works again');
cmp_ok(($lines->($of[1]))[0]{failures}, '>=', 4, '… and how often it had failed');

# Told to stop meanwhile, the courier says first what it has to say.
one("INSERT INTO app.trouble VALUES ('23514'); SELECT usher.publish('letter.written', " . json_text(email => 'bob@example.com', subject => 'Hello', text => 'Some text.') . ')');
$before = $tried->();
wait_for(sub { $tried->() >= $before + 4 }, 'a report fails while the courier is told to stop');
one('DELETE FROM app.trouble');
is(stop_courier($courier), 0, 'it stops in good order');
is(one("SELECT string_agg(DISTINCT status, ' ') FROM mail.messages"), 'sent', '… and has told before');
$node->stop;
done_testing();
