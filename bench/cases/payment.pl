# Payments beside the same work in hand-written SQL with the same guarantees, webhooks with their signatures, and whether a balance or a
# refund costs more when many payments are stored. BENCH_PAYMENTS sets how many (1,000,000).
#
# What is compared: create_payment(), begin_payment_attempt() and record_payment_result() check who asks and what may follow what, refuse
# card numbers, keep an idempotency key, and write history, audit rows, events and two ledger entries whose sum is checked at commit. The
# hand-written form does the same with PL/pgSQL functions and triggers, the way people would write them for one application: no permissions,
# no versions, no subscribers, fixed tables. Both run in one backend, one transaction for each payment, by kept plans.
use strict;
use warnings;
use backend qw(sql costs);

my $stored = $ENV{BENCH_PAYMENTS} || 1_000_000;

# Paid payments as a restore would load them, without triggers, each with its attempt and journal.
sub store {
    my ($from, $to) = @_;
    sql(qq{SET session_replication_role = replica;
        INSERT INTO bench_pay.payment_transactions (id, customer_id, reference_type, reference_id, amount_minor, currency, exponent, payment_method, status, processor, processor_transaction_id, captured_minor, completed_at)
            SELECT bench.payment(n), bench.payment(n), 'order', bench.payment(n), 100000, 'EUR', 2, 'card', 'completed', 'fake', 'ch_' || n, 100000, now() FROM generate_series($from, $to) AS n;
        INSERT INTO bench_pay.payment_attempts (transaction_id, attempt_no, processor, provider_key, outcome, processor_transaction_id, captured_minor)
            SELECT bench.payment(n), 1, 'fake', 'key_' || n, 'succeeded', 'ch_' || n, 100000 FROM generate_series($from, $to) AS n;
        INSERT INTO bench_pay.ledger_journals (id, kind, reference_type, reference_id) SELECT bench.payment(n), 'capture', 'payment', bench.payment(n) FROM generate_series($from, $to) AS n;
        INSERT INTO bench_pay.ledger_entries SELECT bench.payment(n), e.no, e.account, e.direction, 100000, 'EUR' FROM generate_series($from, $to) AS n, (VALUES (1, 'processor:fake', 'debit'), (2, 'sales', 'credit')) AS e (no, account, direction);
        ANALYZE bench_pay.payment_transactions; ANALYZE bench_pay.payment_attempts; ANALYZE bench_pay.ledger_journals; ANALYZE bench_pay.ledger_entries;});
}

