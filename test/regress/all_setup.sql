-- The first test: makes the extensions that all others use, core and whatever features there are, in one schema as an
-- application would.
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA wash;
DO $$
DECLARE
    feature name;
BEGIN
    FOR feature IN
        -- those that the server finds; up to 17, Debian's may look below another root as well
        SELECT name FROM pg_available_extensions WHERE name LIKE 'usher\_%'
        UNION
        SELECT substring(file FROM '^(usher_\w+)\.control$')
        FROM pg_config AS c
            CROSS JOIN unnest(ARRAY['', nullif(current_setting('extension_destdir', true), '')]) AS root
            CROSS JOIN pg_ls_dir(root || c.setting || '/extension', true, false) AS file
        WHERE c.name = 'SHAREDIR' AND file ~ '^usher_\w+\.control$'
        ORDER BY 1
    LOOP
        EXECUTE format('CREATE EXTENSION %I SCHEMA wash CASCADE', feature);
    END LOOP;
END
$$;
-- Bookings act on payments of a declared publisher only: unless an extension is one, the tests are.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM usher.extension_events WHERE event = 'payment.completed') THEN
        PERFORM usher.register_extension('Payments as tests make them', 'test_payments', 'wash',
            declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}',
            publishes => '{payment.completed}');
    END IF;
END
$$;
