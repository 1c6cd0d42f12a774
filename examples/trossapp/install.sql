-- What a DBA runs for the field service of R3: the extension, five roles, accounts that log in at Auth0, and the work
-- orders, a table of the application on usher's engine. On a database called trossapp, as a superuser; may run again,
-- and changes nothing then. `./dev run trossapp` does all of it.
--
-- demo: Nobody has a password here: people log in at Auth0. This makes a token as the demo's tenant would:
-- demo:   ./dev psql --system trossapp -qAtc "SELECT field.demo_token('auth0|dora')"
-- demo: auth0|ada (admin), auth0|mia (manager), auth0|dora (dispatcher), auth0|tom, auth0|tess (technicians),
-- demo: auth0|cleo, auth0|ivan (clients)
-- demo: The same in SQL: ./dev psql --system trossapp -f examples/trossapp/story.sql
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usher CASCADE;
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE SCHEMA IF NOT EXISTS field;

BEGIN;
SELECT usher.apply_role_preset('field_service');
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{trossapp_app,usher_gateway}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
    PERFORM usher.grant_access('trossapp_app', 'application');
    PERFORM usher.grant_access('usher_gateway', 'gateway');
END
$$;

-- ---- who logs in where ---------------------------------------------------------------------------------------------

-- The key set of the tenant, from https://…/.well-known/jwks.json. This one is the key of RFC 7515, A.3, of which
-- everybody knows the other half: for trying things, and for nothing else.
SELECT usher.add_token_issuer('https://trossapp.eu.auth0.com/', '{https://api.trossapp.example}', '{"keys": [
    {"kty": "EC", "crv": "P-256", "kid": "demo", "use": "sig", "alg": "ES256",
     "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}',
    'auth0', '{ES256}')
WHERE NOT EXISTS (SELECT FROM usher.token_issuers WHERE issuer = 'https://trossapp.eu.auth0.com/');
-- The tenant of the demo: what Auth0 would give to somebody who has logged in there.
CREATE OR REPLACE FUNCTION field.demo_token(auth0_id text, changes jsonb DEFAULT '{}') RETURNS text LANGUAGE sql
    RETURN usher.sign_jwt(jsonb_build_object('iss', 'https://trossapp.eu.auth0.com/',
        'aud', 'https://api.trossapp.example', 'sub', auth0_id,
        'iat', extract(epoch FROM clock_timestamp())::bigint - 60,
        'exp', extract(epoch FROM clock_timestamp())::bigint + 3600) || changes,
        '{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
          "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}',
        'ES256', 'demo');
REVOKE ALL ON FUNCTION field.demo_token(text, jsonb) FROM PUBLIC;

-- The document counts its users and roles; usher does not. Whoever registers gets a number.
CREATE TABLE IF NOT EXISTS field.user_numbers (number serial PRIMARY KEY, user_id uuid NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS field.role_numbers (number serial PRIMARY KEY, role_id uuid NOT NULL UNIQUE);
SELECT usher.enable_audit('field.user_numbers'), usher.enable_audit('field.role_numbers');
CREATE OR REPLACE FUNCTION field.number_user(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO field.user_numbers (user_id) VALUES ((payload ->> 'user_id')::uuid) ON CONFLICT DO NOTHING;
END
$$;
SELECT usher.subscribe('user.registered', 'field_numbers', 'field.number_user(text,jsonb)');
INSERT INTO field.role_numbers (role_id)
SELECT r.id FROM unnest('{admin,manager,dispatcher,technician,client}'::text[]) WITH ORDINALITY AS x (name, place)
JOIN usher.roles AS r USING (name)
WHERE NOT EXISTS (SELECT FROM field.role_numbers AS n WHERE n.role_id = r.id) ORDER BY place;

DO $$
DECLARE
    account record;
    account_id uuid;
    error text;
BEGIN
    FOR account IN SELECT * FROM (VALUES
        ('c1', 'ivan', 'Ivan', 'client'), ('c2', 'ada', 'Ada', 'admin'), ('c3', 'mia', 'Mia', 'manager'),
        ('c4', 'dora', 'Dora', 'dispatcher'), ('c5', 'tom', 'Tom', 'technician'), ('c6', 'tess', 'Tess', 'technician'),
        ('c7', 'cleo', 'Cleo', 'client')
        ) AS a (short_id, name, first_name, role)
    LOOP
        account_id := '01900000-0000-7000-8000-0000000000' || account.short_id;
        CONTINUE WHEN EXISTS (SELECT FROM usher.users WHERE id = account_id);
        SELECT i.error INTO error FROM usher.import_user(account.name || '@trossapp.example',
            first_name => account.first_name, last_name => 'Demo', id => account_id) AS i;
        error := coalesce(error, (usher.link_identity(account_id, 'auth0', 'auth0|' || account.name)).error);
        IF error IS NOT NULL THEN
            RAISE 'demo account %: %', account.name, error;
        END IF;
        IF account.role <> 'client' THEN -- which everybody is at first
            PERFORM usher.grant_role(account_id, account.role);
            PERFORM usher.revoke_role(account_id, 'client');
        END IF;
    END LOOP;
END
$$;

-- ---- work orders ---------------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS field.work_orders (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    number integer NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY, -- what people say on the phone
    title varchar(255) NOT NULL CHECK (title <> ''),
    description text NOT NULL DEFAULT '',
    site jsonb NOT NULL DEFAULT '{}',
    client_id uuid NOT NULL,
    technician_id uuid,
    during tstzrange,
    status text NOT NULL DEFAULT 'submitted',
    reason text,
    notes text,
    parts jsonb NOT NULL DEFAULT '[]',
    started_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    CHECK (status IN ('submitted', 'cancelled') OR (technician_id IS NOT NULL AND during IS NOT NULL)),
    -- nobody is in two places
    CONSTRAINT technician_is_free EXCLUDE USING gist (technician_id WITH =, during WITH &&)
        WHERE (status IN ('scheduled', 'in_progress', 'on_hold'))
);
CREATE INDEX IF NOT EXISTS work_orders_client_id_idx ON field.work_orders (client_id);
CREATE INDEX IF NOT EXISTS work_orders_technician_id_idx ON field.work_orders (technician_id);
-- What is kept about people here: a client's orders, with what they say, and a technician's work.
CREATE OR REPLACE FUNCTION field.export_orders(user_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'orders', coalesce((SELECT jsonb_agg(to_jsonb(w) - '{client_id,technician_id}'::text[] ORDER BY w.id)
                            FROM field.work_orders AS w WHERE w.client_id = export_orders.user_id), '[]'),
        'work', coalesce((SELECT jsonb_agg(jsonb_build_object('number', w.number, 'status', w.status,
                              'during', w.during) ORDER BY w.id)
                          FROM field.work_orders AS w WHERE w.technician_id = export_orders.user_id), '[]'));
END;
CREATE OR REPLACE FUNCTION field.forget_orders(user_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    theirs CONSTANT uuid[] := ARRAY(SELECT w.id FROM field.work_orders AS w
                                    WHERE w.client_id = forget_orders.user_id);
BEGIN
    UPDATE field.work_orders AS w
    SET title = 'A work order', description = '', site = '{}', notes = NULL, reason = NULL WHERE w.id = ANY (theirs);
    RETURN cardinality(theirs) + usher.forget_notes('field.work_orders', theirs);
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM usher.list_extensions() WHERE name = 'field') THEN
        PERFORM usher.register_extension('Work orders', name => 'field', schema_name => 'field',
            hooks => '{"export": "export_orders", "erase": "forget_orders"}',
            declined_hooks => '{upkeep,self_check,configuration,metrics,health}',
            personal_data => '{"work_orders": {"subject": ["client_id"], "user": ["technician_id"],
                "personal": ["title", "description", "site", "notes", "reason"], "impersonal": ["parts", "status"]},
                "user_numbers": {"user": ["user_id"]}}');
    END IF;
END
$$;
-- created_at, updated_at, is_active, deleted_at, audit, and the view field.active_work_orders
SELECT usher.enable_entity('field.work_orders');

-- Conditions of the machine: they get the row before and after as jsonb, and answer why not
CREATE OR REPLACE FUNCTION field.may_schedule(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF new ->> 'technician_id' IS NULL THEN
        RETURN 'a technician is needed';
    ELSIF new ->> 'during' IS NULL THEN
        RETURN 'a time is needed';
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION field.may_complete(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN coalesce(new ->> 'notes', '') = '' THEN 'notes of the work are needed' END;
END
$$;
CREATE OR REPLACE FUNCTION field.may_accept(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN (new ->> 'client_id')::uuid IS DISTINCT FROM usher.current_user_id()
                     AND NOT usher.has_permission('work_order:manage')
        THEN 'only the client or a manager accepts the work' END;
END
$$;
-- Whose account is deleted has nobody who comes, and nobody to come to.
CREATE OR REPLACE FUNCTION field.has_left(person uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM usher.users AS u WHERE u.id = person AND u.status IN ('deleted', 'erased'));
END;
REVOKE ALL ON FUNCTION field.has_left(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION field.has_left(uuid) TO trossapp_app;
CREATE OR REPLACE FUNCTION field.may_abandon(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN NOT field.has_left((old ->> 'client_id')::uuid) THEN 'the client is still there' END;
END
$$;
CREATE OR REPLACE FUNCTION field.may_free(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN NOT field.has_left((old ->> 'technician_id')::uuid) THEN 'the technician is still there' END;
END
$$;
SELECT usher.define_machine('work_order', jsonb_set(preset, '{transitions}', (
    SELECT jsonb_agg(CASE t ->> 'action'
        WHEN 'schedule' THEN t || '{"guard": "field.may_schedule(jsonb,jsonb)"}'
        WHEN 'complete' THEN t || '{"guard": "field.may_complete(jsonb,jsonb)"}'
        WHEN 'accept' THEN t || '{"guard": "field.may_accept(jsonb,jsonb)"}'
        ELSE t END ORDER BY place)
    FROM jsonb_array_elements(preset -> 'transitions' || '[
        {"from": ["scheduled", "on_hold"], "to": "cancelled", "action": "abandon", "requires_reason": true,
         "guard": "field.may_abandon(jsonb,jsonb)", "event": "cancelled"},
        {"from": "scheduled", "to": "submitted", "action": "free", "guard": "field.may_free(jsonb,jsonb)",
         "event": "freed"}]') WITH ORDINALITY AS x (t, place)))) AS version
FROM usher.machine_preset('work_order') AS preset;
SELECT usher.attach_machine('work_order', 'field.work_orders', 'status', '{"reason_column": "reason",
    "notes_column": "notes", "version_column": "version", "event_prefix": "work_order",
    "payload_columns": ["title", "client_id", "technician_id"]}');
SELECT usher.subscribe('work_order.*', 'messenger', mode => 'async');

-- Clients who leave take back what is not begun; what a technician was to do waits for another. What is begun goes on.
CREATE OR REPLACE FUNCTION field.follow_leaver(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gone CONSTANT uuid := payload ->> 'user_id';
BEGIN
    UPDATE field.work_orders AS w SET status = 'cancelled', reason = 'the client has left'
    WHERE w.client_id = gone AND w.status IN ('submitted', 'scheduled', 'on_hold') AND w.is_active;
    UPDATE field.work_orders AS w SET status = 'submitted', technician_id = NULL, during = NULL
    WHERE w.technician_id = gone AND w.status IN ('submitted', 'scheduled') AND w.is_active;
END
$$;
SELECT usher.subscribe('user.deleted', 'field_leavers', 'field.follow_leaver(text,jsonb)');

-- A technician changes status, notes and parts; the rest is the dispatcher's. Only technicians are assigned, and
-- started_at is kept here, for everybody.
CREATE OR REPLACE FUNCTION field.keep_columns() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.status = 'in_progress' AND OLD.status = 'scheduled' THEN
            NEW.started_at := now();
        ELSIF NEW.started_at IS DISTINCT FROM OLD.started_at THEN
            NEW.started_at := OLD.started_at;
        END IF;
        IF usher.current_user_id() IS NOT NULL
           AND NOT (NEW.technician_id IS NULL AND field.has_left(OLD.technician_id))
           AND (NOT usher.has_permission('work_order:assign')
                AND NEW.technician_id IS DISTINCT FROM OLD.technician_id
                OR NOT usher.has_permission('work_order:schedule')
                AND (NEW.title, NEW.description, NEW.site, NEW.client_id, NEW.during)
                    IS DISTINCT FROM (OLD.title, OLD.description, OLD.site, OLD.client_id, OLD.during)) THEN
            PERFORM usher.raise_error('not_permitted', 'only status, notes, reason and parts may be changed');
        END IF;
        -- which is how rows are deleted, whoever writes
        IF NEW.is_active <> OLD.is_active AND usher.current_user_id() IS NOT NULL
           AND NOT usher.has_permission('work_order:manage') THEN
            PERFORM usher.raise_error('not_permitted', 'only managers delete work orders, and bring them back');
        END IF;
    END IF;
    IF NEW.technician_id IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.technician_id IS DISTINCT FROM OLD.technician_id)
       AND NOT usher.user_has_permission(NEW.technician_id, 'work_order:update') THEN
        PERFORM usher.raise_error('not_permitted', 'only technicians are assigned');
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER keep_columns BEFORE INSERT OR UPDATE ON field.work_orders
    FOR EACH ROW EXECUTE FUNCTION field.keep_columns();

-- A client sees their own orders, a technician those assigned to them, dispatchers and managers all
ALTER TABLE field.work_orders ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS see ON field.work_orders;
CREATE POLICY see ON field.work_orders FOR SELECT
    USING (client_id = usher.current_user_id() OR technician_id = usher.current_user_id()
           OR usher.has_permission('work_order:read'));
DROP POLICY IF EXISTS submit ON field.work_orders;
CREATE POLICY submit ON field.work_orders FOR INSERT
    WITH CHECK (client_id = usher.current_user_id() OR usher.has_permission('work_order:schedule'));
DROP POLICY IF EXISTS change ON field.work_orders;
CREATE POLICY change ON field.work_orders FOR UPDATE
    USING (client_id = usher.current_user_id() OR technician_id = usher.current_user_id()
           OR usher.has_permission('work_order:schedule'));
DROP POLICY IF EXISTS remove ON field.work_orders;
CREATE POLICY remove ON field.work_orders FOR DELETE USING (usher.has_permission('work_order:manage'));

-- ---- what applications call, and what the gateway shows ------------------------------------------------------------

CREATE OR REPLACE FUNCTION field.submit_work_order(title text, description text DEFAULT '', site jsonb DEFAULT '{}',
                                                   OUT id uuid, OUT status text, OUT version integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO field.work_orders AS w (title, description, site, client_id)
    VALUES (submit_work_order.title, submit_work_order.description, submit_work_order.site, usher.current_user_id())
    RETURNING w.id, w.status, w.version INTO id, status, version;
END
$$;
CREATE OR REPLACE FUNCTION field.assign_work_order(work_order_id uuid, technician_id uuid, OUT status text,
                                                   OUT version integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE field.work_orders AS w SET technician_id = assign_work_order.technician_id
    WHERE w.id = work_order_id AND w.is_active RETURNING w.status, w.version INTO status, version;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'work order does not exist, or does not concern you',
                                  jsonb_build_object('id', work_order_id));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION field.schedule_work_order(work_order_id uuid, during tstzrange,
                                                     technician_id uuid DEFAULT NULL, OUT status text,
                                                     OUT version integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE field.work_orders AS w
    SET status = 'scheduled', technician_id = coalesce(schedule_work_order.technician_id, w.technician_id),
        during = schedule_work_order.during
    WHERE w.id = work_order_id AND w.is_active RETURNING w.status, w.version INTO status, version;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'work order does not exist, or does not concern you',
                                  jsonb_build_object('id', work_order_id));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION field.transition_work_order(work_order_id uuid, to_status text, reason text DEFAULT NULL,
                                                       notes text DEFAULT NULL, expected_version integer DEFAULT NULL,
                                                       OUT status text, OUT version integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE field.work_orders AS w SET status = to_status, reason = transition_work_order.reason,
        notes = coalesce(transition_work_order.notes, w.notes), version = coalesce(expected_version, w.version)
    WHERE w.id = work_order_id AND w.is_active RETURNING w.status, w.version INTO status, version;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'work order does not exist, or does not concern you',
                                  jsonb_build_object('id', work_order_id));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION field.list_work_orders(with_status text DEFAULT NULL, after uuid DEFAULT NULL)
    RETURNS TABLE (id uuid, number integer, title text, status text, technician text, during tstzrange)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT w.id, w.number, w.title::text, w.status, (usher.user_reference(w.technician_id)).name, w.during
        FROM field.active_work_orders AS w
    WHERE (with_status IS NULL OR w.status = with_status)
        AND (list_work_orders.after IS NULL OR w.id < list_work_orders.after) ORDER BY w.id DESC LIMIT 50;
END
$$;
CREATE OR REPLACE FUNCTION field.delete_work_order(work_order_id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM usher.require_permission('work_order:manage');
    RETURN usher.soft_delete_row('field.work_orders', to_jsonb(work_order_id));
END
$$;
CREATE OR REPLACE FUNCTION field.restore_work_order(work_order_id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM usher.require_permission('work_order:manage');
    RETURN usher.restore_row('field.work_orders', to_jsonb(work_order_id));
END
$$;

-- They run as the application, for which row-level security holds; the gateway may call them, and nothing else here.
GRANT USAGE ON SCHEMA field TO trossapp_app, usher_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON field.work_orders TO trossapp_app;
GRANT SELECT ON field.active_work_orders TO trossapp_app;
DO $$
DECLARE
    route record;
BEGIN
    GRANT CREATE ON SCHEMA field TO trossapp_app; -- which the new owner of a function needs
    FOR route IN SELECT * FROM (VALUES
        ('POST', '', 'submit_work_order(text,text,jsonb)', 'work_order:submit', 201, 'Submit a service request'),
        ('GET', '', 'list_work_orders(text,uuid)', NULL, 200, 'Work orders that one may see'),
        ('POST', '/{work_order_id}/assign', 'assign_work_order(uuid,uuid)', 'work_order:assign', 200,
         'Assign a technician'),
        ('POST', '/{work_order_id}/schedule', 'schedule_work_order(uuid,tstzrange,uuid)', 'work_order:schedule', 200,
         'Schedule a work order'),
        ('POST', '/{work_order_id}/status', 'transition_work_order(uuid,text,text,text,integer)', NULL, 200,
         'Move a work order along'),
        ('DELETE', '/{work_order_id}', 'delete_work_order(uuid)', 'work_order:manage', 200, 'Delete a work order'),
        ('POST', '/{work_order_id}/restore', 'restore_work_order(uuid)', 'work_order:manage', 200,
         'Bring a deleted work order back')
        ) AS r (method, path, name, permission, success_status, summary)
    LOOP
        EXECUTE format('ALTER FUNCTION field.%s OWNER TO trossapp_app', route.name);
        EXECUTE format('REVOKE ALL ON FUNCTION field.%s FROM PUBLIC', route.name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION field.%s TO usher_gateway', route.name);
        PERFORM usher.add_route(route.method, '/work-orders' || route.path, ('field.' || route.name)::regprocedure,
            access => CASE WHEN route.permission IS NULL THEN 'authenticated' ELSE 'permission' END,
            permission => route.permission, success_status => route.success_status,
            read_only => route.method = 'GET', summary => route.summary, tag => 'work orders');
    END LOOP;
    REVOKE CREATE ON SCHEMA field FROM trossapp_app;
END
$$;
COMMIT;