sub hand_written {
    return q{
        CREATE SCHEMA hand;
        CREATE TABLE hand.currencies (code text PRIMARY KEY, exponent smallint NOT NULL);
        INSERT INTO hand.currencies SELECT currency, exponent FROM bench_pay.list_currencies();
        CREATE TABLE hand.payments (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer_id uuid NOT NULL, reference_type text, reference_id uuid, amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
            currency text NOT NULL REFERENCES hand.currencies, payment_method text NOT NULL, purpose text NOT NULL DEFAULT 'sale', status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'refunded')),
            processor text, processor_transaction_id text, failure_code text, captured_minor bigint NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND amount_minor),
            refund_reserved_minor bigint NOT NULL DEFAULT 0, refunded_minor bigint NOT NULL DEFAULT 0, idempotency_key text NOT NULL UNIQUE, request_hash bytea NOT NULL, created_by text DEFAULT session_user,
            created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), version integer NOT NULL DEFAULT 1, CHECK (refund_reserved_minor + refunded_minor <= captured_minor),
            CHECK ((status IN ('completed', 'refunded')) = (captured_minor > 0)), UNIQUE (processor, processor_transaction_id));
        CREATE INDEX ON hand.payments (customer_id, created_at);
        CREATE INDEX ON hand.payments (reference_id) WHERE reference_id IS NOT NULL;
        CREATE TABLE hand.attempts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), payment_id uuid NOT NULL REFERENCES hand.payments, attempt_no integer NOT NULL, processor text NOT NULL, provider_key text NOT NULL UNIQUE,
            outcome text NOT NULL DEFAULT 'requested', processor_transaction_id text, captured_minor bigint, failure_code text, response jsonb, requested_at timestamptz NOT NULL DEFAULT now(), resolved_at timestamptz, UNIQUE (payment_id, attempt_no));
        CREATE UNIQUE INDEX ON hand.attempts (payment_id) WHERE outcome IN ('requested', 'unknown');
        CREATE UNIQUE INDEX ON hand.attempts (processor, processor_transaction_id) WHERE processor_transaction_id IS NOT NULL;
        CREATE TABLE hand.transitions (from_status text, to_status text, PRIMARY KEY (from_status, to_status));
        INSERT INTO hand.transitions VALUES ('pending', 'processing'), ('processing', 'completed'), ('processing', 'failed'), ('failed', 'processing'), ('pending', 'failed'), ('failed', 'completed'), ('completed', 'refunded');
        CREATE TABLE hand.history (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), payment_id uuid NOT NULL, seq integer NOT NULL, from_status text, to_status text, changed_by text DEFAULT session_user, changed_at timestamptz DEFAULT clock_timestamp(), version integer, UNIQUE (payment_id, seq));
        CREATE TABLE hand.audit (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), relation text, action text, row_key text, old_values jsonb, new_values jsonb, actor text DEFAULT session_user, at timestamptz DEFAULT clock_timestamp());
        CREATE TABLE hand.events (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event text NOT NULL, payload jsonb NOT NULL, key text, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
        CREATE TABLE hand.journals (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), kind text NOT NULL, reference_id uuid, posted_at timestamptz NOT NULL DEFAULT now());
        CREATE INDEX ON hand.journals (reference_id);
        CREATE TABLE hand.entries (journal_id uuid REFERENCES hand.journals, entry_no integer, account text NOT NULL, direction text NOT NULL, amount_minor bigint NOT NULL CHECK (amount_minor > 0), currency text NOT NULL REFERENCES hand.currencies, PRIMARY KEY (journal_id, entry_no));
        CREATE INDEX ON hand.entries (account, currency);
        CREATE FUNCTION hand.luhn(given text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
        DECLARE
            found text;
            total integer;
        BEGIN
            IF given !~ '([0-9][ .-]?){13}' THEN
                RETURN false;
            END IF;
            FOR found IN SELECT regexp_replace(m[1], '[^0-9]', '', 'g') FROM regexp_matches(regexp_replace(given, '[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}', '', 'g'), '((?:[0-9][ .-]?){12,18}[0-9])', 'g') AS m LOOP
                SELECT sum(CASE WHEN i % 2 = 0 THEN d WHEN d > 4 THEN d * 2 - 9 ELSE d * 2 END) INTO total FROM (SELECT i, substr(reverse(found), i + 1, 1)::integer AS d FROM generate_series(0, length(found) - 1) AS i) AS x;
                IF total % 10 = 0 THEN
                    RETURN true;
                END IF;
            END LOOP;
            RETURN false;
        END $$;
        CREATE FUNCTION hand.check_payment() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF hand.luhn(NEW.processor_transaction_id) OR hand.luhn(NEW.failure_code) OR hand.luhn(NEW.reference_type) OR hand.luhn(NEW.purpose) OR hand.luhn(NEW.payment_method) THEN
                RAISE EXCEPTION 'card number';
            END IF;
            IF TG_OP = 'UPDATE' THEN
                NEW.updated_at := now();
                NEW.version := OLD.version + 1;
                IF (NEW.amount_minor, NEW.currency, NEW.customer_id, NEW.idempotency_key) IS DISTINCT FROM (OLD.amount_minor, OLD.currency, OLD.customer_id, OLD.idempotency_key) THEN
                    RAISE EXCEPTION 'cannot change';
                END IF;
                IF NEW.status <> OLD.status AND NOT EXISTS (SELECT FROM hand.transitions WHERE from_status = OLD.status AND to_status = NEW.status) THEN
                    RAISE EXCEPTION 'status cannot change from % to %', OLD.status, NEW.status;
                END IF;
            ELSIF NEW.status <> 'pending' THEN
                RAISE EXCEPTION 'status must be pending';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER a_check BEFORE INSERT OR UPDATE ON hand.payments FOR EACH ROW EXECUTE FUNCTION hand.check_payment();
        CREATE FUNCTION hand.check_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF hand.luhn(NEW.provider_key) OR hand.luhn(NEW.processor_transaction_id) OR hand.luhn(NEW.failure_code) OR hand.luhn(NEW.response::text) THEN
                RAISE EXCEPTION 'card number';
            END IF;
            IF TG_OP = 'UPDATE' AND OLD.outcome = 'succeeded' THEN
                RAISE EXCEPTION 'succeeded already';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER a_check BEFORE INSERT OR UPDATE ON hand.attempts FOR EACH ROW EXECUTE FUNCTION hand.check_attempt();
        CREATE FUNCTION hand.record_payment() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' OR NEW.status <> OLD.status THEN
                INSERT INTO hand.history (payment_id, seq, from_status, to_status, version)
                    SELECT NEW.id, coalesce(max(h.seq), 0) + 1, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status, NEW.version FROM hand.history AS h WHERE h.payment_id = NEW.id;
                INSERT INTO hand.events (event, key, payload) VALUES ('payment.' || CASE WHEN TG_OP = 'INSERT' THEN 'created' ELSE NEW.status END, NEW.id::text, jsonb_build_object('id', NEW.id, 'status', NEW.status, 'customer_id', NEW.customer_id,
                    'reference_type', NEW.reference_type, 'reference_id', NEW.reference_id, 'purpose', NEW.purpose, 'amount_minor', NEW.amount_minor, 'currency', NEW.currency, 'payment_method', NEW.payment_method, 'captured_minor', NEW.captured_minor, 'refunded_minor', NEW.refunded_minor, 'version', NEW.version));
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER b_record AFTER INSERT OR UPDATE ON hand.payments FOR EACH ROW EXECUTE FUNCTION hand.record_payment();
        CREATE FUNCTION hand.audit_row() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO hand.audit (relation, action, row_key, old_values, new_values)
                VALUES (TG_TABLE_NAME, TG_OP, NEW.id::text, CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) - 'response' END, to_jsonb(NEW) - 'response');
            RETURN NULL;
        END $$;
        CREATE TRIGGER c_audit AFTER INSERT OR UPDATE ON hand.payments FOR EACH ROW EXECUTE FUNCTION hand.audit_row();
        CREATE TRIGGER c_audit AFTER INSERT OR UPDATE ON hand.attempts FOR EACH ROW EXECUTE FUNCTION hand.audit_row();
        CREATE FUNCTION hand.check_journal() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM hand.entries WHERE journal_id = NEW.journal_id GROUP BY currency HAVING sum(CASE direction WHEN 'debit' THEN amount_minor ELSE -amount_minor END) <> 0) THEN
                RAISE EXCEPTION 'unbalanced';
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER check_journal AFTER INSERT ON hand.entries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hand.check_journal();
        CREATE FUNCTION hand.create_payment(customer uuid, amount bigint, currency_code text, method text, reference_kind text, reference uuid, key text) RETURNS uuid LANGUAGE plpgsql AS $$
        DECLARE
            hash bytea := sha256(convert_to(concat_ws(',', customer, amount, currency_code, method, reference_kind, reference), 'UTF8'));
            made uuid;
            known record;
        BEGIN
            PERFORM FROM usher.users AS u WHERE u.id = customer AND u.status = 'active' FOR SHARE;
            INSERT INTO hand.payments (customer_id, amount_minor, currency, payment_method, reference_type, reference_id, idempotency_key, request_hash)
                VALUES (customer, amount, currency_code, method, reference_kind, reference, key, hash) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id INTO made;
            IF made IS NULL THEN
                SELECT id, request_hash INTO known FROM hand.payments WHERE idempotency_key = key;
                IF known.request_hash <> hash THEN
                    RAISE EXCEPTION 'key used before';
                END IF;
                made := known.id;
            END IF;
            RETURN made;
        END $$;
        CREATE FUNCTION hand.begin_attempt(payment uuid, with_processor text) RETURNS uuid LANGUAGE plpgsql AS $$
        DECLARE
            p hand.payments;
            made uuid := gen_random_uuid();
            n integer;
        BEGIN
            SELECT * INTO p FROM hand.payments WHERE id = payment FOR UPDATE;
            IF p.status NOT IN ('pending', 'failed') THEN
                RAISE EXCEPTION 'not now';
            END IF;
            SELECT count(*) + 1 INTO n FROM hand.attempts WHERE payment_id = payment;
            IF n > 5 THEN
                RAISE EXCEPTION 'too often';
            END IF;
            INSERT INTO hand.attempts (id, payment_id, attempt_no, processor, provider_key) VALUES (made, payment, n, with_processor, 'key-' || made);
            UPDATE hand.payments SET status = 'processing', processor = with_processor, failure_code = NULL WHERE id = payment;
            INSERT INTO hand.events (event, key, payload) VALUES ('payment.attempt_requested', payment::text, jsonb_build_object('attempt_id', made, 'payment_id', payment, 'provider_key', 'key-' || made, 'amount_minor', p.amount_minor, 'currency', p.currency));
            RETURN made;
        END $$;
        CREATE FUNCTION hand.record_result(attempt uuid, said text, theirs text, answer jsonb) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE
            a hand.attempts;
            p hand.payments;
            kept jsonb;
            journal uuid := gen_random_uuid();
        BEGIN
            SELECT * INTO a FROM hand.attempts WHERE id = attempt FOR UPDATE;
            SELECT * INTO p FROM hand.payments WHERE id = a.payment_id FOR UPDATE;
            IF a.outcome = 'succeeded' OR said <> 'succeeded' OR p.status NOT IN ('processing', 'failed') THEN
                RETURN p.status;
            END IF;
            IF EXISTS (SELECT FROM hand.attempts WHERE processor = a.processor AND processor_transaction_id = theirs AND id <> attempt) THEN
                RAISE EXCEPTION 'id of another attempt';
            END IF;
            SELECT jsonb_object_agg(e.key, e.value) INTO kept FROM jsonb_each(answer) AS e WHERE e.key IN ('id', 'status', 'amount', 'currency', 'created', 'brand', 'last4');
            UPDATE hand.attempts SET outcome = 'succeeded', processor_transaction_id = theirs, captured_minor = p.amount_minor, response = kept, resolved_at = clock_timestamp() WHERE id = attempt;
            UPDATE hand.payments SET status = 'completed', captured_minor = amount_minor, processor_transaction_id = theirs WHERE id = p.id;
            INSERT INTO hand.journals (id, kind, reference_id) VALUES (journal, 'capture', p.id);
            INSERT INTO hand.entries VALUES (journal, 1, 'processor:' || a.processor, 'debit', p.amount_minor, p.currency), (journal, 2, 'sales', 'credit', p.amount_minor, p.currency);
            RETURN 'completed';
        END $$;
        -- a webhook as people verify it: all secrets, header by header, compared in constant time
        CREATE TABLE hand.secrets (processor text, secret text);
        CREATE FUNCTION hand.same(one bytea, other bytea) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
        DECLARE
            difference integer := length(one) # length(other);
        BEGIN
            FOR i IN 0 .. least(length(one), length(other)) - 1 LOOP
                difference := difference | (get_byte(one, i) # get_byte(other, i));
            END LOOP;
            RETURN difference = 0;
        END $$;
        CREATE FUNCTION hand.verify(from_processor text, body text, headers jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
        DECLARE
            part text;
            at text;
            given bytea[] := '{}';
            s record;
            one bytea;
            good boolean := false;
        BEGIN
            FOREACH part IN ARRAY string_to_array(headers ->> 'stripe-signature', ',') LOOP
                IF split_part(part, '=', 1) = 't' THEN
                    at := split_part(part, '=', 2);
                ELSIF split_part(part, '=', 1) = 'v1' THEN
                    given := given || decode(split_part(part, '=', 2), 'hex');
                END IF;
            END LOOP;
            IF at !~ '^[0-9]{1,12}$' OR abs(extract(epoch FROM clock_timestamp()) - at::bigint) > 300 THEN
                RETURN false;
            END IF;
            FOR s IN SELECT x.secret FROM hand.secrets AS x WHERE x.processor = from_processor LOOP
                FOREACH one IN ARRAY given LOOP
                    good := hand.same(public.hmac(convert_to(at || '.' || body, 'UTF8'), convert_to(s.secret, 'UTF8'), 'sha256'), one) OR good;
                END LOOP;
            END LOOP;
            RETURN good;
        END $$;};
}

