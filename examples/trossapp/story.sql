-- The story of a field service in plain SQL: work orders that clients submit, dispatchers assign and schedule, and
-- technicians carry out, each seeing what concerns them; people log in at Auth0, and roles, accounts and orders go and
-- come back. Needs the data of install.sql, and may run again:
--
--     ./dev psql --system trossapp -f examples/trossapp/story.sql
--
-- It plays several people, so it is run by a superuser; everything they do is done as trossapp_app, a database role
-- that has only grant_access('trossapp_app', 'application') and its table. Who somebody is comes from
-- usher.authenticate(token) alone, and the tokens are those of the tenant at Auth0.
\ir ../expect.sql

-- People of this run: somebody whose account was made here, and who is known to the tenant.
SELECT substr(md5(random()::text), 1, 12) AS run \gset
SELECT set_config('story.run', :'run', false) \gset
CREATE FUNCTION pg_temp.member(name text, role text DEFAULT NULL) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    who text := lower(name) || '-' || current_setting('story.run');
    id uuid := (usher.import_user(who || '@trossapp.example', first_name => name)).user_id;
BEGIN
    PERFORM usher.link_identity(id, 'auth0', 'auth0|' || who);
    IF role IS NOT NULL THEN
        PERFORM usher.grant_role(id, role), usher.revoke_role(id, 'client');
    END IF;
    RETURN id;
END
$$;
SELECT pg_temp.member('Cleo') AS cleo, pg_temp.member('Olaf') AS olaf, pg_temp.member('Dora', 'dispatcher') AS dora,
       pg_temp.member('Tom', 'technician') AS tom, pg_temp.member('Tess', 'technician') AS tess,
       pg_temp.member('Mia', 'manager') AS mia, pg_temp.member('Lea') AS lea,
       pg_temp.member('Tim', 'technician') AS tim \gset
SELECT field.demo_token('auth0|cleo-' || :'run') AS cleo_token,
       field.demo_token('auth0|olaf-' || :'run') AS olaf_token,
       field.demo_token('auth0|dora-' || :'run') AS dora_token, field.demo_token('auth0|tom-' || :'run') AS tom_token,
       field.demo_token('auth0|tess-' || :'run') AS tess_token, field.demo_token('auth0|mia-' || :'run') AS mia_token,
       field.demo_token('auth0|lea-' || :'run') AS lea_token, field.demo_token('auth0|tim-' || :'run') AS tim_token,
       field.demo_token('auth0|ada') AS ada_token \gset
SELECT field.demo_token('auth0|stranger-' || :'run') AS stranger,
       field.demo_token('auth0|cleo-' || :'run', '{"aud": "https://other.example"}') AS for_others,
       field.demo_token('auth0|cleo-' || :'run', '{"iss": "https://evil.example/"}') AS from_others,
       field.demo_token('auth0|cleo-' || :'run', '{"exp": 1000000000}') AS over \gset
SET ROLE trossapp_app;

\echo '--- 1. logging in elsewhere: whose tokens are good'
BEGIN;
SELECT pg_temp.expect('a token of the tenant', usher.authenticate(:'cleo_token')::text, :'cleo');
SELECT pg_temp.expect('and nothing but a token', usher.current_session_id()::text, NULL);
COMMIT;
SELECT pg_temp.expect('somebody the tenant knows and we do not', error, 'unknown_subject')
FROM usher.verify_token(:'stranger');
SELECT pg_temp.expect('a token for another application', error, 'wrong_audience')
FROM usher.verify_token(:'for_others');
SELECT pg_temp.expect('a token that was changed', error, 'invalid_signature')
FROM usher.verify_token(left(:'cleo_token', -24) || 'AAAA' || right(:'cleo_token', 20));
SELECT pg_temp.expect('a token of another tenant',
                      pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'from_others')), '28000');
SELECT pg_temp.expect('a token of long ago',
                      pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'over')), '28000');
SELECT pg_temp.expect('making a token oneself',
                      pg_temp.refusal('SELECT field.demo_token(''auth0|ada'')'), '42501');
SELECT pg_temp.expect('a password for an account without one', error, 'invalid_credentials')
FROM usher.login('cleo-' || :'run' || '@trossapp.example', 'a guess that is long enough');

