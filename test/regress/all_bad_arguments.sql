-- Every public function, with one bad argument among good ones: the answer names what is wrong. The functions come from
-- the catalog, so a new one is covered the day it is made. all_bad_input.sql calls them with nothing but nonsense, which
-- seldom gets as far as a table; here the others are such that it does.
\set VERBOSITY terse
SET client_min_messages = error;
BEGIN;
CREATE SCHEMA regress_bad_arguments;
CREATE TABLE regress_bad_arguments.own (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), status text DEFAULT 'open');

-- What there is to be named, by the arguments that name it.
CREATE TABLE regress_bad_arguments.things (argument text PRIMARY KEY, id uuid NOT NULL);
SELECT (usher.register_user('bad.arguments@example.com', 'correct horse battery')).user_id AS person \gset
SELECT id AS location FROM wash.create_location('Main', '1 Main St', 'Austin', 'TX', '78701') \gset
SELECT id AS service FROM wash.create_service('Wash', '30 minutes', 1000, 'EUR') \gset
SELECT product_id AS product FROM wash.create_product('bad-arguments', 'Wax', price_minor => 500, currency => 'EUR',
                                                      status => 'active') \gset
SELECT reward_id AS reward FROM wash.create_reward('{"title": "Mug", "cost_points": 10}') \gset
SELECT offer_id AS offer FROM wash.create_offer('{"title": "Less", "kind": "percent", "percent": 5}') \gset
SELECT ad_id AS ad FROM wash.create_advertisement('{"title": "Ad", "placement": "top"}') \gset
SELECT transaction_id AS payment FROM wash.create_payment(:'person', 1000, 'EUR') \gset
SELECT order_id AS "order" FROM wash.create_order(:'location',
    jsonb_build_array(jsonb_build_object('product_id', :'product', 'quantity', 1)), :'person') \gset
SELECT count_id AS counting FROM wash.start_stock_count(:'location') \gset
INSERT INTO regress_bad_arguments.things
SELECT unnest('{user_id,customer_id,staff_id,target_user_id,to_user,from_user}'::text[]), :'person'::uuid
UNION ALL SELECT 'location_id', :'location' UNION ALL SELECT 'service_id', :'service'
UNION ALL SELECT 'product_id', :'product' UNION ALL SELECT 'reward_id', :'reward'
UNION ALL SELECT 'offer_id', :'offer' UNION ALL SELECT 'ad_id', :'ad' UNION ALL SELECT 'order_id', :'order'
UNION ALL SELECT 'transaction_id', :'payment' UNION ALL SELECT 'count_id', :'counting';
SELECT wash.adjust_points(:'person', 100, 'welcome') IS NOT NULL AS has_points;

