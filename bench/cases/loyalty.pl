# Points for an event beside the same in hand-written SQL with the same guarantees; offers for a customer where there are 10 and 10,000;
# views of an advertisement.
#
# What is compared: the handler of payment.completed judges the rules that were valid then, keeps the purchase as a fact, adds an entry once
# for each rule, with a lot, account, audit-free ledger and event, and looks at tiers. The hand-written form does the same with a PL/pgSQL
# function and a trigger, for one rule that is written into it: no versions, no expressions, no caps, no tiers. Both run in one backend, one
# transaction for each event, by kept plans.
use strict;
use warnings;
use backend qw(sql costs);

sub hand_written {
    return q{
        CREATE SCHEMA hand;
        CREATE TABLE hand.accounts (customer_id uuid PRIMARY KEY, balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0), debt bigint NOT NULL DEFAULT 0 CHECK (debt >= 0), closed_at timestamptz, updated_at timestamptz DEFAULT now());
        CREATE TABLE hand.sources (source_type text, source_id uuid, customer_id uuid, amount_minor bigint, currency text, occurred_at timestamptz, PRIMARY KEY (source_type, source_id));
        CREATE INDEX ON hand.sources (customer_id, occurred_at);
        CREATE TABLE hand.deductions (source_type text, source_id uuid, cause_id uuid, amount_minor bigint, PRIMARY KEY (source_type, source_id, cause_id), FOREIGN KEY (source_type, source_id) REFERENCES hand.sources);
        CREATE TABLE hand.entries (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer_id uuid NOT NULL REFERENCES hand.accounts, kind text NOT NULL, points bigint NOT NULL, source_type text, source_id uuid, rule text, reverses uuid REFERENCES hand.entries,
            expires_at timestamptz, occurred_at timestamptz, created_at timestamptz NOT NULL DEFAULT now());
        CREATE UNIQUE INDEX ON hand.entries (source_id, source_type, customer_id, rule) WHERE kind = 'earn';
        CREATE INDEX ON hand.entries (customer_id, id);
        CREATE INDEX ON hand.entries (customer_id, occurred_at) WHERE kind IN ('earn', 'take_back');
        CREATE INDEX ON hand.entries (reverses) WHERE reverses IS NOT NULL;
        CREATE INDEX ON hand.entries (source_id);
        CREATE TABLE hand.lots (id uuid PRIMARY KEY REFERENCES hand.entries, customer_id uuid NOT NULL REFERENCES hand.accounts, points bigint NOT NULL, points_left bigint NOT NULL CHECK (points_left BETWEEN 0 AND points), expires_at timestamptz);
        CREATE INDEX ON hand.lots (customer_id, id);
        CREATE INDEX ON hand.lots (customer_id, id) WHERE points_left > 0;
        CREATE INDEX ON hand.lots (expires_at) WHERE points_left > 0;
        CREATE TABLE hand.events (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event text NOT NULL, payload jsonb NOT NULL, key text, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
        CREATE INDEX ON hand.events (event, created_at);
        CREATE FUNCTION hand.post() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            a hand.accounts;
            paid bigint;
        BEGIN
            SELECT * INTO a FROM hand.accounts WHERE customer_id = NEW.customer_id FOR NO KEY UPDATE;
            IF a.closed_at IS NOT NULL THEN
                RAISE EXCEPTION 'closed';
            END IF;
            IF NEW.points > 0 THEN
                paid := least(NEW.points, a.debt);
                IF NEW.points > paid THEN
                    INSERT INTO hand.lots VALUES (NEW.id, NEW.customer_id, NEW.points - paid, NEW.points - paid, NEW.expires_at);
                END IF;
                UPDATE hand.accounts SET balance = balance + NEW.points - paid, debt = debt - paid, updated_at = now() WHERE customer_id = NEW.customer_id RETURNING * INTO a;
            END IF;
            INSERT INTO hand.events (event, key, payload) VALUES ('points_earned', NEW.customer_id::text, jsonb_build_object('entry_id', NEW.id, 'customer_id', NEW.customer_id, 'points', NEW.points, 'balance', a.balance, 'debt', a.debt, 'rule', NEW.rule, 'source_type', NEW.source_type, 'source_id', NEW.source_id));
            RETURN NULL;
        END $$;
        CREATE TRIGGER post AFTER INSERT ON hand.entries FOR EACH ROW EXECUTE FUNCTION hand.post();
        CREATE FUNCTION hand.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'append only'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON hand.entries FOR EACH ROW EXECUTE FUNCTION hand.refuse();
        CREATE FUNCTION hand.guard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF pg_trigger_depth() < 2 THEN
                RAISE EXCEPTION 'not by hand';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON hand.lots FOR EACH ROW EXECUTE FUNCTION hand.guard();
        CREATE TRIGGER guard BEFORE UPDATE ON hand.accounts FOR EACH ROW EXECUTE FUNCTION hand.guard();
        CREATE FUNCTION hand.on_payment(payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            customer uuid := payload ->> 'customer_id';
            source uuid := payload ->> 'transaction_id';
            amount bigint := payload ->> 'captured_minor';
            at timestamptz := coalesce((payload ->> 'completed_at')::timestamptz, now());
            points bigint;
            without bigint;
            e record;
            due bigint;
        BEGIN
            INSERT INTO hand.sources VALUES ('payment', source, customer, amount, payload ->> 'currency', at)
                ON CONFLICT (source_type, source_id) DO UPDATE SET customer_id = EXCLUDED.customer_id, amount_minor = EXCLUDED.amount_minor, currency = EXCLUDED.currency, occurred_at = EXCLUDED.occurred_at;
            INSERT INTO hand.accounts (customer_id) VALUES (customer) ON CONFLICT DO NOTHING;
            PERFORM FROM hand.accounts WHERE customer_id = customer FOR NO KEY UPDATE;
            SELECT sum(amount_minor) INTO without FROM hand.deductions WHERE source_type = 'payment' AND source_id = source;
            IF coalesce(payload ->> 'payment_method', '') IN ('points', 'voucher') OR without >= amount THEN
                RETURN;
            END IF;
            points := floor(amount / 100);
            IF payload ->> 'currency' = 'EUR' AND points > 0 THEN
                INSERT INTO hand.entries (customer_id, kind, points, source_type, source_id, rule, expires_at, occurred_at)
                    VALUES (customer, 'earn', points, 'payment', source, 'per_euro', at + interval '1 year', at) ON CONFLICT (source_id, source_type, customer_id, rule) WHERE kind = 'earn' DO NOTHING;
            END IF;
            IF without IS NOT NULL THEN
                FOR e IN SELECT n.id, n.points, n.rule, coalesce((SELECT -sum(r.points) FROM hand.entries AS r WHERE r.reverses = n.id), 0) AS taken FROM hand.entries AS n WHERE n.source_id = source AND n.kind = 'earn' LOOP
                    due := e.points - round(e.points * (amount - without)::numeric / amount) - e.taken;
                    IF due > 0 THEN
                        INSERT INTO hand.entries (customer_id, kind, points, source_type, source_id, rule, reverses) VALUES (customer, 'take_back', -due, 'payment', source, e.rule, e.id);
                    END IF;
                END LOOP;
            END IF;
        END $$;};
}

sub report {
    sql(q{CREATE EXTENSION IF NOT EXISTS usher CASCADE;
        DROP SCHEMA IF EXISTS bench CASCADE;
        DROP SCHEMA IF EXISTS hand CASCADE;
        DROP EXTENSION IF EXISTS usher_loyalty;
        DROP SCHEMA IF EXISTS bench_loyal CASCADE;
        CREATE SCHEMA bench_loyal;
        CREATE EXTENSION usher_loyalty SCHEMA bench_loyal;
        CREATE SCHEMA bench;
        -- a transaction for each call
        CREATE PROCEDURE bench.repeat(times integer, statement text) LANGUAGE plpgsql AS $$
        BEGIN
            FOR i IN 1 .. times LOOP
                EXECUTE statement;
                COMMIT;
            END LOOP;
        END $$;
        CREATE FUNCTION bench.payload() RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('transaction_id', gen_random_uuid(), 'customer_id', ('00000000-0000-7000-8000-' || lpad(floor(random() * 1000)::text, 12, '0'))::uuid, 'captured_minor', 1250, 'currency', 'EUR',
            'payment_method', 'card', 'reference_type', 'order', 'reference_id', gen_random_uuid(), 'completed_at', now()) $$;
        CREATE FUNCTION bench.product(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid $$;
        -- as many offers, each for a product of its own
        CREATE FUNCTION bench.offers(since integer, until integer) RETURNS void LANGUAGE sql AS $$
            INSERT INTO bench_loyal.loyalty_offers (title, kind, percent, product_ids) SELECT 'offer ' || n, 'percent', 10, ARRAY[bench.product(n)] FROM generate_series(since, until) AS n;
            UPDATE bench_loyal.loyalty_offers SET status = 'active' WHERE status = 'draft' $$;
        SELECT bench_loyal.create_earning_rule('{"code": "per_euro", "event": "payment.completed", "points": "floor(r.amount_minor / 100)", "condition": "r.currency == ''EUR''", "expires_after": "1 year"}');});
    sql(hand_written());
    my $verdict = sub { my ($good) = @_; return $good ? 'met' : '**missed**' };
    my ($hand, $ours) = costs(9, 300, 'SELECT hand.on_payment(bench.payload())', q{SELECT bench_loyal._on_purchase('payment.completed', bench.payload())});
    my @lines = ('| points for an event, one transaction | CPU time | ratio |', '| --- | --- | --- |', sprintf('| hand-written PL/pgSQL | %.0f us | 1 |', $hand), sprintf('| **usher_loyalty** | %.0f us | %.2f |', $ours, $ours / $hand), '',
        sprintf('Target: at most the time of the hand-written form: %.2f, %s.', $ours / $hand, $verdict->($ours / $hand <= 1)), '');

    my $list = q{SELECT count(*) FROM bench_loyal.list_offers_for('00000000-0000-7000-8000-000000000001', context => jsonb_build_object('currency', 'EUR', 'lines', (SELECT jsonb_agg(jsonb_build_object('product_id', bench.product(n), 'unit_minor', 500)) FROM generate_series(1, 3) AS n)))};
    sql('SELECT bench.offers(1, 10); ANALYZE bench_loyal.loyalty_offers; ANALYZE bench_loyal.loyalty_offer_keys');
    my ($few) = costs(9, 200, $list);
    sql('SELECT bench.offers(11, 10000); ANALYZE bench_loyal.loyalty_offers; ANALYZE bench_loyal.loyalty_offer_keys');
    my ($many) = costs(9, 200, $list);
    push @lines, '| list_offers_for(), three products | 10 offers | 10,000 offers | ratio |', '| --- | --- | --- | --- |', sprintf('| CPU time | %.0f us | %.0f us | %.2f |', $few, $many, $many / $few), '',
        sprintf('Target: within 3, and below 5 ms: %.2f and %.2f ms, %s.', $many / $few, $many / 1000, $verdict->($many / $few <= 3 && $many < 5000)), '';

    sql(q{CREATE TABLE bench.ad AS SELECT (bench_loyal.set_advertisement_status((bench_loyal.create_advertisement('{"title": "Ad", "placement": "home"}')).ad_id, 'active')).ad_id AS id;
        CREATE FUNCTION bench.views(times integer) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            ad uuid := (SELECT id FROM bench.ad);
        BEGIN
            FOR i IN 1 .. times LOOP
                PERFORM bench_loyal.record_advertisement_event(ad);
            END LOOP;
        END $$;});
    my ($views) = map { $_ / 1000 } costs(9, 10, 'SELECT bench.views(1000)');
    my $is_shared = sql(q{SELECT current_setting('shared_preload_libraries') ~ 'usher'}) eq 't';
    push @lines, sprintf('A view of an advertisement takes %.1f us: %.0f a second from one backend%s.', $views, 1e6 / $views, $is_shared ? '' : ', without the library preloaded'), '',
        sprintf('Target: at least 20,000: %s.', $verdict->(1e6 / $views >= 20_000));
    sql('DROP SCHEMA bench CASCADE; DROP SCHEMA hand CASCADE; DROP EXTENSION usher_loyalty; DROP SCHEMA bench_loyal CASCADE');
    return @lines;
}

return { title => 'points for events, offers for a customer, views of an advertisement', report => \&report };
