# The worker and the processor of examples/payments against a database: the worker is killed again and again, the processor declines,
# does not answer after it has charged, fails, finds out later, and sends its webhooks late, double and in the wrong order, through the
# gateway. In the end everything is charged once, both agree, and nothing of what the processor says has leaked. Signatures are
# also made by the npm packages stripe and standardwebhooks.
use strict;
use warnings;
use DocumentBlocks;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use UsherGateway;

plan skip_all => 'node is not installed' unless grep { -x "$_/node" } split /:/, $ENV{PATH};
my $count = $ENV{USHER_LONG} ? 200 : 40;
my $node = start_usher_cluster('payments', settings => "fsync = off\nmax_connections = 60\n");
sub one { return $node->safe_psql('postgres', $_[0]) }
one(<<'SQL');
SET client_min_messages = warning;
CREATE SCHEMA shop;
CREATE EXTENSION usher_payment SCHEMA shop;
SELECT usher.grant_access('gateway_test', 'gateway');
SQL
my ($setup, $try) = map { $_->{text} } document_blocks('examples/payments/README.md');
my $secret = 'whsec_of_at_least_16_characters';
one("SET client_min_messages = warning; $setup");
my $standard = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
one("SELECT shop.add_webhook_secret('other', 'standard', '$standard')");
my $user = one("SELECT id FROM usher.users WHERE email = 'worker\@example.com'");
my $key = one("SELECT api_key FROM usher.create_api_key('worker', '{payment:process}', now() + interval '1 day', '$user')");
$node->append_conf('postgresql.conf', "log_statement = all\nlog_parameter_max_length = -1\n");
$node->reload;
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', log_requests => 'false');

# Signatures of the packages
{
	local $ENV{NODE_PATH} = $ENV{USHER_NODE};
	for my $case ([ 'stripe', 'fake', $secret ], [ 'standard', 'other', $standard ])
	{
		my ($scheme, $processor, $with) = @$case;
		my $body = "{\"id\": \"npm_$scheme\",  \"type\": \"customer.created\", \"data\": {\"name\": \"\x{c3}\x{84}nn\"}}";
		my $sign = sub {
			my ($at) = @_;
			my $headers = '';
			IPC::Run::run([ 'node', "$ENV{USHER_SOURCE}/test/node/webhooks.js", $scheme, $with, "npm_$scheme", $at ], '<', \$body, '>', \$headers) or die;
			return decode_json($headers);
		};
		my $post = sub { my ($headers, $text) = @_; return http($gateway, 'POST', "/payments/webhooks/$processor", { headers => { 'Content-Type' => 'application/json', %$headers }, content => $text }) };
		my $now = int time;
		is($post->($sign->($now), $body)->{content}, '{"accepted":true,"duplicate":false}', "$scheme: a signature of the npm package is good");
		is($post->($sign->($now), $body)->{content}, '{"accepted":true,"duplicate":true}', "$scheme: … and the event is known then");
		is($post->($sign->($now), "$body ")->{status}, 401, "$scheme: … for its body only");
		is($post->($sign->($now - 400), $body)->{status}, 401, "$scheme: … and not for ever");
	}
}