-- One that will do, as an SQL expression; NULL for an argument of a type that has none.
CREATE FUNCTION regress_bad_arguments.good_one(function text, argument text, type text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(
        (SELECT quote_literal(t.id) FROM regress_bad_arguments.things AS t
         WHERE t.argument = good_one.argument AND type = 'uuid'),
        CASE WHEN argument = 'currency' THEN '''EUR''' WHEN argument = 'processor' THEN '''fake'''
             WHEN argument = 'permission' THEN '''booking:read''' WHEN argument IN ('role', 'target_role') THEN '''client'''
             WHEN argument = 'email' THEN '''somebody@example.com''' WHEN argument LIKE '%url' THEN '''https://example.com/'''
             WHEN argument = 'condition' THEN '''true'''
             WHEN argument IN ('ptype', 'v0') THEN '''p''' WHEN function = 'add_route' AND argument = 'method' THEN '''GET'''
             WHEN function = 'add_route' AND argument = 'path_template' THEN '''/bad/arguments'''
             WHEN function = 'add_route' AND argument = 'function' THEN '''usher.get_me()'''
             WHEN function IN ('sign_jwt', 'verify_jwt') AND argument = 'key' THEN 'repeat(''k'', 32)'
             WHEN function = 'create_permission' THEN '''bad:arguments''' WHEN argument = 'mode' THEN '''async'''
             WHEN function = 'raise_error' AND argument = 'code' THEN '''illegal_transition'''
             WHEN function = 'verify_password' AND argument = 'hash' THEN 'usher.hash_password(''a long enough one'')'
             WHEN function = 'apply_machine_preset' THEN '''order'''
             WHEN function = 'row_history' AND argument = 'key' THEN '''{"id": 1}''' WHEN argument = 'event' THEN '''order.paid'''
             WHEN function = 'note_customer_signal' AND argument = 'kind' THEN '''device'''
             WHEN function = 'define_rate_limit' AND argument = 'algorithm' THEN '''fixed_window'''
             WHEN argument = 'changes' THEN
                 CASE WHEN function IN ('update_offer', 'update_reward') THEN '''{"title": "x"}''' ELSE '''{"name": "x"}''' END
             WHEN function = 'create_offer' THEN '''{"title": "x", "kind": "percent", "percent": 5}'''
             WHEN function = 'create_reward' THEN '''{"title": "x", "cost_points": 5}'''
             WHEN function = 'create_advertisement' THEN '''{"title": "x", "placement": "top"}'''
             WHEN function = 'create_earning_rule' THEN '''{"code": "x", "event": "order.completed", "points": "1"}'''
             WHEN argument = 'status' THEN '''active''' WHEN argument = 'outcome' THEN '''succeeded''' END,
        CASE WHEN type IN ('text', 'name') THEN '''abc''' WHEN type = 'jsonb' THEN '''{}'''
             WHEN type IN ('integer', 'bigint', 'smallint', 'numeric') THEN '1' WHEN type = 'boolean' THEN 'true'
             WHEN type = 'interval' THEN '''1 hour''' WHEN type = 'date' THEN 'current_date'
             WHEN type LIKE 'timestamp%' THEN 'now() + ''1 day''' WHEN type = 'uuid' THEN 'usher.uuid_v7()'
             WHEN type = 'tstzrange' THEN 'tstzrange(now(), now() + ''1 day'')' WHEN type = 'inet' THEN '''203.0.113.9'''
             WHEN type = 'uuid[]' THEN 'ARRAY[usher.uuid_v7()]' WHEN type = 'text[]' THEN '''{abc}'''
             WHEN type = 'integer[]' THEN '''{1}''' WHEN type = 'bytea' THEN '''\x00'''
             WHEN type = 'regclass' THEN '''regress_bad_arguments.own''' END)
$$;

CREATE FUNCTION regress_bad_arguments.bad_ones(function text, argument text, type text) RETURNS SETOF text LANGUAGE sql
AS $$
    SELECT unnest(ARRAY['NULL'] || CASE
        WHEN type = 'text' THEN ARRAY['''''', ''' ''', '''no such word''', 'repeat(''x'', 100000)']
        WHEN type IN ('integer', 'bigint', 'smallint', 'numeric') THEN ARRAY['0', '-1', '30000']
        WHEN type = 'interval' THEN ARRAY['''0''', '''-1 day''']
        WHEN type = 'uuid' THEN ARRAY['''00000000-0000-0000-0000-000000000000''']
        WHEN type LIKE '%[]' THEN ARRAY['''{}''', '''{NULL}'''] END)
    UNION ALL
    SELECT quote_literal(j.value) FROM unnest(ARRAY['[]', '{}', 'null', '{"no such key": 1}']) AS j (value) WHERE type = 'jsonb'
    UNION ALL -- members of what is a row of a table
    SELECT format('%s::jsonb || jsonb_build_object(%L, %s)',
                  regress_bad_arguments.good_one(function, argument, type), m.name, v.value)
    FROM unnest('{name,title,kind,code,placement,event,points,duration,percent,cost_points,sku,city,is_sensitive,segment,
                  hold_ttl,weight,min_amount_minor,max_uses,status,currency,tax_class,attributes,details,tiers}'::text[]) AS m (name),
        unnest(ARRAY['NULL', '''''::text', '0', '-1', '''no such word''::text']) AS v (value)
    WHERE type = 'jsonb' AND argument IN ('changes', 'definition')
$$;

-- Whether a DETAIL leaves open which argument is missing: there is none, or it speaks of something that is null.
CREATE FUNCTION regress_bad_arguments.is_vague(state text, detail text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN NOT detail::jsonb ? 'argument'
        AND (state = '22023' OR EXISTS (SELECT FROM jsonb_each(detail::jsonb) AS d WHERE d.value = 'null'));
EXCEPTION WHEN invalid_text_representation THEN -- no JSON
    RETURN state = '22023';
END $$;

-- Runs a statement and takes it back. Returns what is wrong with its outcome, or NULL.
CREATE FUNCTION regress_bad_arguments.fault_of(statement text, is_null boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
    words text;
    about text;
BEGIN
    BEGIN
        EXECUTE statement;
        RAISE SQLSTATE 'ZZ001';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, words = MESSAGE_TEXT, about = PG_EXCEPTION_DETAIL;
    END;
    IF state IN ('23502', '23503', '23514', '22004', '2201W', '2201X') OR state LIKE 'XX%'
       OR about LIKE 'Failing row%' THEN
        RETURN format('%s %s', state, left(words, 150));
    ELSIF is_null AND regress_bad_arguments.is_vague(state, about) THEN
        RETURN format('names no argument: %s %s, DETAIL %s', state, left(words, 150), coalesce(about, '-'));
    END IF;
    RETURN NULL;
END $$;

-- Required arguments are given, and of the others the bad one.
CREATE VIEW regress_bad_arguments.calls AS
WITH functions AS (
    SELECT p.oid, n.nspname, p.proname, a.name, pg_catalog.format_type(a.type, NULL) AS type,
           a.place <= p.pronargs - p.pronargdefaults AS is_required, a.place
    FROM pg_catalog.pg_extension AS e
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
        AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::regclass
    JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    CROSS JOIN LATERAL unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) WITH ORDINALITY AS a (name, type, place)
    WHERE e.extname LIKE 'usher%' AND p.proname NOT LIKE '\_%' AND p.prokind = 'f'
        AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
)
SELECT f.oid::regprocedure AS function, f.name AS argument, v.value,
       format('SELECT * FROM %I.%I(%s)', f.nspname, f.proname, (
           SELECT string_agg(format('%I => (%s)::%s', o.name,
               CASE WHEN o.place = f.place THEN v.value
                    ELSE coalesce(regress_bad_arguments.good_one(o.proname, o.name, o.type), 'NULL') END, o.type), ', ')
           FROM functions AS o WHERE o.oid = f.oid AND (o.is_required OR o.place = f.place))) AS statement
FROM functions AS f, regress_bad_arguments.bad_ones(f.proname, f.name, f.type) AS v (value);

SELECT count(DISTINCT function) > 200 AS functions_are_many, count(*) > 3000 AS calls_are_many
FROM regress_bad_arguments.calls;
SELECT DISTINCT function, argument, fault
FROM regress_bad_arguments.calls,
    LATERAL (SELECT regress_bad_arguments.fault_of(statement, value = 'NULL') AS fault) AS outcome
WHERE fault IS NOT NULL
    -- Only the script of an extension may call the first two, and the next needs a model; the machine of a table, and
    -- whoever remembers calls, is not named by an argument that is missing.
    AND function::regproc::text NOT IN ('usher.ship_rows', 'usher.finish_extension', 'usher.replay_call')
    AND function::text NOT LIKE 'usher.enforce(jsonb,%' AND function::text NOT LIKE 'usher.history(%'
ORDER BY 1, 2, 3;

-- What is wrong is named as the caller has named it, and the same for siblings.
CREATE FUNCTION regress_bad_arguments.answer(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    about text;
    advice text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS about = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, (nullif(about, '')::jsonb - '{allowed,check}'::text[])::text,
                     nullif(advice, ''));
END $$;
-- {offer_id} is the id of the offer above, {nobody} that of nothing.
SELECT call, replace(regress_bad_arguments.answer('SELECT * FROM ' || coalesce(
        (SELECT replace(call, '{' || t.argument || '}', t.id::text) FROM regress_bad_arguments.things AS t
         WHERE position('{' || t.argument || '}' IN call) > 0),
        replace(call, '{nobody}', '00000000-0000-0000-0000-000000000000'))),
    '00000000-0000-0000-0000-000000000000', '{nobody}') AS answer
FROM (VALUES
    -- no row is shown, its column is named
    ($$wash.create_service('', '30 minutes', 100, 'EUR')$$), ($$wash.create_service('x', '0', 100, 'EUR')$$),
    ($$wash.update_location('{location_id}', '{"name": null}')$$),
    ($$wash.update_location('{location_id}', '{"name": ""}')$$),
    ($$wash.create_offer('{"title": "x", "kind": "nope"}')$$),
    ($$wash.create_offer('{"title": "x", "kind": "percent"}')$$),
    ($$wash.create_offer('{"title": "x", "kind": "percent", "percent": 5, "segment": "nope"}')$$),
    ($$wash.set_service_active('{service_id}', NULL)$$), ($$wash.set_location_active('{location_id}', NULL)$$),
    ($$wash.create_product('other', 'x', status => 'nope')$$), ($$wash.set_product_status('{product_id}', NULL)$$),
    -- an argument by its own name
    ($$wash.update_offer('{offer_id}', '[]')$$), ($$wash.update_reward('{reward_id}', '[]')$$),
    ($$wash.set_service_materials('{nobody}', '{}')$$),
    ($$wash.add_staff_time_off('{nobody}', tstzrange(now(), NULL))$$), ($$wash.adjust_points('{nobody}', 0, 'x')$$),
    ($$usher.get_me()$$), ($$usher.list_permissions()$$), ($$usher.list_user_roles()$$),
    -- nothing to change, and what cannot be changed
    ($$wash.update_location('{location_id}', '{}')$$), ($$wash.update_service('{service_id}', '{}')$$),
    ($$wash.update_product('{product_id}', '{}')$$), ($$wash.update_offer('{offer_id}', '{}')$$),
    ($$wash.update_reward('{reward_id}', '{}')$$), ($$wash.update_location('{location_id}', '{"no": 1}')$$),
    ($$wash.update_product('{product_id}', '{"no": 1}')$$), ($$wash.update_offer('{offer_id}', '{"no": 1}')$$),
    -- words of a closed set
    ($$usher.list_users(only_status => 'nope')$$), ($$usher.search_audit(severity => 'nope')$$),
    ($$usher.search_audit(result => 'nope')$$), ($$wash.list_messages(only_status => 'nope')$$),
    ($$wash.list_http_requests(only_status => 'nope')$$), ($$wash.list_referrals(only_status => 'nope')$$),
    -- currencies
    ($$wash.get_product('{product_id}', 'eur')$$), ($$wash.search_products(currency => 'nope')$$),
    ($$wash.remove_future_price('{product_id}', 'nope', now())$$),
    -- how many rows
    ($$usher.history('wash.products'::regclass, '{product_id}', max_rows => NULL)$$),
    ($$wash.find_slots('{nobody}', '{nobody}', max_rows => NULL)$$), ($$usher.want_issuer_keys(-1)$$),
    ($$usher.search_users('x', -1)$$),
    -- nobody, and somebody who is not there
    ($$wash.get_booking(NULL)$$), ($$wash.cancel_booking(NULL)$$), ($$wash.begin_payment_attempt(NULL)$$),
    ($$usher.unlock_user(NULL)$$), ($$usher.deactivate_user(NULL)$$), ($$usher.unlock_user('{nobody}')$$),
    ($$usher.grant_role('{nobody}', 'client')$$), ($$wash.set_service_active('{nobody}', true)$$),
    ($$wash.set_location_active('{nobody}', true)$$), ($$wash.set_customer_active('{nobody}', true)$$)) AS c (call);

ROLLBACK;
\set VERBOSITY default
