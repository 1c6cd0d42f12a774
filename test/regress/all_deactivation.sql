-- Deactivation: what is switched off is kept with the time, can come back, and is referred to by nothing new. The table of all of it is in
-- docs/engine.md, and test/t/all_catalog.pl tries each table of it.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA deact_test;
CREATE FUNCTION deact_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TABLE deact_test.times AS SELECT clock_timestamp() AS begun;
CREATE FUNCTION deact_test.events(prefix text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e.event || ' by ' || coalesce((SELECT u.first_name FROM usher.users u WHERE u.id::text = e.payload ->> 'actor_id'), 'nobody'), ', ' ORDER BY e.created_at, e.id)
    FROM usher.events AS e WHERE e.event LIKE prefix || '.%' AND (e.event LIKE '%.deactivated' OR e.event LIKE '%.restored')
        AND e.created_at >= (SELECT begun FROM deact_test.times)
$$;
SELECT usher.create_role('deact_boss'), usher.create_role('deact_clerk') \g /dev/null
SELECT usher.create_permission(p, if_not_exists => true) FROM unnest('{service:manage,location:manage,staff:manage,customer:manage,loyalty:manage}'::text[]) AS p \g /dev/null
SELECT usher.grant_permission(to_role => 'deact_boss', permission => p) FROM unnest('{service:manage,location:manage,staff:manage,customer:manage,loyalty:manage}'::text[]) AS p \g /dev/null
SELECT user_id AS bea FROM usher.import_user('bea@deact.example', first_name => 'Bea') \gset
SELECT user_id AS cal FROM usher.import_user('cal@deact.example', first_name => 'Cal') \gset
SELECT usher.grant_role(:'bea', 'deact_boss');
SELECT id AS wax FROM wash.create_service('Wax', '1 hour', 5000, 'EUR') \gset
SELECT id AS polish FROM wash.create_service('Polish', '1 hour', 7000, 'EUR') \gset
SELECT id AS yard FROM wash.create_location('Yard', 'A', 'C', 'S', '1') \gset
SELECT id AS will FROM wash.upsert_customer(name => 'Will Walk-in') \gset
SELECT added FROM wash.set_location_services(:'yard', ARRAY[:'wax', :'polish']::uuid[]);

-- A service is deactivated by whoever may, with the time, and the log knows who
BEGIN;
SELECT usher.authenticate(usher.issue_token(:'bea')) \g /dev/null
SELECT is_active, deleted_at IS NOT NULL AS has_time, version FROM wash.set_service_active(:'wax', false);
SELECT name, deleted_at IS NOT NULL AS is_deleted FROM wash.list_services(:'yard') ORDER BY name;
SELECT name, deleted_at IS NOT NULL AS is_deleted FROM wash.list_services(:'yard', include_inactive => true) ORDER BY name;
COMMIT;
SELECT name FROM wash.active_services WHERE id IN (:'wax', :'polish');
SELECT new_values ->> 'is_active' AS is_active, new_values ->> 'deleted_at' IS NOT NULL AS has_time, actor_id = :'bea' AS by_bea
FROM usher.audit_logs WHERE resource_type = 'wash.services' AND resource_id = :'wax' AND action = 'update';

-- Nothing new refers to it: no booking, no location, no skill; what did before is left alone
SELECT id AS other_yard FROM wash.create_location('Other yard', 'A', 'C', 'S', '1') \gset
SELECT deact_test.refusal(format('SELECT wash.set_location_services(%L, ARRAY[%L]::uuid[])', :'other_yard', :'wax')) AS new_location,
       deact_test.refusal(format('SELECT wash.set_staff_skills(%L, ARRAY[%L]::uuid[])', :'bea', :'wax')) AS new_skill,
       deact_test.refusal(format('SELECT wash.create_booking(%L, %L, %L, now() + interval ''1 day'')', :'will', :'wax', :'yard')) AS new_booking;