\echo '--- 2. a client submits; another client does not see it'
BEGIN;
SELECT usher.authenticate(:'cleo_token') AS me \gset
SELECT id AS boiler FROM field.submit_work_order('The boiler is cold', site => '{"street": "1 Road"}') \gset
SELECT id AS tap FROM field.submit_work_order('A tap drips') \gset
SELECT pg_temp.expect('scheduling by the client', pg_temp.refusal(
    format('SELECT field.schedule_work_order(%L, ''[2030-01-07 09:00,2030-01-07 11:00)'', %L)', :'boiler', :'tom')),
'42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'olaf_token') AS me \gset
SELECT pg_temp.expect('what another client sees', count(*)::text, '0') FROM field.list_work_orders();
SELECT pg_temp.expect('withdrawing the order of somebody else', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''cancelled'', ''mine'')', :'tap')), 'US005');
SELECT pg_temp.expect('submitting in the name of somebody else', pg_temp.refusal(
    format('INSERT INTO field.work_orders (title, client_id) VALUES (''Hers'', %L)', :'cleo')), '42501');
COMMIT;

\echo '--- 3. a dispatcher assigns and schedules: a technician, who is free'
BEGIN;
SELECT usher.authenticate(:'dora_token') AS me \gset
SELECT pg_temp.expect('why not yet', why_not, 'a technician is needed')
FROM usher.allowed_transitions('field.work_orders', :'boiler') WHERE action = 'schedule';
SELECT pg_temp.expect('a client as technician', pg_temp.refusal(
    format('SELECT field.assign_work_order(%L, %L)', :'boiler', :'olaf')), '42501');
SELECT pg_temp.expect('assigning', status, 'submitted') FROM field.assign_work_order(:'boiler', :'tom');
SELECT pg_temp.expect('scheduling', status, 'scheduled')
FROM field.schedule_work_order(:'boiler', '[2030-01-07 09:00,2030-01-07 11:00)');
SELECT pg_temp.expect('the same technician at the same time', pg_temp.refusal(format(
    'SELECT field.schedule_work_order(%L, ''[2030-01-07 10:00,2030-01-07 12:00)'', %L)', :'tap', :'tom')), '23P01');
SELECT pg_temp.expect('starting it herself', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''in_progress'')', :'boiler')), 'US002');
SELECT pg_temp.expect('deleting it',
                      pg_temp.refusal(format('SELECT field.delete_work_order(%L)', :'boiler')), '42501');
SELECT pg_temp.expect('making herself a manager', pg_temp.refusal(
    format('SELECT usher.grant_role(%L, ''manager'')', :'dora')), '42501');
COMMIT;

\echo '--- 4. the technician it is assigned to works; no other does'
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
SELECT pg_temp.expect('passing it on', pg_temp.refusal(
    format('SELECT field.assign_work_order(%L, %L)', :'boiler', :'tess')), '42501');
UPDATE field.work_orders SET parts = '["pump"]' WHERE id = :'boiler';
SELECT pg_temp.expect('completion without notes', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''completed'')', :'boiler')), 'US002');
SELECT version AS old_version FROM field.work_orders WHERE id = :'boiler' \gset
SELECT pg_temp.expect('completion', status, 'completed')
FROM field.transition_work_order(:'boiler', 'completed', notes => 'new pump');
SELECT pg_temp.expect('accepting his own work', pg_temp.refusal(
    format('SELECT field.transition_work_order(%L, ''closed'')', :'boiler')), 'US002');
COMMIT;

\echo '--- 5. a manager asks for more, the client accepts, and withdraws the other order'
BEGIN;
SELECT usher.authenticate(:'mia_token') AS me \gset
SELECT pg_temp.expect('what somebody else has changed meanwhile', pg_temp.refusal(format(
    'SELECT field.transition_work_order(%L, ''in_progress'', ''cold'', expected_version => %s)', :'boiler',
    :'old_version')), 'US003');
SELECT pg_temp.expect('rework', status, 'in_progress')
FROM field.transition_work_order(:'boiler', 'in_progress', 'still cold');
SELECT pg_temp.expect('completion by a manager', status, 'completed')
FROM field.transition_work_order(:'boiler', 'completed');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'cleo_token') AS me \gset
SELECT pg_temp.expect('acceptance', status, 'closed') FROM field.transition_work_order(:'boiler', 'closed');
SELECT pg_temp.expect('deleting it by hand', pg_temp.refusal(
    format('UPDATE field.work_orders SET is_active = false WHERE id = %L', :'tap')), '42501');
SELECT pg_temp.expect('withdrawal', status, 'cancelled')
FROM field.transition_work_order(:'tap', 'cancelled', 'it stopped');
SELECT pg_temp.expect('what is closed stays so', count(*)::text, '0')
FROM usher.allowed_transitions('field.work_orders', :'boiler');
COMMIT;