# The processor, and workers that live for a second
my ($said, $complained) = ('', '');
my $processor = do {
	local $ENV{PORT} = 0;
	local $ENV{WEBHOOK_URL} = "$gateway->{url}/payments/webhooks/fake";
	local $ENV{WEBHOOK_SECRET} = $secret;
	IPC::Run::start([ 'node', "$ENV{USHER_SOURCE}/examples/payments/processor.js" ], '<', \undef, '>', \$said, '2>', \$complained);
};
wait_for(sub { $processor->pump_nb; $said =~ /listening on (\d+)/ }, 'the processor listens');
my ($port) = $said =~ /listening on (\d+)/;
my ($worker, $log) = (undef, '');
sub start_worker
{
	local $ENV{NODE_PATH} = $ENV{USHER_NODE};
	local $ENV{DATABASE_URL} = 'postgres:///postgres?host=' . $node->host . '&port=' . $node->port . '&user=payments_worker';
	local $ENV{USHER_TOKEN} = $key;
	local $ENV{PROCESSOR_URL} = "http://127.0.0.1:$port";
	local $ENV{SCHEMA} = 'shop';
	local $ENV{TIMEOUT_MS} = 300;
	local $ENV{VISIBILITY} = '1 second';
	$worker = IPC::Run::start([ 'node', "$ENV{USHER_SOURCE}/examples/payments/worker.js" ], '<', \undef, '>>', \$log, '2>>', \$log);
}
sub of_processor { my ($path) = @_; return decode_json(HTTP::Tiny->new->get("http://127.0.0.1:$port/$path")->{content}) }
# Kills and starts workers until a query says that all is done.
sub work_until
{
	my ($done, $what) = @_;
	my ($deadline, $kills) = (time + 150, 0);
	start_worker();
	my $next = time + 1 + rand;
	until (one($done) eq 't' || time > $deadline)
	{
		$worker->pump_nb;
		$processor->pump_nb;
		if (time > $next && $kills < 12)
		{
			$worker->kill_kill(grace => 0);
			$kills++;
			start_worker();
			$next = time + 1 + rand;
		}
		sleep 0.2;
	}
	is(one($done), 't', "$what, though the worker was killed $kills times");
}

