-- Cedrina, an identity service: accounts with username, tier, profile and preferences, OAuth profiles, sessions with a
-- security context, reset tokens, Casbin's rules, audit, limits by tier. What a DBA runs, as a superuser, on an empty
-- database cedrina; may run again and changes nothing then. names.sql adds the tables of its document
-- (docs/requirements.md, R1) under their own names.
--
-- demo: Demo accounts (username, password):
-- demo:   admin   cedrina-admin-demo
-- demo:   ivy     cedrina-reader-demo     tier FREE: five reports a minute
-- demo:   pat     cedrina-premium-demo    tier PREMIUM: a hundred
-- demo: Their tables under the names of the document: SET search_path = cedrina, public
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usher CASCADE;
CREATE SCHEMA IF NOT EXISTS cedrina;
COMMENT ON SCHEMA cedrina IS 'Cedrina''s own functions, and the tables of its document under their names.';

-- R1: passwords by bcrypt, with rounds that can be configured; a new account is a user; the time of the server is UTC
SELECT format('ALTER DATABASE %I SET %s', current_database(), setting)
FROM unnest(ARRAY['usher.password_algorithm = bcrypt', 'usher.bcrypt_rounds = 12', 'usher.default_role = ''user''',
                  'timezone = ''UTC''']) AS setting \gexec
SET usher.password_algorithm = bcrypt;
SET usher.bcrypt_rounds = 12;
SET usher.default_role = 'user';

-- The application connects as one role, upkeep and migrations as another. Give them passwords, or certificates, to use
-- them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cedrina_app') THEN CREATE ROLE cedrina_app LOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cedrina_admin') THEN CREATE ROLE cedrina_admin LOGIN; END IF;
END
$$;

-- ---- functions of the application ----------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION cedrina.may(object text, action text, attributes jsonb DEFAULT '{}', OUT by_role boolean,
                                       OUT by_attributes boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me record;
BEGIN
    SELECT u.username, u.tier, u.id INTO me FROM usher.users u WHERE u.id = usher.current_user_id();
    by_role := coalesce(usher.enforce('cedrina', ARRAY[me.username, object, action]), false);
    by_attributes := coalesce(usher.enforce('cedrina', ARRAY[
        jsonb_build_object('name', me.username, 'tier', me.tier)::text,
        (coalesce(attributes, '{}') || jsonb_build_object('path', object))::text, action], '2'), false);
END
$$;
COMMENT ON FUNCTION cedrina.may(text, text, jsonb) IS
    'What Casbin''s rules say: may the current user do this, by role (p and g rows), or by attributes (p2 rows)?';

CREATE OR REPLACE FUNCTION cedrina.daily_report(OUT active_users bigint, OUT tier text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT count(*) INTO active_users FROM usher.users u WHERE u.is_active;
    SELECT u.tier INTO daily_report.tier FROM usher.users u WHERE u.id = usher.current_user_id();
END
$$;
COMMENT ON FUNCTION cedrina.daily_report() IS 'A report that everybody may have, as often as their tier allows.';

CREATE OR REPLACE FUNCTION cedrina.sees(user_id uuid) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN pg_has_role('cedrina_admin', 'USAGE') OR coalesce(user_id = usher.current_user_id(), false)
        OR usher.has_permission('user:read');
COMMENT ON FUNCTION cedrina.sees(uuid) IS
    'Whose rows one sees in the tables of names.sql: one''s own, with user:read all, as cedrina_admin all.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA cedrina FROM PUBLIC;

-- ---- data, once ----------------------------------------------------------------------------------------------------

DO $$
DECLARE
    account record;
    made record;
BEGIN
    IF EXISTS (SELECT FROM usher.users WHERE id = '01900000-0000-7000-8000-0000000000a1') THEN
        RETURN;
    END IF;
    PERFORM usher.apply_role_preset('administration');
    PERFORM usher.create_role('user', 'Everybody with an account');

    -- A request of Casbin's first kind names a subject, a path and a method; of the second one it has attributes.
    PERFORM usher.define_model('cedrina', $model$
[request_definition]
r = sub, obj, act
r2 = sub, obj, act
[policy_definition]
p = sub, obj, act
p2 = rule, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
e2 = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act
m2 = r2.act == p2.act && eval(p2.rule)
$model$);
    PERFORM usher.load_policies($policies$
p, reader, /documents/:id, GET
p, editor, /documents/:id, PUT
g, editor, reader
g, ivy, reader
g, pat, editor
p2, r2.obj.owner == r2.sub.name, DELETE
p2, r2.sub.tier == 'PREMIUM' && r2.obj.size > 1000, EXPORT
$policies$);

    PERFORM usher.define_rate_limit('cedrina.reports', 'sliding_window', 5, '1 minute', tiers => '{"PREMIUM": 100}');

    FOR account IN SELECT * FROM (VALUES
        ('01900000-0000-7000-8000-0000000000a1'::uuid, 'admin', 'cedrina-admin-demo', 'Ada', 'Admin', 'admin', 'FREE'),
        ('01900000-0000-7000-8000-0000000000a2', 'ivy', 'cedrina-reader-demo', 'Ivy', 'Reader', 'user', 'FREE'),
        ('01900000-0000-7000-8000-0000000000a3', 'pat', 'cedrina-premium-demo', 'Pat', 'Editor', 'user', 'PREMIUM')
        ) AS a (id, username, password, first_name, last_name, role, tier)
    LOOP
        SELECT * INTO made FROM usher.import_user(account.username || '@cedrina.example',
            usher.hash_password(account.password), first_name => account.first_name, last_name => account.last_name,
            username => account.username, id => account.id);
        IF made.error IS NOT NULL THEN
            RAISE 'demo account %: %', account.username, made.error;
        END IF;
        IF account.role <> 'user' THEN
            PERFORM usher.grant_role(account.id, account.role);
            PERFORM usher.revoke_role(account.id, 'user');
        END IF;
        IF account.tier <> 'FREE' THEN
            PERFORM usher.set_user_tier(account.id, account.tier);
        END IF;
    END LOOP;

    PERFORM usher.register_extension('Cedrina, an identity service', name => 'cedrina', schema_name => 'cedrina',
        declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}',
        access => '[{"kind": "function", "levels": ["application", "gateway", "admin"],
                     "names": "may daily_report sees"}]');
    PERFORM usher.add_route('GET', '/reports/daily', 'cedrina.daily_report()', rate_limit => 'cedrina.reports',
        summary => 'A report, as often as the tier allows', tag => 'cedrina');
    PERFORM usher.add_route('POST', '/decisions', 'cedrina.may(text,text,jsonb)', read_only => true,
        summary => 'What Casbin''s rules say', tag => 'cedrina');

    PERFORM usher.grant_access('cedrina_app', 'application');
    PERFORM usher.grant_access('cedrina_admin', 'admin');
END
$$;
GRANT USAGE ON SCHEMA cedrina TO cedrina_app, cedrina_admin;
\o