\echo '--- 6. an order is deleted, and comes back'
BEGIN;
SELECT usher.authenticate(:'mia_token') AS me \gset
SELECT pg_temp.expect('deleting', field.delete_work_order(:'tap')::text, 'true');
SELECT pg_temp.expect('the list without it', string_agg(title, ', ' ORDER BY title), 'The boiler is cold')
FROM field.list_work_orders() WHERE id IN (:'tap', :'boiler');
SELECT pg_temp.expect('the row with its day', format('%s %s', is_active, deleted_at IS NOT NULL), 'f t')
FROM field.work_orders WHERE id = :'tap';
SELECT pg_temp.expect('changing what is deleted', pg_temp.refusal(
    format('SELECT field.assign_work_order(%L, %L)', :'tap', :'tom')), 'US005');
SELECT pg_temp.expect('restoring', field.restore_work_order(:'tap')::text, 'true');
SELECT pg_temp.expect('the list with it', string_agg(title, ', ' ORDER BY title), 'A tap drips, The boiler is cold')
FROM field.list_work_orders() WHERE id IN (:'tap', :'boiler');
COMMIT;

\echo '--- 7. five roles: who can manage whom, and a role that is dropped'
BEGIN;
SELECT usher.authenticate(:'mia_token') AS me \gset
SELECT pg_temp.expect('whom a manager manages', string_agg(w.name, ', ' ORDER BY w.name),
                      'client, dispatcher, technician')
FROM (VALUES ('client', :'cleo'::uuid), ('dispatcher', :'dora'), ('technician', :'tom'),
    ('admin', '01900000-0000-7000-8000-0000000000c2'), ('manager', '01900000-0000-7000-8000-0000000000c3')
    ) AS w (name, id)
WHERE usher.can_manage(w.id);
SELECT pg_temp.expect('a new role by a manager', pg_temp.refusal('SELECT usher.create_role(''helper'')'), '42501');
COMMIT;
SELECT 'helper_' || :'run' AS helper \gset
BEGIN;
SELECT usher.authenticate(:'ada_token') AS me \gset
SELECT usher.create_role(:'helper', 'Helps for a summer') \gset
SELECT usher.grant_permission(:'helper', 'work_order:read');
SELECT usher.grant_role(:'olaf', :'helper'), usher.revoke_role(:'olaf', 'client') \gset
SELECT pg_temp.expect('dropping one of the five', pg_temp.refusal('SELECT usher.drop_role(''technician'')'), 'US202');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'olaf_token') AS me \gset
SELECT pg_temp.expect('a helper sees orders', (count(*) >= 2)::text, 'true') FROM field.list_work_orders();
COMMIT;
BEGIN;
SELECT usher.authenticate(:'ada_token') AS me \gset
SELECT usher.drop_role(:'helper');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'olaf_token') AS me \gset
SELECT pg_temp.expect('somebody without a role is somebody', (usher.user_reference(:'olaf')).role, NULL);
SELECT pg_temp.expect('and sees nothing', count(*)::text, '0') FROM field.list_work_orders();
SELECT pg_temp.expect('and submits nothing', pg_temp.refusal(
    'SELECT field.submit_work_order(''A leak'')'), 'US002');
COMMIT;

\echo '--- 8. an account is deactivated, comes back, and loses its account at Auth0'
BEGIN;
SELECT usher.authenticate(:'mia_token') AS me \gset
SELECT usher.deactivate_user(:'tom');
SELECT pg_temp.expect('deactivating an administrator', pg_temp.refusal(
    'SELECT usher.deactivate_user(''01900000-0000-7000-8000-0000000000c2'')'), '42501');
COMMIT;
SELECT pg_temp.expect('a token of somebody who is deactivated', error, 'token_revoked')
FROM usher.verify_token(:'tom_token');
BEGIN;
SELECT usher.authenticate(:'mia_token') AS me \gset
SELECT usher.reactivate_user(:'tom');
COMMIT;
SELECT pg_temp.expect('and of somebody who is back', error, NULL) FROM usher.verify_token(:'tom_token');
BEGIN;
SELECT usher.authenticate(:'mia_token') AS me \gset
SELECT pg_temp.expect('unlinking', usher.unlink_identity(:'tess', 'auth0')::text, 'true');
COMMIT;
SELECT pg_temp.expect('a token of nobody any more', error, 'unknown_subject') FROM usher.verify_token(:'tess_token');

