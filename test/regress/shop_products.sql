-- Products, variants, prices in time, taxes, and searching them; who may, by functions, routes and row-level security.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
CREATE SCHEMA shop_test;
CREATE FUNCTION shop_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION shop_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;

-- Made as a draft or active at once, with a price or without
SELECT sku, name, kind, unit, track_stock, status, price_minor, currency, tax_included, version FROM wash.create_product('cream', 'Hand cream', price_minor => 1250, category => 'care',
    description => 'For dry hands', attributes => '{"size": "50 ml", "vegan": true}', tax_class => 'standard', id => shop_test.id(1), status => 'active');
SELECT sku, kind, track_stock, status, price_minor FROM wash.create_product('peel', 'Chemical peel', 'treatment', id => shop_test.id(2));
SELECT sku, price_minor, currency, tax_included FROM wash.create_product('cream-100', 'Hand cream, large', price_minor => 2000, currency => 'JPY', tax_included => false, variant_of => shop_test.id(1),
    attributes => '{"size": "100 ml"}', id => shop_test.id(3), status => 'active');
SELECT wrong, shop_test.refusal(format('SELECT wash.create_product(%s)', arguments)) FROM (VALUES
    ('a SKU that is taken', '''cream'', ''Cream'''), ('no SKU', 'NULL, ''Cream'''), ('no name', '''x'', '''''), ('another kind', '''x'', ''X'', ''thing'''),
    ('a price below zero', '''x'', ''X'', price_minor => -1'), ('a price in nothing', '''x'', ''X'', price_minor => 1, currency => ''EURO'''), ('too expensive', '''x'', ''X'', price_minor => 9223372036854775807'),
    ('attributes that are none', '''x'', ''X'', attributes => ''[]'''), ('a variant of nothing', '''x'', ''X'', variant_of => shop_test.id(99)'), ('another status', '''x'', ''X'', status => ''sold'''),
    ('a limit below zero', '''x'', ''X'', backorder_limit => -1')) AS v (wrong, arguments);
SELECT count(*) FROM wash.products WHERE sku = 'x';

-- Changed by name; the status by the machine
SELECT name, category, attributes, tax_class, version FROM wash.update_product(shop_test.id(1), '{"name": "Hand cream, small", "category": null, "attributes": {"size": "50 ml"}}', 2);
SELECT name, category, version FROM wash.update_product(shop_test.id(1), '{"category": "care"}');
SELECT wrong, shop_test.refusal(format('SELECT wash.update_product(%s)', arguments)) FROM (VALUES
    ('seen otherwise', 'shop_test.id(1), ''{"name": "X"}'', 1'), ('what cannot be changed', 'shop_test.id(1), ''{"track_stock": false}'''), ('no name', 'shop_test.id(1), ''{"name": null}'''),
    ('no object', 'shop_test.id(1), ''[]'''), ('nothing', 'shop_test.id(99), ''{}''')) AS v (wrong, arguments);
SELECT status FROM wash.set_product_status(shop_test.id(2), 'active');
SELECT status FROM wash.set_product_status(shop_test.id(2), 'active') AS again;
SELECT status FROM wash.set_product_status(shop_test.id(2), 'archived');
SELECT shop_test.refusal('SELECT wash.set_product_status(shop_test.id(2), ''draft'')') AS back_to_draft, shop_test.refusal('UPDATE wash.products SET status = ''draft'' WHERE id = shop_test.id(2)') AS by_hand;
SELECT event, payload ->> 'sku' AS sku FROM usher.events WHERE event LIKE 'product.%' ORDER BY id;

-- A price list: what was in force stays
SELECT price_minor FROM wash.set_price(shop_test.id(1), 1300);
SELECT price_minor FROM wash.set_price(shop_test.id(1), 1400, valid_from => now() + interval '1 day') AS still;
SELECT price_minor, currency, tax_included FROM wash.set_price(shop_test.id(1), 1500, 'USD', tax_included => false);
SELECT price_minor, currency FROM wash.get_product(shop_test.id(1), 'GBP');
SELECT currency, price_minor, tax_included, valid_from > now() AS to_come, valid_until IS NOT NULL AS ends FROM wash.list_prices(shop_test.id(1));
SELECT wrong, shop_test.refusal(statement) FROM (VALUES
    ('from yesterday on', 'SELECT wash.set_price(shop_test.id(1), 1, valid_from => now() - interval ''1 day'')'), ('of nothing', 'SELECT wash.set_price(shop_test.id(99), 1)'),
    ('a price in force, overwritten', 'UPDATE wash.product_prices SET amount_minor = 1 WHERE amount_minor = 1300'), ('one to come, overwritten', 'UPDATE wash.product_prices SET amount_minor = 1 WHERE amount_minor = 1400'),
    ('a price in force, removed', 'DELETE FROM wash.product_prices WHERE amount_minor = 1300'),
    ('a price by hand', 'INSERT INTO wash.product_prices (product_id, currency, amount_minor) VALUES (shop_test.id(1), ''XXX'', 1)'),
    ('the same through the function', format('SELECT wash.remove_future_price(shop_test.id(1), ''EUR'', %L)', (SELECT valid_from FROM wash.product_prices WHERE amount_minor = 1300)))) AS v (wrong, statement);
SELECT shop_test.refusal('TRUNCATE wash.product_prices') AS all_prices, shop_test.refusal('TRUNCATE wash.tax_rates') AS all_rates;
SELECT wash.remove_future_price(shop_test.id(1), 'EUR', (SELECT valid_from FROM wash.product_prices WHERE amount_minor = 1400)) AS removed;
SELECT wash.set_tax_rate('standard', 190000), wash.set_tax_rate('reduced', 70000, now() + interval '1 year');
SELECT tax_class, rate_ppm, valid_from > now() AS to_come FROM wash.list_tax_rates();
SELECT shop_test.refusal('UPDATE wash.tax_rates SET rate_ppm = 0') AS rewritten, shop_test.refusal('DELETE FROM wash.tax_rates') AS removed, shop_test.refusal('SELECT wash.set_tax_rate(''x'', 1000001)') AS above_all,
       shop_test.refusal('SELECT wash.set_tax_rate(''standard'', 1, now() - interval ''1 h'')') AS past;
SELECT wash.update_product(shop_test.id(3), '{"tax_class": "nobody_set_it"}') \g /dev/null
SELECT finding, severity FROM wash._shop_configuration();

-- A price and a rate of one location go before those that hold everywhere, until they are taken back
SELECT price_minor FROM wash.set_price(shop_test.id(1), 1100, location_id => shop_test.id(11));
SELECT price_minor, tax_included FROM wash.set_price(shop_test.id(1), 900, tax_included => false, location_id => shop_test.id(12));
SELECT price_minor FROM wash.set_price(shop_test.id(1), NULL, location_id => shop_test.id(12), valid_from => now() + interval '1 day') AS still;
SELECT p.place, (wash.get_product(shop_test.id(1), location_id => p.id)).price_minor AS of_product, (SELECT s.price_minor FROM wash.search_products('hand small', location_id => p.id) AS s) AS found FROM (VALUES ('nowhere', NULL::uuid), ('here', shop_test.id(11)), ('there', shop_test.id(12)), ('elsewhere', shop_test.id(13))) AS p (place, id);
SELECT currency, location_id, price_minor, tax_included, valid_from > now() AS to_come, valid_until IS NOT NULL AS ends FROM wash.list_prices(shop_test.id(1));
SELECT price_minor FROM wash.set_price(shop_test.id(1), NULL, location_id => shop_test.id(11)) AS general_again;
SELECT wash.remove_future_price(shop_test.id(1), 'EUR', valid_from), wash.remove_future_price(shop_test.id(1), 'EUR', valid_from, shop_test.id(12)) FROM wash.list_prices(shop_test.id(1)) WHERE valid_from > now();
SELECT shop_test.refusal('SELECT wash.set_price(shop_test.id(1), NULL)') AS no_price, shop_test.refusal('INSERT INTO wash.product_prices (product_id, currency) VALUES (shop_test.id(1), ''EUR'')') AS by_hand,
    shop_test.refusal('SELECT wash.set_tax_rate(''local'', NULL)') AS no_rate, shop_test.refusal('SELECT wash.set_price(shop_test.id(1), NULL, ''EURO'', location_id => shop_test.id(12))') AS in_nothing;
SELECT wash.set_tax_rate('local', 200000), wash.set_tax_rate('local', 50000, location_id => shop_test.id(11)), wash.set_tax_rate('local', 60000, location_id => shop_test.id(12));
SELECT wash.set_tax_rate('local', NULL, location_id => shop_test.id(12));
SELECT tax_class, location_id, rate_ppm FROM wash.list_tax_rates() WHERE tax_class = 'local';
SELECT wash.create_product('local', 'Local', price_minor => 1000, tax_class => 'local', tax_included => false, track_stock => false, id => shop_test.id(4), status => 'active') \g /dev/null
SELECT wash.set_price(shop_test.id(4), 2000, location_id => shop_test.id(11), tax_included => false) \g /dev/null
SELECT p.place, o.net_minor, o.tax_minor FROM (VALUES ('here', shop_test.id(11)), ('there', shop_test.id(12)), ('elsewhere', shop_test.id(13))) AS p (place, id), LATERAL wash.create_order(p.id, jsonb_build_array(jsonb_build_object('product_id', shop_test.id(4), 'quantity', 1)), shop_test.id(61)) AS o;
SELECT wash.set_product_status(shop_test.id(4), 'archived') \g /dev/null

-- Searched by words, category, attributes, variants, in pages
SELECT count(*) FROM (SELECT wash.create_product('soap-' || n, 'Soap ' || lpad(n::text, 2, '0'), price_minor => n, category => 'wash', description => CASE WHEN n % 2 = 0 THEN 'with olive oil' END,
    attributes => jsonb_build_object('colour', CASE WHEN n % 3 = 0 THEN 'red' ELSE 'blue' END), status => CASE WHEN n > 8 THEN 'draft' ELSE 'active' END) FROM generate_series(1, 10) AS n) AS made;
SELECT what, (SELECT string_agg(s.sku, ' ') FROM wash.search_products(query, category, attributes, max_rows => 5) AS s) AS found FROM (VALUES
    ('everything', NULL, NULL, NULL::jsonb), ('a word', 'cream', NULL, NULL), ('in any case', 'OLIVE oil', NULL, NULL), ('without a word', 'soap -olive', NULL, NULL), ('a phrase', '"oil olive"', NULL, NULL),
    ('a SKU', 'soap-3', NULL, NULL), ('a category', NULL, 'care', NULL), ('an attribute', NULL, NULL, '{"colour": "red"}'), ('both', 'olive', 'wash', '{"colour": "red"}'), ('nothing', 'nothing', NULL, NULL)) AS v (what, query, category, attributes);
-- by attributes in pages by name, whatever their order and however numbers are written; lists and objects by what they contain
SELECT count(wash.update_product(p.id, jsonb_build_object('attributes', p.attributes || jsonb_build_object('size', CASE WHEN p.sku LIKE '%1' THEN 1.0 ELSE 1 END, 'vegan', true, 'none', NULL, 'tags', jsonb_build_array('a', p.sku))))) AS tagged FROM wash.products AS p WHERE p.sku LIKE 'soap-_';
SELECT wanted, (SELECT string_agg(s.sku, ' ') FROM wash.search_products(attributes => wanted, max_rows => 3) AS s) AS page, (SELECT string_agg(s.sku, ' ') FROM wash.search_products(attributes => wanted, max_rows => 3, after => (SELECT (array_agg(f.product_id))[3] FROM wash.search_products(attributes => wanted, max_rows => 3) AS f)) AS s) AS next
FROM unnest(ARRAY['{"size": 1}', '{"size": 1.00, "colour": "blue"}', '{"vegan": true}', '{"none": null}', '{"tags": ["a"]}', '{"tags": ["soap-4"], "vegan": true}', '{"size": "1"}', '{}', '{"colour": "red", "size": 2}']::jsonb[]) AS wanted;
SELECT string_agg(s.sku, ' ') AS of_a_category FROM wash.search_products(attributes => '{"size": 1}', category => 'care') AS s;
SELECT string_agg(s.sku, ' ') AS drafts FROM wash.search_products(attributes => '{"colour": "red"}', status => 'draft') AS s;
SELECT wash.set_product_status(id, 'archived') FROM wash.products WHERE sku = 'soap-1' \g /dev/null
SELECT wash.update_product(id, '{"name": "A soap"}') FROM wash.products WHERE sku = 'soap-8' \g /dev/null
SELECT wash.update_product(id, '{"attributes": {}}') FROM wash.products WHERE sku = 'soap-2' \g /dev/null
SELECT string_agg(s.sku, ' ') AS renamed_and_gone FROM wash.search_products(attributes => '{"size": 1}') AS s;
SELECT rule, violations FROM wash._shop_self_check() WHERE violations > 0;
SELECT wash.set_product_status(id, 'active') FROM wash.products WHERE sku = 'soap-1' \g /dev/null
SELECT wash.update_product(id, '{"name": "Soap 08"}') FROM wash.products WHERE sku = 'soap-8' \g /dev/null
SELECT string_agg(s.sku, ' ') AS variants FROM wash.search_products(variant_of => shop_test.id(1)) AS s;
SELECT string_agg(s.sku, ' ') AS next_page FROM wash.search_products('soap', after => (SELECT p.id FROM wash.products AS p WHERE p.sku = 'soap-2'), max_rows => 3) AS s;
SELECT string_agg(s.sku, ' ') AS drafts FROM wash.search_products(status => 'draft') AS s;
SELECT wrong, shop_test.refusal(format('SELECT wash.search_products(%s)', arguments)) FROM (VALUES ('no page', 'max_rows => 0'), ('after nothing', 'after => shop_test.id(99)'), ('another status', 'status => ''sold''')) AS v (wrong, arguments);

-- Who may
SELECT usher.apply_role_preset('shop') \g /dev/null
SELECT user_id AS boss FROM usher.register_user('boss@products.example', 'the password of the boss') \gset
SELECT user_id AS customer FROM usher.register_user('customer@products.example', 'the password of a customer') \gset
SELECT usher.grant_role(:'boss', 'shop_manager') \g /dev/null
CREATE ROLE regress_shop_app;
SELECT usher.grant_access('regress_shop_app', 'application');
GRANT USAGE ON SCHEMA shop_test TO regress_shop_app;
CREATE FUNCTION shop_test.allowed(token text) RETURNS TABLE (what text, answer text) LANGUAGE plpgsql AS $$
BEGIN
    IF token IS NOT NULL THEN
        PERFORM usher.authenticate(token);
    END IF;
    SET LOCAL ROLE regress_shop_app;
    FOR what, answer IN SELECT * FROM (VALUES
        ('create', 'wash.create_product(usher.uuid_v7()::text, ''X'')'), ('change', 'wash.update_product(shop_test.id(1), jsonb_build_object(''sku'', (SELECT p.sku FROM wash.products AS p WHERE p.id = shop_test.id(1))))'), ('price', 'wash.set_price(shop_test.id(1), 1350)'), ('prices', 'wash.list_prices(shop_test.id(1))'),
        ('get an active one', 'wash.get_product(shop_test.id(1))'), ('get an archived one', 'wash.get_product(shop_test.id(2))'), ('search', 'wash.search_products(''cream'')'), ('search drafts', 'wash.search_products(status => ''draft'')'),
        ('tax', 'wash.set_tax_rate(usher.actor_id()::text, 1)'), ('prices by hand', 'FROM wash.product_prices')) AS v (what, call)
    LOOP
        answer := left(shop_test.refusal('SELECT ' || answer), 5);
        RETURN NEXT;
    END LOOP;
    what := 'statuses by row-level security';
    SELECT string_agg(DISTINCT status, ' ' ORDER BY status) INTO answer FROM wash.products;
    RETURN NEXT;
    RESET ROLE;
END
$$;
SELECT k.what, k.answer AS boss FROM shop_test.allowed(usher.issue_token(:'boss')) AS k;
SELECT k.what, k.answer AS customer FROM shop_test.allowed(usher.issue_token(:'customer')) AS k;
SELECT k.what, k.answer AS nobody FROM shop_test.allowed(NULL) AS k;

-- Over HTTP: anybody may look, and who manages products may change them
SELECT status, body::jsonb -> 'items' -> 0 ->> 'sku' AS first, jsonb_array_length(body::jsonb -> 'items') AS items FROM usher.http_request('GET', '/products', query => 'query=soap&attributes=%7B%22colour%22%3A%22red%22%7D&max_rows=1');
SELECT status, body::jsonb ->> 'name' AS name, body::jsonb ->> 'price_minor' AS price FROM usher.http_request('GET', '/products/' || shop_test.id(1));
SELECT status, body::jsonb ->> 'code' AS code FROM usher.http_request('GET', '/products/' || shop_test.id(2));
SELECT status, body::jsonb ->> 'code' AS code FROM usher.http_request('POST', '/products', headers => '{"content-type": "application/json"}', body => '{"sku": "h", "name": "H"}');
SELECT status, body::jsonb ->> 'code' AS code FROM usher.http_request('POST', '/products', headers => jsonb_build_object('content-type', 'application/json', 'authorization', 'Bearer ' || usher.issue_token(:'customer')), body => '{"sku": "h", "name": "H"}');
SELECT status, body::jsonb ->> 'sku' AS sku, body::jsonb ->> 'price_minor' AS price FROM usher.http_request('POST', '/products', headers => jsonb_build_object('content-type', 'application/json', 'authorization', 'Bearer ' || usher.issue_token(:'boss')),
    body => '{"sku": "h", "name": "H", "price_minor": 5}');
SELECT usher.revoke_access('regress_shop_app');
REVOKE ALL ON SCHEMA shop_test FROM regress_shop_app;
DROP ROLE regress_shop_app;
DROP SCHEMA shop_test CASCADE;
