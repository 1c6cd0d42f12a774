-- How the examples run, and what they check themselves with; they include it (\ir expect.sql). The functions go away
-- with the session.
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;

-- Stops the script at a surprise.
CREATE FUNCTION pg_temp.expect(what text, got text, expected text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF got IS DISTINCT FROM expected THEN
        RAISE 'surprise: % is % instead of %', what, coalesce(got, 'NULL'), coalesce(expected, 'NULL');
    END IF;
    RETURN 'ok: ' || what;
END
$$;

-- The SQLSTATE that a statement is refused with.
CREATE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;

-- Somebody who has registered, has proved the address, and has a role if one is named.
CREATE FUNCTION pg_temp.person(email text, name text, role text DEFAULT NULL) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE id uuid := (usher.register_user(email, 'a long password of ' || name, name)).user_id;
BEGIN
    PERFORM usher.verify_email(usher.create_email_verification(id), 'a long password of ' || name);
    IF role IS NOT NULL THEN PERFORM usher.grant_role(id, role); END IF;
    RETURN id;
END
$$;