SELECT added, removed FROM wash.set_location_services(:'yard', ARRAY[:'wax', :'polish']::uuid[]);

-- It comes back as it was
SELECT is_active, deleted_at, version FROM wash.set_service_active(:'wax', true);
SELECT name FROM wash.active_services WHERE id IN (:'wax', :'polish') ORDER BY name;
SELECT deact_test.events('service');

-- Who may not, may not look at deleted ones either
BEGIN;
SELECT usher.authenticate(usher.issue_token(:'cal')) \g /dev/null
SELECT what, deact_test.refusal(format(statement, :'wax', :'yard', :'will')) FROM (VALUES
    (1, 'deactivate a service', 'SELECT wash.set_service_active(%1$L, false)'), (2, 'look at deleted services', 'SELECT wash.list_services(include_inactive => true)'),
    (3, 'close a location', 'SELECT wash.set_location_active(%2$L, false)'), (4, 'look at deleted locations', 'SELECT wash.list_locations(include_inactive => true)'),
    (5, 'deactivate a customer', 'SELECT wash.set_customer_active(%3$L, false)'), (6, 'give vouchers back', 'SELECT wash.restore_vouchers(%1$L)')) AS v (n, what, statement)
ORDER BY n;
ROLLBACK;

-- A location that is closed is listed for those who may open it, and takes no staff
SELECT is_active FROM wash.set_location_active(:'yard', false);
SELECT name, deleted_at IS NOT NULL AS is_deleted FROM wash.list_locations(include_inactive => true) WHERE id = :'yard';
SELECT count(*) FROM wash.list_locations() WHERE id = :'yard';
SELECT deact_test.refusal(format('SELECT wash.assign_staff(%L, %L, %L)', :'yard', :'bea', 'deact_boss'));
SELECT is_active FROM wash.set_location_active(:'yard', true);
SELECT is_active, deleted_at FROM wash.assign_staff(:'yard', :'bea', 'deact_boss');
SELECT is_active FROM wash.unassign_staff(:'yard', :'bea');
SELECT count(*) FROM wash.active_location_staff WHERE location_id = :'yard';
SELECT is_active, deleted_at FROM wash.assign_staff(:'yard', :'bea', 'deact_boss');
SELECT deact_test.events('location'), deact_test.events('location_staff');

-- A customer, over HTTP too; the one of an account that is not active stays deactivated, and so does one that was erased
SELECT status, body::jsonb ->> 'is_active' AS is_active, (body::jsonb ->> 'deleted_at') IS NOT NULL AS has_time
FROM usher.http_request('PUT', format('/customers/%s/active', :'will'), headers => jsonb_build_object('content-type', 'application/json', 'authorization', 'Bearer ' || usher.issue_token(:'bea')), body => '{"is_active": false}');
SELECT name, is_active FROM wash.list_customers('walk-in') WHERE id = :'will';
SELECT is_active, deleted_at, version FROM wash.set_customer_active(:'will', true);
SELECT version FROM wash.set_customer_active(:'will', true);
SELECT deact_test.refusal(format('SELECT wash.set_customer_active(%L, false, 1)', :'will')) AS stale,
       deact_test.refusal(format('SELECT wash.set_customer_active(%L, NULL)', :'will')) AS neither,
       deact_test.refusal('SELECT wash.set_customer_active(usher.uuid_v7(), true)') AS unknown;
SELECT deact_test.events('customer');
SELECT is_active FROM wash.upsert_customer(:'cal');
SELECT is_active FROM wash.set_customer_active(:'cal', false);
SELECT usher.deactivate_user(:'cal');
SELECT deact_test.refusal(format('SELECT wash.set_customer_active(%L, true)', :'cal')) AS of_a_closed_account;
SELECT usher.reactivate_user(:'cal');
SELECT is_active FROM wash.set_customer_active(:'cal', true);
SELECT usher.erase_customer(:'will') > 0 AS erased;
SELECT deact_test.refusal(format('SELECT wash.set_customer_active(%L, true)', :'will')) AS erased_for_good;