sub report {
    sql(q{CREATE EXTENSION IF NOT EXISTS usher CASCADE;
        DROP SCHEMA IF EXISTS bench CASCADE;
        DROP SCHEMA IF EXISTS hand CASCADE;
        DROP EXTENSION IF EXISTS usher_payment;
        DROP SCHEMA IF EXISTS bench_pay CASCADE;
        CREATE SCHEMA bench_pay;
        CREATE EXTENSION usher_payment SCHEMA bench_pay;
        CREATE SCHEMA bench;
        INSERT INTO usher.users (id, email, status) VALUES ('00000000-0000-7000-8000-00000000ffff', 'payer@example.com', 'active') ON CONFLICT DO NOTHING;
        CREATE FUNCTION bench.payment(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid $$;
        -- a transaction for each call
        CREATE PROCEDURE bench.repeat(times integer, statement text) LANGUAGE plpgsql AS $$
        BEGIN
            FOR i IN 1 .. times LOOP
                EXECUTE statement;
                COMMIT;
            END LOOP;
        END $$;
        CREATE FUNCTION bench.ours() RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            payment uuid;
            attempt uuid;
        BEGIN
            SELECT transaction_id INTO payment FROM bench_pay.create_payment('00000000-0000-7000-8000-00000000ffff', 1000, 'EUR', 'card', 'order', '00000000-0000-7000-8000-00000000ffff', idempotency_key => gen_random_uuid()::text);
            SELECT attempt_id INTO attempt FROM bench_pay.begin_payment_attempt(payment, 'fake');
            PERFORM FROM bench_pay.record_payment_result(attempt, 'succeeded', 'ch_' || attempt, response => '{"id": "ch_1", "status": "succeeded", "amount": 1000, "currency": "eur", "client_secret": "secret", "created": 1700000000}');
        END $$;
        CREATE FUNCTION bench.hand() RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            payment uuid;
            attempt uuid;
        BEGIN
            payment := hand.create_payment('00000000-0000-7000-8000-00000000ffff', 1000, 'EUR', 'card', 'order', gen_random_uuid(), gen_random_uuid()::text);
            attempt := hand.begin_attempt(payment, 'fake');
            PERFORM hand.record_result(attempt, 'succeeded', 'ch_' || attempt, '{"id": "ch_1", "status": "succeeded", "amount": 1000, "currency": "eur", "client_secret": "secret", "created": 1700000000}');
        END $$;} =~ s/'order', '00000000-0000-7000-8000-00000000ffff', idempotency_key/'order', gen_random_uuid(), idempotency_key/r);
    sql(hand_written());
    sql(q{SELECT bench_pay.add_webhook_secret('fake', 'stripe', 'whsec_the_first_of_two_secrets'), bench_pay.add_webhook_secret('fake', 'stripe', 'whsec_the_second_of_two_secrets');
        INSERT INTO hand.secrets VALUES ('fake', 'whsec_the_first_of_two_secrets'), ('fake', 'whsec_the_second_of_two_secrets');
        -- another body than the one that was signed: all secrets are tried, and nothing follows
        CREATE TABLE bench.webhook AS SELECT b.body, jsonb_build_object('content-type', 'application/json', 'user-agent', 'Stripe/1.0', 'stripe-signature', format('t=%s,v1=%s', extract(epoch FROM now())::bigint, repeat('ab', 32))) AS headers
            FROM (SELECT jsonb_build_object('id', 'evt_1', 'type', 'payment_intent.succeeded', 'data', jsonb_build_object('object', jsonb_build_object('id', 'pi_1', 'description', repeat('x', 1500))))::text AS body) AS b;
        CREATE FUNCTION bench.verify_ours(times integer) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE w bench.webhook := (SELECT w FROM bench.webhook AS w);
        BEGIN FOR i IN 1 .. times LOOP PERFORM bench_pay.verify_webhook('fake', w.body, w.headers); END LOOP; END $$;
        CREATE FUNCTION bench.verify_hand(times integer) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE w bench.webhook := (SELECT w FROM bench.webhook AS w);
        BEGIN FOR i IN 1 .. times LOOP PERFORM hand.verify('fake', w.body, w.headers); END LOOP; END $$;});

    my $verdict = sub { my ($good) = @_; return $good ? 'met' : '**missed**' };
    my ($hand, $ours) = costs(9, 200, 'SELECT bench.hand()', 'SELECT bench.ours()');
    my @lines = ('| create, attempt and result, one transaction | CPU time | ratio |', '| --- | --- | --- |', sprintf('| hand-written PL/pgSQL | %.0f us | 1 |', $hand), sprintf('| **usher_payment** | %.0f us | %.2f |', $ours, $ours / $hand), '',
        sprintf('Target: at most 1.5 times the hand-written form: %.2f, %s.', $ours / $hand, $verdict->($ours / $hand <= 1.5)), '');

    my ($pgcrypto, $native) = map { $_ / 100 } costs(9, 20, 'SELECT bench.verify_hand(100)', 'SELECT bench.verify_ours(100)');
    push @lines, '| signature of a webhook, 1.6 kB, two secrets | CPU time | ratio |', '| --- | --- | --- |', sprintf('| PL/pgSQL with pgcrypto | %.1f us | 1 |', $pgcrypto), sprintf('| **verify_webhook()** | %.1f us | %.2f |', $native, $native / $pgcrypto), '',
        sprintf('Target: at least 5 times faster: %.1f, %s.', $pgcrypto / $native, $verdict->($pgcrypto / $native >= 5)), '';

    my @calls = ("SELECT net_minor FROM bench_pay.get_payment_balance('order', bench.payment(1 + floor(random() * 10000)::bigint))",
        'SELECT amount_minor FROM bench_pay.create_refund(bench.payment(1 + floor(random() * 10000)::bigint), 1)');
    store(1, 10_000);
    my @few = costs(9, 200, @calls);
    store(10_001, $stored);
    my @many = costs(9, 200, @calls);
    push @lines, sprintf('| with so many payments stored | 10,000 | %d | ratio |', $stored), '| --- | --- | --- | --- |';
    push @lines, sprintf('| %s | %.0f us | %.0f us | %.2f |', ('get_payment_balance()', 'create_refund()')[$_], $few[$_], $many[$_], $many[$_] / $few[$_]) for 0, 1;
    push @lines, '', 'Target: at most 1.3: ' . join('; ', map { sprintf('%.2f, %s', $many[$_] / $few[$_], $verdict->($many[$_] / $few[$_] <= 1.3)) } 0, 1) . '.';
    sql('DROP SCHEMA bench CASCADE; DROP SCHEMA hand CASCADE; DROP EXTENSION usher_payment; DROP SCHEMA bench_pay CASCADE');
    return @lines;
}

return { title => 'payments with attempts, history, audit, events and ledger', report => \&report };
