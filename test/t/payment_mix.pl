# A mix of everything by 64 clients, through the functions and by raw SQL, while backends are terminated at random and the server
# crashes once (C-35). Afterwards nothing is half done: no transaction with captured above amount or refunded above captured, none with
# two live attempts, no event with two effects, a ledger that sums to zero and equals the transactions; self_check() finds nothing, and no
# deadlock was logged. 12 seconds; 60 for each of ten rounds with USHER_LONG=1.
use strict;
use warnings;
use Test::More;
use UsherMix;

my ($rounds, $seconds) = $ENV{USHER_LONG} ? (10, 60) : (1, 12);
start_cluster('payment_mix');
one(<<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA pay;
CREATE EXTENSION usher_payment SCHEMA pay;
-- One step of somebody on one of a few hundred payments, so that they meet. What is refused is refused; what is to be tried again,
-- and what nobody expects, goes up.
CREATE FUNCTION act(what integer, spot integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	payment uuid := ('00000000-0000-7000-8000-' || lpad(spot::text, 12, '0'))::uuid;
	attempt pay.payment_attempts;
	refund uuid;
	amount bigint := 1 + floor(random() * 40);
BEGIN
	SELECT a.* INTO attempt FROM pay.payment_attempts AS a WHERE a.transaction_id = payment ORDER BY random() LIMIT 1;
	SELECT r.id INTO refund FROM pay.payment_refunds AS r WHERE r.transaction_id = payment ORDER BY random() LIMIT 1;
	CASE what
	WHEN 0 THEN PERFORM pay.create_payment(usher.uuid_v7(), 100, 'EUR', id => payment, idempotency_key => 'key-' || spot, reference_type => 'order', reference_id => payment);
	WHEN 1 THEN PERFORM pay.begin_payment_attempt(payment, 'fake');
	WHEN 2 THEN PERFORM pay.record_payment_result(attempt.id, (ARRAY['succeeded', 'declined', 'unknown'])[ceil(random() * 3)], fee_minor => 2) WHERE attempt.id IS NOT NULL;
	WHEN 3 THEN PERFORM pay.record_payment_result(attempt.id, 'succeeded', 'ch_' || attempt.id) WHERE attempt.id IS NOT NULL;
	WHEN 4 THEN -- one of a few events, so that they come again
		PERFORM pay.ingest_webhook('fake', attempt.id || '-' || floor(random() * 3), (ARRAY['payment.succeeded', 'payment.failed', 'payment.processing'])[ceil(random() * 3)], now() - random() * interval '1 hour',
			jsonb_build_object('provider_key', attempt.provider_key, 'transaction_id', 'ch_' || attempt.id)) WHERE attempt.id IS NOT NULL;
	WHEN 5 THEN PERFORM pay.create_refund(payment, amount);
	WHEN 6 THEN INSERT INTO pay.payment_refunds (transaction_id, amount_minor) VALUES (payment, amount);
	WHEN 7 THEN PERFORM pay.record_refund_result(refund, (ARRAY['succeeded', 'declined', 'unknown'])[ceil(random() * 3)]) WHERE refund IS NOT NULL;
	WHEN 8 THEN UPDATE pay.payment_refunds AS r SET status = 'succeeded' WHERE r.id = refund;
	WHEN 9 THEN PERFORM pay.ingest_webhook('fake', refund || '-' || floor(random() * 3), (ARRAY['refund.succeeded', 'refund.failed'])[ceil(random() * 2)], now(),
			jsonb_build_object('provider_key', 'usher-' || refund, 'refund_id', 're_' || refund)) WHERE refund IS NOT NULL;
	WHEN 10 THEN PERFORM pay.ingest_webhook('fake', payment || '-d' || floor(random() * 3), (ARRAY['dispute.opened', 'dispute.won', 'dispute.lost'])[ceil(random() * 3)], now(),
			jsonb_build_object('transaction_id', 'ch_' || attempt.id, 'dispute_id', 'dp_' || payment || '-' || floor(random() * 3), 'amount_minor', amount)) WHERE attempt.id IS NOT NULL;
	WHEN 11 THEN PERFORM pay.cancel_payment(payment) WHERE random() < 0.2;
	WHEN 12 THEN PERFORM pay.record_manual_payment(payment, 'cash') WHERE random() < 0.2;
	WHEN 13 THEN UPDATE pay.payment_attempts AS a SET outcome = 'succeeded', captured_minor = 100 WHERE a.id = attempt.id AND a.outcome IN ('requested', 'unknown');
	WHEN 14 THEN PERFORM pay.refund_reference('order', payment, 'EUR', amount);
	WHEN 15 THEN PERFORM pay.cancel_refund(refund) WHERE refund IS NOT NULL;
	WHEN 16 THEN PERFORM pay.post_ledger(jsonb_build_array(jsonb_build_object('account', 'a', 'direction', 'debit', 'amount_minor', amount, 'currency', 'JPY'),
			jsonb_build_object('account', 'b', 'direction', 'credit', 'amount_minor', amount, 'currency', 'JPY')), idempotency_key => 'journal-' || spot || '-' || amount);
	WHEN 17 THEN PERFORM pay._sum_ledger(20);
	ELSE PERFORM count(*) FROM pay.get_payment_balance('order', payment);
	END CASE;
EXCEPTION
	WHEN SQLSTATE 'UP001' OR SQLSTATE 'UP002' OR SQLSTATE 'UP003' OR SQLSTATE 'UP008' OR SQLSTATE 'UP009' OR SQLSTATE 'US001' OR SQLSTATE 'US004' OR SQLSTATE 'US005' OR foreign_key_violation
		OR unique_violation THEN NULL;
END $$;
SQL
my $script = "\\set what random(0, 18)\n\\set spot random(1, 300)\nSELECT act(:what, :spot);\n";

for my $round (1 .. $rounds)
{
	mix($seconds, $script);

	is(one("SELECT string_agg(rule || ' ' || violations, ', ') FROM pay._payment_self_check() WHERE violations > 0"), '', "round $round: self_check() finds nothing");
	# the same in words of this test's own
	is(one('SELECT count(*) FROM pay.payment_transactions WHERE captured_minor > amount_minor OR refunded_minor + refund_reserved_minor > captured_minor'), '0', "round $round: nothing above what it may be");
	is(one("SELECT count(*) FROM (SELECT 1 FROM pay.payment_attempts WHERE outcome IN ('requested', 'unknown') GROUP BY transaction_id HAVING count(*) > 1) AS x"), '0', "round $round: no two live attempts");
	is(one("SELECT count(*) FROM (SELECT 1 FROM usher.events WHERE event = 'payment.completed' GROUP BY key HAVING count(*) > 1) AS x"), '0', "round $round: nothing was completed twice");
	is(one("SELECT count(*) FROM (SELECT 1 FROM pay.payment_webhook_events GROUP BY processor, event_id HAVING count(*) > 1) AS x"), '0', "round $round: no webhook is there twice");
	is(one("SELECT count(*) FROM pay.payment_webhook_events WHERE effect = 'received'"), '0', "round $round: … and none half done");
	is(one("SELECT count(*) FROM (SELECT 1 FROM pay.ledger_entries GROUP BY currency HAVING sum(CASE direction WHEN 'debit' THEN amount_minor ELSE -amount_minor END) <> 0) AS x"), '0', "round $round: the ledger sums to zero");
	is(one("SELECT (SELECT sum(captured_minor) FROM pay.payment_transactions) = (SELECT sum(amount_minor) FROM pay.ledger_entries WHERE account = 'sales')
		AND (SELECT sum(refunded_minor) FROM pay.payment_transactions) = (SELECT sum(amount_minor) FROM pay.ledger_entries WHERE account = 'refunds')"), 't', "round $round: … and equals the transactions");
	is(one("SELECT (SELECT count(*) > 0 FROM pay.ledger_totals), count(*) FROM ((SELECT account, currency, debit_minor, credit_minor FROM pay.get_trial_balance() EXCEPT ALL SELECT e.account, e.currency,
			coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'debit'), 0)::bigint, coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'credit'), 0)::bigint FROM pay.ledger_entries AS e GROUP BY 1, 2)
		UNION ALL (SELECT e.account, e.currency, coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'debit'), 0)::bigint, coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'credit'), 0)::bigint
			FROM pay.ledger_entries AS e GROUP BY 1, 2 EXCEPT ALL SELECT account, currency, debit_minor, credit_minor FROM pay.get_trial_balance())) AS d"), 't|0', "round $round: … and so do the totals that are kept");
	is(one("SELECT count(*) FROM (SELECT h.from_status, lag(h.to_status) OVER (PARTITION BY h.entity_id ORDER BY h.seq) AS previous FROM usher.status_history AS h
		WHERE h.relation = 'pay.payment_transactions'::regclass) AS x WHERE from_status IS DISTINCT FROM previous"), '0', "round $round: each history is a walk");
	is(one("SELECT count(*) FROM (SELECT p.id, p.status, (SELECT h.to_status FROM usher.status_history AS h WHERE h.entity_id = p.id ORDER BY h.seq DESC LIMIT 1) AS last FROM pay.payment_transactions AS p) AS x
		WHERE status <> last"), '0', "round $round: … that ends where the payment is");
	cmp_ok(one("SELECT count(*) FROM pay.payment_transactions WHERE status IN ('completed', 'refunded')"), '>', 50, "round $round: payments were paid");
}
finish();