-- The view of active customers is theirs who see the customers
CREATE ROLE regress_deact;
SELECT usher.grant_access('regress_deact', 'application');
SET SESSION AUTHORIZATION regress_deact;
SELECT count(*) FROM wash.active_customers;
RESET SESSION AUTHORIZATION;
SELECT usher.issue_token(:'cal') AS token \gset
SET SESSION AUTHORIZATION regress_deact;
BEGIN;
SELECT usher.authenticate(:'token') = :'cal' AS is_cal;
SELECT id = :'cal' AS own, is_active FROM wash.active_customers;
COMMIT;
RESET SESSION AUTHORIZATION;
SELECT usher.revoke_access('regress_deact');
DROP ROLE regress_deact;

-- A role that is deactivated gives nothing, is kept by who has it, and nobody gets it anew
SELECT usher.user_has_permission(:'bea', 'service:manage') AS before;
SELECT usher.update_role('deact_boss', is_active => false);
SELECT usher.user_has_permission(:'bea', 'service:manage') AS meanwhile, (SELECT count(*) FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id WHERE ur.user_id = :'bea' AND r.name = 'deact_boss') AS roles_kept;
SELECT deact_test.refusal(format('SELECT usher.grant_role(%L, %L)', :'cal', 'deact_boss')) AS anew,
       deact_test.refusal('SELECT usher.add_role_parent(''deact_clerk'', ''deact_boss'')') AS inherited;
SELECT name FROM usher.active_roles WHERE name LIKE 'deact%';
SELECT usher.update_role('deact_boss', is_active => true);
SELECT usher.user_has_permission(:'bea', 'service:manage') AS again, deact_test.events('role');

-- Users: a status, the view, and deleted_at of the deleted
SELECT usher.delete_user(:'cal');
SELECT u.status, u.deleted_at IS NOT NULL AS has_time, EXISTS (SELECT FROM usher.active_users a WHERE a.id = u.id) AS in_view FROM usher.users u WHERE u.id = :'cal';
SELECT usher.restore_user(:'cal');
SELECT a.status, u.deleted_at FROM usher.active_users a JOIN usher.users u USING (id) WHERE a.id = :'cal';

-- Products: archived ones have the time, and are sold again when they are put back
SELECT product_id AS sponge FROM wash.create_product('DEACT-1', 'Sponge', status => 'active') \gset
SELECT status FROM wash.set_product_status(:'sponge', 'archived');
SELECT p.deleted_at IS NOT NULL AS has_time, EXISTS (SELECT FROM wash.active_products a WHERE a.id = p.id) AS in_view FROM wash.products p WHERE p.id = :'sponge';
SELECT status FROM wash.set_product_status(:'sponge', 'active');
SELECT p.deleted_at, EXISTS (SELECT FROM wash.active_products a WHERE a.id = p.id) AS in_view FROM wash.products p WHERE p.id = :'sponge';

-- Vouchers are taken and given back by batch
SELECT offer_id AS offer FROM wash.create_offer('{"title": "deact", "kind": "percent", "percent": 5}') \gset
SELECT count(*) FROM wash.create_vouchers(:'offer', 3, batch => 'spring');
SELECT wash.revoke_vouchers(:'offer', 'spring') AS revoked, wash.revoke_vouchers(:'offer', 'spring') AS again;
SELECT count(*) FILTER (WHERE deleted_at IS NOT NULL) AS with_time FROM wash.offer_vouchers WHERE offer_id = :'offer';
SELECT wash.restore_vouchers(:'offer', 'summer') AS of_another_batch, wash.restore_vouchers(:'offer', 'spring') AS restored, wash.restore_vouchers(:'offer') AS again;
SELECT count(*) FROM wash.active_offer_vouchers WHERE offer_id = :'offer';