one("SELECT count(shop.begin_payment_attempt((shop.create_payment(usher.uuid_v7(), 1000 + 100 * n + n % 5, 'EUR', reference_type => 'order', reference_id => usher.uuid_v7())).transaction_id, 'fake'))
	FROM generate_series(1, $count) AS n");
# those that end in 04 are declined at first, and turn out to have been charged
work_until("SELECT count(*) FILTER (WHERE outcome IN ('requested', 'unknown')) = 0 AND count(*) FILTER (WHERE captured_minor % 100 = 4) = $count / 5 FROM shop.payment_attempts",
	'every attempt has an outcome');
is(one("SELECT string_agg(ending || ' ' || status || ' ' || n, ', ' ORDER BY ending, status) FROM (SELECT amount_minor % 100 AS ending, status, count(*) AS n FROM shop.payment_transactions GROUP BY 1, 2) AS x"),
	join(', ', map { my $n = $count / 5; $_ == 1 ? "$_ failed $n" : "$_ completed $n" } 0 .. 4), 'each payment is what the processor made of it');
my @charges = @{ of_processor('charges') };
is(scalar @charges, $count, 'one charge for each payment, whatever was repeated');
is(one("SELECT string_agg(provider_key || captured_minor, ' ' ORDER BY provider_key) FROM shop.payment_attempts WHERE outcome = 'succeeded'"),
	join(' ', sort map { "$_->{provider_key}$_->{amount_minor}" } grep { $_->{status} eq 'succeeded' } @charges), '… and the sums are those of the processor');
is(one("SELECT string_agg(event || ' ' || n, ', ' ORDER BY event) FROM (SELECT event, count(*) AS n FROM usher.events WHERE event IN ('payment.completed', 'payment.late_success', 'payment.duplicate_charge') GROUP BY 1) AS x"),
	'payment.completed ' . ($count * 4 / 5) . ', payment.late_success ' . ($count / 5), 'each was completed once');

# Refunds: whole ones, of which those that end in 02 are never answered at first, and parts
one("SELECT count(shop.create_refund(id, CASE WHEN amount_minor % 100 = 3 THEN 500 END)) FROM shop.payment_transactions WHERE status = 'completed'");
work_until("SELECT count(*) FILTER (WHERE status <> 'succeeded') = 0 FROM shop.payment_refunds", 'every refund has succeeded');
is(scalar @{ of_processor('refunds') }, $count * 4 / 5, 'one refund for each, whatever was repeated');
is(one('SELECT count(*) FROM shop.payment_refunds'), $count * 4 / 5, '… and none that nobody has asked for');
is(one("SELECT string_agg(DISTINCT amount_minor % 100 || ' ' || status, ', ') FROM shop.payment_transactions WHERE status = 'completed'"), '3 completed', 'what was refunded whole is refunded');
sleep 1; # webhooks on their way
my $report = encode_json(of_processor('settlement'));
is(one("SELECT string_agg(DISTINCT finding || ' ' || ours_minor % 100, ', ') FROM shop.reconcile_payments('fake', '$report')"), 'fee_differs 4',
	'both agree, but for the fees of what was found out later, which nobody has told');
one("SELECT shop.record_payment_fee(transaction_id, their_fee_minor) FROM shop.reconcile_payments('fake', '$report')");
is(one("SELECT count(*) FROM shop.reconcile_payments('fake', '$report')"), '0', '… until they are taken over');
is(one("SELECT string_agg(rule, ' ') FROM usher.self_check() WHERE violations > 0"), '', 'self_check() finds nothing');
is(one("SELECT count(*) FROM (SELECT 1 FROM shop.get_trial_balance() GROUP BY currency HAVING sum(net_minor) <> 0) AS x"), '0', 'the ledger sums to zero');
cmp_ok(one("SELECT count(*) FROM shop.payment_webhook_events WHERE effect IN ('applied', 'known')"), '>', $count, 'webhooks came, each kept once');
is(one("SELECT count(*) FROM shop.payment_webhook_events WHERE effect IN ('received', 'unmatched', 'mismatch')"), '0', '… and none was left over');

# What the page of the example tries
like(one($try), qr/^processing$/m, 'examples/payments/README.md: a payment is under way');
work_until("SELECT (SELECT status FROM shop.payment_transactions WHERE amount_minor = 1002 ORDER BY id DESC LIMIT 1) = 'completed'", '… and is completed as the page says');

# What is the processor's stays the processor's
my $server_log = slurp_file($node->logfile);
like($server_log, qr/record_payment_result/, 'the log has the statements');
for my $word ('never to be stored', 'Somebody', $secret, $standard, $key)
{
	unlike($server_log =~ s/^.*LOG:  statement: SELECT (?:shop\.add_webhook_secret|usher\.create_api_key).*$//mgr, qr/\Q$word\E/, 'no secret and no raw answer in the log');
	is(one("SELECT (SELECT count(*) FROM usher.events AS e WHERE e.payload::text LIKE '%$word%') + (SELECT count(*) FROM usher.audit_logs AS a WHERE a::text LIKE '%$word%')
		+ (SELECT count(*) FROM shop.payment_attempts AS a WHERE a::text LIKE '%$word%') + (SELECT count(*) FROM shop.payment_webhook_events AS w WHERE w::text LIKE '%$word%')"),
		'0', '… nor in events, audit rows and what is kept of answers');
}
# … also when a request is refused
{
	my %asked = (headers => { 'Content-Type' => 'application/json', Authorization => "Bearer $key" });
	my $attempt = one("SELECT id FROM shop.payment_attempts WHERE outcome = 'succeeded' LIMIT 1");
	my $answer = '"response": {"id": "ch_1", "client_secret": "never to be stored", "name": "Somebody"}';
	for my $case (
		[ 'an attempt that is not there', 404, '/payment-attempts/00000000-0000-7000-8000-000000000000/result', "{\"outcome\": \"succeeded\", $answer}" ],
		[ 'an outcome that there is not', 422, "/payment-attempts/$attempt/result", "{\"outcome\": \"perhaps\", $answer}" ],
		[ 'the id of another attempt', 409, "/payment-attempts/$attempt/result", "{\"outcome\": \"succeeded\", \"processor_transaction_id\": \"another\", $answer}" ],
		[ 'a card number', 422, "/payment-attempts/$attempt/result", "{\"outcome\": \"declined\", \"failure_code\": 4242424242424242, $answer}" ],
		[ 'a webhook that nobody has signed', 401, '/payments/webhooks/fake', "{\"id\": \"x\", \"secret\": \"$secret\", $answer}" ])
	{
		my ($what, $status, $path, $content) = @$case;
		my $refusal = http($gateway, 'POST', $path, { %asked, content => $content });
		is($refusal->{status}, $status, "$what is refused");
		unlike($refusal->{content}, qr/never to be stored|Somebody|4242424242424242|\Q$secret\E|\Q$key\E/, '… by a problem document without secrets and answers');
	}
}
unlike($log, qr/could not report/, 'no report was refused') or diag($log);
$worker->kill_kill(grace => 0);
$processor->kill_kill(grace => 0);
is(stop_gateway($gateway), 0, 'stopped');
done_testing();
