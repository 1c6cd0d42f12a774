# What an order or a booking asks for, its exclusive payments, against what it still costs, after each of many random steps of customers,
# strangers, staff and processors: payments that are begun, taken whole or in part, declined, unknown, reported again; money by hand; lines
# that are cancelled, discounts that are given and taken back; refunds, returns, holds that run out. USHER_SEED repeats a run; USHER_LONG
# makes it thorough.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{USHER_SEED} // int(rand(1_000_000));
my $worlds = $ENV{USHER_LONG} ? 1500 : 60;
note("seed $seed: USHER_SEED=$seed repeats this run");

my $node = PostgreSQL::Test::Cluster->new('payment_asked_random');
$node->init;
$node->start;
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA wash;
CREATE EXTENSION usher_booking SCHEMA wash CASCADE;
CREATE EXTENSION usher_payment SCHEMA wash;
CREATE EXTENSION usher_shop SCHEMA wash;
CREATE EXTENSION usher_loyalty SCHEMA wash; -- whose events are published here by hand
SELECT usher.apply_role_preset(p) FROM unnest('{carwash,shop,payments}'::text[]) AS p;
CREATE SCHEMA asked;
CREATE FUNCTION asked.id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-8017-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION asked.up_to(n integer) RETURNS integer LANGUAGE sql VOLATILE AS $$ SELECT 1 + floor(random() * n)::integer $$;
CREATE FUNCTION asked.one_of(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT choices[asked.up_to(cardinality(choices))] $$;
SELECT u.user_id FROM usher.register_user('ann@example.com', 'the password of ann', 'Ann') AS u;
SELECT u.user_id FROM usher.register_user('eve@example.com', 'the password of eve', 'Eve') AS u;
CREATE VIEW asked.people AS SELECT id, first_name = 'Ann' AS is_customer FROM usher.users WHERE first_name IN ('Ann', 'Eve');
SELECT wash.create_product('one', 'One', price_minor => 1000, track_stock => false, id => asked.id(1), status => 'active');
SELECT wash.create_product('two', 'Two', price_minor => 333, track_stock => false, id => asked.id(2), status => 'active');
SELECT wash.create_location('Asked', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 10000, id => asked.id(11));
SELECT wash.set_location_hours(asked.id(11), '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
SELECT wash.create_service('Prepaid', '1 hour', 3000, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'full', id => asked.id(21));
SELECT wash.create_service('Deposit', '1 hour', 3001, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'deposit', deposit_minor => 700, id => asked.id(22));
SELECT wash.create_service('On the spot', '1 hour', 3000, 'EUR', needs_staff => false, customer_exclusive => false, id => asked.id(23));
SELECT wash.set_location_services(asked.id(11), ARRAY[asked.id(21), asked.id(22), asked.id(23)]);

-- What is wrong with the sums of a reference, and how it stands.
CREATE FUNCTION asked.wrong(reference uuid) RETURNS text LANGUAGE sql AS $$
	WITH s AS (
		SELECT o.status, 'order' AS kind, CASE WHEN o.status = 'placed' THEN o.total_minor - o.paid_minor ELSE 0 END AS due, o.status = 'placed' AS is_asked, format('total %s, paid %s', o.total_minor, o.paid_minor) AS sums
		FROM wash.orders AS o WHERE o.id = reference
		UNION ALL
		SELECT b.status, 'booking', CASE WHEN b.paid_at IS NULL AND b.status <> 'cancelled' THEN greatest(b.price_minor - b.discount_minor - b.paid_minor, 0) ELSE 0 END,
			-- once money went back, staff decide whether it is to be paid again
			b.prepay_minor > 0 AND NOT EXISTS (SELECT FROM wash.payment_refunds AS r JOIN wash.payment_transactions AS t ON t.id = r.transaction_id WHERE t.reference_id = reference),
			format('price %s - %s, paid %s%s', b.price_minor, b.discount_minor, b.paid_minor, CASE WHEN b.paid_at IS NOT NULL THEN ', paid_at' END)
		FROM wash.bookings AS b WHERE b.id = reference),
	p AS (
		SELECT coalesce(sum(coalesce(t.replacement_minor, t.amount_minor) + t.balance_minor) FILTER (WHERE t.exclusive AND t.closed_at IS NULL AND NOT t.refund_on_success AND t.status IN ('pending', 'processing', 'failed')), 0) AS asked,
			count(*) FILTER (WHERE t.exclusive AND t.customer_id <> (SELECT x.id FROM asked.people AS x WHERE x.is_customer)) AS of_others,
			string_agg(format('%s %s%s %s+%s%s%s captured %s', t.purpose, CASE WHEN NOT t.exclusive THEN 'of theirs ' END, t.status, t.amount_minor, t.balance_minor, ' or ' || t.replacement_minor, ' closed ' || t.close_reason, t.captured_minor), '; ' ORDER BY t.created_at, t.id) AS payments
		FROM wash.payment_transactions AS t WHERE t.reference_id = reference)
	SELECT format('%s asks for %s, due is %s', s.kind, p.asked, s.due) || CASE WHEN p.of_others > 0 THEN ', and others are asked' ELSE '' END || format(' (%s, %s: %s)', s.status, s.sums, p.payments)
	FROM s CROSS JOIN p WHERE p.asked > s.due OR s.is_asked AND p.asked < s.due OR p.of_others > 0
$$;

-- A statement that somebody may come to make for it.
CREATE FUNCTION asked.step(kind text, reference uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	open CONSTANT text := format('(SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = %L AND t.status IN (''pending'', ''failed'') AND t.closed_at IS NULL ORDER BY t.exclusive, t.created_at LIMIT 1 OFFSET %s)', reference, asked.up_to(2) - 1);
	attempts CONSTANT text := format('FROM wash.payment_attempts AS a JOIN wash.payment_transactions AS t ON t.id = a.transaction_id WHERE t.reference_id = %L AND a.processor = ''p''', reference);
	live CONSTANT text := attempts || ' AND a.outcome IN (''requested'', ''unknown'') ORDER BY a.id LIMIT 1';
	refund CONSTANT text := format('FROM wash.payment_refunds AS r JOIN wash.payment_transactions AS t ON t.id = r.transaction_id WHERE t.reference_id = %L AND r.status IN (''pending'', ''processing'') ORDER BY r.created_at LIMIT 1', reference);
BEGIN
	RETURN CASE asked.one_of('begin', 'begin', 'begin', 'take', 'take', 'part', 'part', 'decline', 'decline', 'unknown', 'again', 'own', 'own', 'cash', 'less cash', 'refund', 'refunded', 'not refunded', 'other', 'other', 'other', 'end')
		WHEN 'begin' THEN format('SELECT wash.begin_payment_attempt(%s, ''p'')', open)
		WHEN 'take' THEN format('SELECT wash.record_payment_result(a.id, ''succeeded'', a.id::text) %s', live)
		WHEN 'part' THEN format('SELECT wash.record_payment_result(a.id, ''succeeded'', a.id::text, 1 + (t.amount_minor - 1) / %s) %s', 1 + asked.up_to(3), live)
		WHEN 'decline' THEN format('SELECT wash.record_payment_result(a.id, ''declined'') %s', live)
		WHEN 'unknown' THEN format('SELECT wash.record_payment_result(a.id, ''unknown'') %s', live)
		WHEN 'again' THEN format('SELECT wash.record_payment_result(a.id, ''succeeded'', a.id::text) %s AND a.outcome = ''declined'' ORDER BY a.id LIMIT 1', attempts)
		WHEN 'own' THEN format('SELECT wash.create_payment((SELECT x.id FROM asked.people AS x WHERE x.is_customer = %L), %s, ''EUR'', ''card'', %L, %L)', random() < 0.5, asked.up_to(2000), kind, reference)
		WHEN 'cash' THEN format('SELECT wash.record_manual_payment(%s, ''cash'')', open)
		WHEN 'less cash' THEN format('SELECT wash.record_manual_payment(t.id, ''cash'', 1 + t.amount_minor / 2) FROM wash.payment_transactions AS t WHERE t.id = %s', open)
		WHEN 'refund' THEN format('SELECT wash.refund_reference(%L, %L, ''EUR'', %s)', kind, reference, asked.up_to(500))
		WHEN 'refunded' THEN format('SELECT wash.record_refund_result(r.id, ''succeeded'') %s', refund)
		WHEN 'not refunded' THEN format('SELECT wash.record_refund_result(r.id, ''declined'') %s', refund)
		WHEN 'other' THEN CASE WHEN kind = 'order' THEN CASE asked.up_to(6)
				WHEN 1 THEN format('SELECT wash.record_order_payment(%L, %s)', reference, asked.up_to(800))
				WHEN 2 THEN format('SELECT wash.fulfil_order(%L, ''[{"line_no": 1, "quantity": 1}]'')', reference)
				WHEN 3 THEN format('SELECT wash.fulfil_order(%L)', reference)
				WHEN 4 THEN format('SELECT wash.return_order(%L, ''[{"line_no": 1, "quantity": 1}]'')', reference)
				WHEN 5 THEN format('SELECT wash.complete_order(%L)', reference)
				ELSE format('SELECT wash.cancel_order(%L, ''x'', ''[{"line_no": %s, "quantity": 1}]'')', reference, asked.up_to(2)) END
			ELSE CASE asked.up_to(3)
				WHEN 1 THEN format('SELECT usher.publish(''loyalty.discount_granted'', jsonb_build_object(''reference_type'', ''booking'', ''reference_id'', %L, ''redemption_id'', usher.uuid_v7(), ''discount_minor'', %s, ''currency'', ''EUR''))',
					reference, asked.up_to(1200))
				WHEN 2 THEN format('SELECT usher.publish(''loyalty.offer_released'', jsonb_build_object(''redemption_id'', d.source)) FROM wash.booking_discounts AS d WHERE d.booking_id = %L LIMIT 1', reference)
				ELSE format('SELECT wash.confirm_booking(%L)', reference) END END
		ELSE CASE WHEN random() < 0.7 THEN 'SELECT'
			WHEN kind = 'order' AND random() < 0.5 THEN format('UPDATE wash.orders SET expires_at = now() - interval ''1 minute'' WHERE id = %L AND status = ''placed''; SELECT wash._end_overdue(100)', reference)
			WHEN kind = 'order' THEN format('SELECT wash.cancel_order(%L)', reference)
			WHEN random() < 0.5 THEN format('UPDATE wash.bookings SET hold_expires_at = now() - interval ''1 second'' WHERE id = %L AND hold_expires_at IS NOT NULL', reference)
			ELSE format('SELECT wash.cancel_booking(%L, ''customer_request'')', reference) END
	END;
END $$;

-- Fifteen steps: what was wrong first, and what had been done until then.
CREATE FUNCTION asked.world(kind text) RETURNS TABLE (wrong text, trace text, unexpected text, taken integer) LANGUAGE plpgsql AS $$
DECLARE
	customer CONSTANT uuid := (SELECT x.id FROM asked.people AS x WHERE x.is_customer);
	reference uuid;
	statement text;
BEGIN
	trace := '';
	taken := 0;
	IF kind = 'order' THEN
		reference := (wash.place_order((wash.create_order(asked.id(11), jsonb_build_array(jsonb_build_object('product_id', asked.id(1), 'quantity', asked.up_to(4)),
			jsonb_build_object('product_id', asked.id(2), 'quantity', asked.up_to(4))), customer)).order_id)).order_id;
	ELSE
		reference := (wash.create_booking(customer, asked.id(20 + asked.up_to(3)), asked.id(11), date_trunc('hour', now()) + interval '100 hours')).booking_id;
	END IF;
	FOR i IN 1 .. 15 LOOP
		statement := asked.step(kind, reference);
		trace := trace || E'\n' || statement;
		BEGIN
			EXECUTE statement;
			taken := taken + 1;
		EXCEPTION WHEN OTHERS THEN
			trace := trace || ' -- ' || SQLSTATE || ' ' || SQLERRM;
			IF SQLSTATE !~ '^U[A-Z]0' AND SQLSTATE NOT IN ('22023', '23503', '22004') THEN unexpected := concat_ws(', ', unexpected, SQLSTATE || ' ' || SQLERRM); END IF;
		END;
		wrong := asked.wrong(reference);
		EXIT WHEN wrong IS NOT NULL;
	END LOOP;
	RETURN NEXT;
END $$;
SQL

my @answers = split /\n/, $node->safe_psql('postgres', "SET client_min_messages = warning;\nSELECT setseed(0.$seed) \\g /dev/null\n"
		. join('', map { "SELECT replace(jsonb_build_array(w.wrong, w.unexpected, w.taken, w.trace)::text, E'\\n', ' ') FROM asked.world('$_') AS w;\n" } map { $_ % 2 ? 'order' : 'booking' } 1 .. $worlds));
my ($taken, @wrong, @unexpected) = (0);
for my $answer (@answers)
{
	my ($wrong, $unexpected, $steps) = $answer =~ /^\[(null|"(?:[^"\\]|\\.)*"), (null|"(?:[^"\\]|\\.)*"), (\d+)/ or die $answer;
	$taken += $steps;
	push @wrong, $wrong and note($answer =~ s/\\n/\n/gr) if $wrong ne 'null';
	push @unexpected, $unexpected if $unexpected ne 'null';
}
is(scalar @answers, $worlds, 'all of them came to an end');
is("@wrong", '', 'what is asked for is what is due');
is("@unexpected", '', 'no error that nobody expects');
cmp_ok($taken, '>', $worlds * 5, 'steps were taken');
is($node->safe_psql('postgres', "SELECT string_agg(rule || ' ' || violations, ', ') FROM usher.self_check() WHERE violations > 0"), '', 'self_check() finds nothing');
done_testing();