-- Raw SQL cannot part is_active and deleted_at, whatever it writes
INSERT INTO wash.services (name, duration, price_minor, currency, is_active) VALUES ('Raw', '1 hour', 1, 'EUR', false) RETURNING deleted_at IS NOT NULL AS has_time;
UPDATE wash.services SET deleted_at = now() WHERE id = :'polish' RETURNING is_active, deleted_at;
UPDATE wash.services SET is_active = false, deleted_at = NULL WHERE id = :'polish' RETURNING is_active, deleted_at IS NOT NULL AS has_time;
SET session_replication_role = replica;
SELECT deact_test.refusal(format('UPDATE wash.services SET deleted_at = NULL WHERE id = %L', :'polish')) AS of_a_replica;
RESET session_replication_role;

-- Tables of applications: events by a prefix, and DELETE that removes, where that is wanted
CREATE TABLE deact_test.things (id integer PRIMARY KEY, name text);
SELECT usher.enable_soft_delete('deact_test.things', 'allow', 'deact_thing');
INSERT INTO deact_test.things (id, name) VALUES (1, 'one'), (2, 'two');
SELECT usher.soft_delete_row('deact_test.things', '1') AS deleted, usher.restore_row('deact_test.things', '1') AS restored;
SELECT deact_test.events('deact_thing');
DELETE FROM deact_test.things WHERE id = 2;
TRUNCATE deact_test.things;
SELECT usher.enable_soft_delete('deact_test.things');
TRUNCATE deact_test.things;
INSERT INTO deact_test.things (id) VALUES (3);
DELETE FROM deact_test.things;
SELECT id, is_active FROM deact_test.things;
SELECT deact_test.events('deact_thing') AS no_more_of_them;
CREATE TABLE deact_test.pairs (a integer, b integer, PRIMARY KEY (a, b));
SELECT deact_test.refusal('SELECT usher.enable_soft_delete(''deact_test.pairs'', event_prefix => ''pair'')') AS two_columns,
       deact_test.refusal('SELECT usher.enable_soft_delete(''deact_test.things'', event_prefix => ''No prefix'')') AS no_prefix;
-- events that belong to an extension are not for the owner of another table
CREATE ROLE regress_deact;
GRANT USAGE, CREATE ON SCHEMA deact_test TO regress_deact;
GRANT EXECUTE ON FUNCTION deact_test.refusal TO regress_deact;
SELECT usher.grant_access('regress_deact', 'application');
SET SESSION AUTHORIZATION regress_deact;
CREATE TABLE deact_test.forged (id integer PRIMARY KEY);
SELECT usher.enable_soft_delete('deact_test.forged', event_prefix => 'customer');
INSERT INTO deact_test.forged VALUES (1);
SELECT deact_test.refusal('UPDATE deact_test.forged SET is_active = false');
SELECT deact_test.refusal('SELECT wash.list_services(include_inactive => true)') AS by_nobody;
RESET SESSION AUTHORIZATION;
DROP TABLE deact_test.forged CASCADE;
SELECT usher.revoke_access('regress_deact');
DROP OWNED BY regress_deact;
DROP ROLE regress_deact;

DELETE FROM wash.customers WHERE id IN (:'will', :'cal');
DELETE FROM wash.locations WHERE id IN (:'yard', :'other_yard');
DELETE FROM wash.services WHERE id IN (:'wax', :'polish') OR name = 'Raw';
DELETE FROM wash.offer_vouchers WHERE offer_id = :'offer';
DELETE FROM wash.loyalty_offers WHERE id = :'offer';
DELETE FROM wash.products WHERE id = :'sponge';
DELETE FROM usher.users WHERE email LIKE '%deact.example';
SELECT usher.drop_role('deact_boss'), usher.drop_role('deact_clerk');
DROP SCHEMA deact_test CASCADE;