\echo '--- 9. refresh tokens: for accounts with a password here'
RESET ROLE;
SELECT pg_temp.person('rex-' || :'run' || '@trossapp.example', 'Rex') AS rex \gset
SET ROLE trossapp_app;
SELECT refresh_token AS first FROM usher.login('rex-' || :'run' || '@trossapp.example', 'a long password of Rex') \gset
SELECT refresh_token AS second, session_id AS session FROM usher.refresh_session(:'first') \gset
SELECT refresh_token AS third, access_token AS rex_token FROM usher.refresh_session(:'second') \gset
SELECT pg_temp.expect('a token that was used before', error, 'refresh_token_reused')
FROM usher.refresh_session(:'first');
SELECT pg_temp.expect('which ends the session', error, 'session_revoked') FROM usher.refresh_session(:'third');
SELECT pg_temp.expect('and its access token',
                      pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'rex_token')), '28000');
SELECT pg_temp.expect('hashes of tokens by the application',
                      pg_temp.refusal('SELECT refresh_token_hash FROM usher.sessions'), '42501');
RESET ROLE;

\echo '--- 10. a client leaves, and a technician: what is not begun is taken back, or waits for somebody else'
SET ROLE trossapp_app;
BEGIN;
SELECT usher.authenticate(:'lea_token') AS me \gset
SELECT id AS leak FROM field.submit_work_order('A leak at Lea''s', site => '{"street": "7 Lea Lane"}') \gset
SELECT id AS lamp FROM field.submit_work_order('No light at Lea''s') \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'cleo_token') AS me \gset
SELECT id AS pipe FROM field.submit_work_order('A pipe knocks') \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'dora_token') AS me \gset
SELECT status FROM field.schedule_work_order(:'leak', '[2030-02-07 09:00,2030-02-07 11:00)', :'tim') \gset
SELECT status FROM field.schedule_work_order(:'pipe', '[2030-02-07 13:00,2030-02-07 15:00)', :'tim') \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'lea_token') AS me \gset
SELECT pg_temp.expect('what she can take with her', string_agg(o ->> 'title', ', ' ORDER BY o ->> 'title'),
                      'A leak at Lea''s, No light at Lea''s')
FROM jsonb_array_elements(usher.export_user() -> 'field' -> 'orders') AS o;
SELECT usher.delete_user(:'lea');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'tim_token') AS me \gset
SELECT usher.delete_user(:'tim');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'dora_token') AS me \gset
SELECT pg_temp.expect('user.deleted: the orders of a client', string_agg(DISTINCT status || ', ' || reason, '; '),
                      'cancelled, the client has left')
FROM field.work_orders WHERE id IN (:'leak', :'lamp');
SELECT pg_temp.expect('user.deleted: the work of a technician',
                      format('%s, by %s', status, coalesce(technician_id::text, 'nobody')), 'submitted, by nobody')
FROM field.work_orders WHERE id = :'pipe';
SELECT pg_temp.expect('which somebody else does', status, 'scheduled')
FROM field.schedule_work_order(:'pipe', '[2030-02-07 13:00,2030-02-07 15:00)', :'tom');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'ada_token') AS me \gset
SELECT usher.erase_user(:'lea');
COMMIT;
RESET ROLE;
SELECT pg_temp.expect('erased: what she wrote', string_agg(DISTINCT concat_ws(' ', title, site, reason), '; '),
                      'A work order {}')
FROM field.work_orders WHERE client_id = :'lea';
SELECT pg_temp.expect('erased: the log', count(*)::text, '0') FROM usher.audit_logs
WHERE concat(old_values, new_values) LIKE '%Lea Lane%' AND resource_id = :'leak';

\echo '--- 11. everything is on record'
SELECT pg_temp.expect('the way of the order', string_agg(action, ', ' ORDER BY seq),
    'submit, schedule, start, hold, resume, complete, rework, complete, accept')
FROM usher.history('field.work_orders', :'boiler');
SELECT pg_temp.expect('by whom', string_agg((changed_by).name, ', ' ORDER BY seq),
                      'Cleo, Dora, Tom, Tom, Tom, Tom, Mia, Mia, Cleo')
FROM usher.history('field.work_orders', :'boiler');
SELECT pg_temp.expect('who was assigned, and by whom', actor_name || ' ' || (new_values ->> 'technician_id'),
                      'Dora ' || :'tom')
FROM usher.row_history('field.work_orders', to_jsonb(:'boiler'::text))
WHERE new_values ? 'technician_id' AND action = 'update';
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
