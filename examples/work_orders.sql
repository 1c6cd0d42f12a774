-- Field service in plain SQL: work orders that clients submit, dispatchers schedule and technicians carry out, each
-- seeing what concerns him. The status machine is the preset work_order with three conditions of the application's
-- own. Runs in a database of its own, as a superuser; the people act as the database role field_app, and who somebody
-- is comes from usher.authenticate() alone:
--
--     createdb field && psql -d field -f examples/work_orders.sql
--
-- Each step checks what it got: the script stops at the first surprise.
\ir expect.sql
CREATE EXTENSION usher CASCADE;
CREATE EXTENSION IF NOT EXISTS btree_gist;
SELECT usher.apply_role_preset('field_service');

-- ---- the application -----------------------------------------------------------------------------------------------

CREATE SCHEMA field;
CREATE TABLE field.work_orders (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
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
CREATE INDEX ON field.work_orders (client_id);
CREATE INDEX ON field.work_orders (technician_id);
SELECT usher.enable_entity('field.work_orders');

-- Conditions of the machine: they get the row before and after as jsonb, and answer why not
CREATE FUNCTION field.may_schedule(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF new ->> 'technician_id' IS NULL
       OR NOT usher.user_has_permission((new ->> 'technician_id')::uuid, 'work_order:update') THEN
        RETURN 'a technician is needed';
    ELSIF new ->> 'during' IS NULL THEN
        RETURN 'a time is needed';
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION field.may_complete(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN coalesce(new ->> 'notes', '') = '' THEN 'notes of the work are needed' END;
END
$$;
CREATE FUNCTION field.may_accept(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN (new ->> 'client_id')::uuid IS DISTINCT FROM usher.current_user_id()
                     AND NOT usher.has_permission('work_order:manage')
        THEN 'only the client or a manager accepts the work' END;
END
$$;
SELECT usher.define_machine('work_order', jsonb_set(preset, '{transitions}', (
    SELECT jsonb_agg(CASE t ->> 'action'
        WHEN 'schedule' THEN t || '{"guard": "field.may_schedule(jsonb,jsonb)"}'
        WHEN 'complete' THEN t || '{"guard": "field.may_complete(jsonb,jsonb)"}'
        WHEN 'accept' THEN t || '{"guard": "field.may_accept(jsonb,jsonb)"}'
        ELSE t END ORDER BY place)
    FROM jsonb_array_elements(preset -> 'transitions') WITH ORDINALITY AS x (t, place)))) AS version
FROM usher.machine_preset('work_order') AS preset \gset
SELECT usher.attach_machine('work_order', 'field.work_orders', 'status', '{"reason_column": "reason",
    "notes_column": "notes",
    "version_column": "version", "event_prefix": "work_order",
    "payload_columns": ["title", "client_id", "technician_id"]}');

-- A technician changes status, notes and parts; the rest is the dispatcher's. started_at is kept here for everybody.
CREATE FUNCTION field.keep_columns() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'in_progress' AND OLD.status = 'scheduled' THEN
        NEW.started_at := now();
    ELSIF NEW.started_at IS DISTINCT FROM OLD.started_at THEN
        NEW.started_at := OLD.started_at;
    END IF;
    IF (NEW.title, NEW.description, NEW.site, NEW.client_id, NEW.technician_id, NEW.during)
        IS DISTINCT FROM (OLD.title, OLD.description, OLD.site, OLD.client_id, OLD.technician_id, OLD.during)
       AND usher.current_user_id() IS NOT NULL AND NOT usher.has_permission('work_order:schedule') THEN
        PERFORM usher.raise_error('not_permitted', 'only status, notes, reason and parts may be changed');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_columns BEFORE UPDATE ON field.work_orders FOR EACH ROW EXECUTE FUNCTION field.keep_columns();

-- A client sees his own orders, a technician those assigned to him, dispatchers and managers all
ALTER TABLE field.work_orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON field.work_orders FOR SELECT
    USING (client_id = usher.current_user_id() OR technician_id = usher.current_user_id()
           OR usher.has_permission('work_order:read'));
CREATE POLICY submit ON field.work_orders FOR INSERT
    WITH CHECK (client_id = usher.current_user_id() OR usher.has_permission('work_order:schedule'));
CREATE POLICY change ON field.work_orders FOR UPDATE
    USING (client_id = usher.current_user_id() OR technician_id = usher.current_user_id()
           OR usher.has_permission('work_order:schedule'));

CREATE FUNCTION field.submit_work_order(title text, description text DEFAULT '', site jsonb DEFAULT '{}', OUT id uuid,
                                        OUT status text, OUT version integer)
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO field.work_orders AS w (title, description, site, client_id)
    VALUES (submit_work_order.title, submit_work_order.description, submit_work_order.site, usher.current_user_id())
    RETURNING w.id, w.status, w.version INTO id, status, version;
END
$$;
CREATE FUNCTION field.schedule_work_order(work_order_id uuid, technician_id uuid, during tstzrange, OUT status text,
                                          OUT version integer)
    LANGUAGE plpgsql AS $$
BEGIN
    UPDATE field.work_orders w
    SET status = 'scheduled', technician_id = schedule_work_order.technician_id, during = schedule_work_order.during
    WHERE w.id = work_order_id RETURNING w.status, w.version INTO status, version;
END
$$;
CREATE FUNCTION field.transition_work_order(work_order_id uuid, to_status text, reason text DEFAULT NULL,
                                            notes text DEFAULT NULL, expected_version integer DEFAULT NULL,
                                            OUT status text, OUT version integer)
    LANGUAGE plpgsql AS $$
BEGIN
    UPDATE field.work_orders w SET status = to_status, reason = transition_work_order.reason,
        notes = coalesce(transition_work_order.notes, w.notes), version = coalesce(expected_version, w.version)
    WHERE w.id = work_order_id RETURNING w.status, w.version INTO status, version;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'work order does not exist, or does not concern you',
                                  jsonb_build_object('id', work_order_id));
    END IF;
END
$$;
CREATE FUNCTION field.list_work_orders(with_status text DEFAULT NULL, after uuid DEFAULT NULL)
    RETURNS TABLE (id uuid, title text, status text, technician text, during tstzrange)
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT w.id, w.title::text, w.status, (usher.user_reference(w.technician_id)).name, w.during
        FROM field.active_work_orders w
    WHERE (with_status IS NULL OR w.status = with_status)
        AND (list_work_orders.after IS NULL OR w.id < list_work_orders.after) ORDER BY w.id DESC LIMIT 50;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'field_app') THEN
        CREATE ROLE field_app;
    END IF;
END
$$;
SELECT usher.grant_access('field_app', 'application');
GRANT USAGE ON SCHEMA field TO field_app;
GRANT SELECT, INSERT, UPDATE ON field.work_orders TO field_app;
GRANT SELECT ON field.active_work_orders TO field_app;
SELECT usher.subscribe('work_order.*', 'messenger', mode => 'async');

-- ---- what happens in it --------------------------------------------------------------------------------------------

SELECT pg_temp.person('cleo@field.example', 'Cleo', 'client') AS cleo,
       pg_temp.person('olaf@field.example', 'Olaf', 'client') AS olaf,
       pg_temp.person('dora@field.example', 'Dora', 'dispatcher') AS dora,
       pg_temp.person('tom@field.example', 'Tom', 'technician') AS tom,
       pg_temp.person('tess@field.example', 'Tess', 'technician') AS tess,
       pg_temp.person('mia@field.example', 'Mia', 'manager') AS mia \gset
SELECT usher.issue_token(:'cleo') AS cleo_token, usher.issue_token(:'olaf') AS olaf_token,
       usher.issue_token(:'dora') AS dora_token,
       usher.issue_token(:'tom') AS tom_token, usher.issue_token(:'tess') AS tess_token,
       usher.issue_token(:'mia') AS mia_token \gset
SET ROLE field_app;

\echo '--- a client submits; another client does not see it'
BEGIN;
SELECT usher.authenticate(:'cleo_token') AS me \gset
SELECT id AS boiler FROM field.submit_work_order('The boiler is cold', site => '{"street": "1 Road"}') \gset
SELECT id AS tap FROM field.submit_work_order('A tap drips') \gset
SELECT pg_temp.expect('scheduling by the client', pg_temp.refusal(
    format('SELECT field.schedule_work_order(%L, %L, ''[2030-01-07 09:00,2030-01-07 11:00)'')', :'boiler', :'cleo')),
'42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'olaf_token') AS me \gset
SELECT pg_temp.expect('what another client sees', count(*)::text, '0') FROM field.list_work_orders();
COMMIT;

\echo '--- a dispatcher schedules: a technician, who is free'
BEGIN;
SELECT usher.authenticate(:'dora_token') AS me \gset
SELECT pg_temp.expect('why not yet', why_not, 'a technician is needed')
FROM usher.allowed_transitions('field.work_orders', :'boiler') WHERE action = 'schedule';
SELECT pg_temp.expect('a client as technician', pg_temp.refusal(
    format('SELECT field.schedule_work_order(%L, %L, ''[2030-01-07 09:00,2030-01-07 11:00)'')', :'boiler', :'olaf')),
'US002');
SELECT pg_temp.expect('scheduling', status, 'scheduled')
FROM field.schedule_work_order(:'boiler', :'tom', '[2030-01-07 09:00,2030-01-07 11:00)');
SELECT pg_temp.expect('the same technician at the same time', pg_temp.refusal(format(
    'SELECT field.schedule_work_order(%L, %L, ''[2030-01-07 10:00,2030-01-07 12:00)'')', :'tap', :'tom')), '23P01');
SELECT pg_temp.expect('starting it herself', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''in_progress'')', :'boiler')), 'US002');
COMMIT;

\echo '--- the technician it is assigned to works; no other does'
BEGIN;
SELECT usher.authenticate(:'tess_token') AS me \gset
SELECT pg_temp.expect('another technician', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''in_progress'')', :'boiler')), 'US005');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'tom_token') AS me \gset
SELECT pg_temp.expect('his orders', string_agg(title, ', '), 'The boiler is cold') FROM field.list_work_orders();
SELECT pg_temp.expect('start', status, 'in_progress') FROM field.transition_work_order(:'boiler', 'in_progress');
SELECT pg_temp.expect('a pause without a reason', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''on_hold'')', :'boiler')), '22023');
SELECT pg_temp.expect('a pause', status, 'on_hold') FROM field.transition_work_order(:'boiler', 'on_hold', 'parts');
SELECT pg_temp.expect('and on', status, 'in_progress') FROM field.transition_work_order(:'boiler', 'in_progress');
SELECT pg_temp.expect('another title', pg_temp.refusal(
    format('UPDATE field.work_orders SET title = ''Mine'' WHERE id = %L', :'boiler')), '42501');
UPDATE field.work_orders SET parts = '["pump"]' WHERE id = :'boiler';
SELECT pg_temp.expect('completion without notes', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''completed'')', :'boiler')), 'US002');
SELECT pg_temp.expect('completion', status, 'completed')
FROM field.transition_work_order(:'boiler', 'completed', notes => 'new pump');
SELECT pg_temp.expect('accepting his own work', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''closed'')', :'boiler')), 'US002');
COMMIT;

\echo '--- a manager asks for more, the client accepts, and withdraws the other order'
BEGIN;
SELECT usher.authenticate(:'mia_token') AS me \gset
SELECT pg_temp.expect('rework', status, 'in_progress')
FROM field.transition_work_order(:'boiler', 'in_progress', 'still cold');
SELECT pg_temp.expect('completion by a manager', status, 'completed')
FROM field.transition_work_order(:'boiler', 'completed');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'cleo_token') AS me \gset
SELECT pg_temp.expect('acceptance', status, 'closed') FROM field.transition_work_order(:'boiler', 'closed');
SELECT pg_temp.expect('withdrawal', status, 'cancelled')
FROM field.transition_work_order(:'tap', 'cancelled', 'it stopped');
SELECT pg_temp.expect('what is closed stays so', count(*)::text, '0')
FROM usher.allowed_transitions('field.work_orders', :'boiler');
COMMIT;
RESET ROLE;

\echo '--- everything is on record'
SELECT pg_temp.expect('the way of the order', string_agg(action, ', ' ORDER BY seq),
    'submit, schedule, start, hold, resume, complete, rework, complete, accept')
                      FROM usher.history('field.work_orders', :'boiler');
SELECT pg_temp.expect('by whom', string_agg((changed_by).name, ', ' ORDER BY seq),
                      'Cleo, Dora, Tom, Tom, Tom, Tom, Mia, Mia, Cleo')
FROM usher.history('field.work_orders', :'boiler');
SELECT pg_temp.expect('the pump in the audit log', new_values ->> 'parts', '["pump"]')
FROM usher.row_history('field.work_orders', to_jsonb(:'boiler'::text))
WHERE new_values ? 'parts' AND action = 'update';
SELECT pg_temp.expect('when it was started', (started_at IS NOT NULL)::text, 'true')
FROM field.work_orders WHERE id = :'boiler';
SELECT pg_temp.expect('events of the boiler for the messenger', count(*)::text, '9')
FROM usher.deliveries WHERE consumer = 'messenger' AND key LIKE '%' || :'boiler';
SELECT pg_temp.expect('oddities of the machine', count(*)::text, '0') FROM usher.validate_machine('work_order');
SELECT pg_temp.expect('violations', count(*)::text, '0') FROM usher.self_check() WHERE violations > 0;
\echo 'the whole story came out as it should'
