-- Names of accounts: in which form e-mail addresses and usernames are stored, and by what they are compared. The rules
-- are in extension/usher/identity/names.hpp. These stand before the tables, whose checks and indexes ask them.

CREATE FUNCTION usher.normalize_name(name text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_normalize_name';
REVOKE ALL ON FUNCTION usher.normalize_name(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.normalize_name(text) IS
    'An e-mail address or a username in the form in which it is stored: without spaces around it, composed (NFC), '
    'full width as ordinary letters, the domain of an address in ASCII (IDNA). Capitals stay. NULL for what is '
    'neither: with spaces, invisible characters or symbols in it, say.';

CREATE FUNCTION usher.name_key(name text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_name_key';
REVOKE ALL ON FUNCTION usher.name_key(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.name_key(text) IS
    'normalize_name() in small letters: two e-mail addresses or usernames are the same when their keys are. NULL for '
    'what is neither. Can be indexed.';

CREATE FUNCTION usher._normalize_user_names() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What is no name is left for the checks of the table to refuse.
    NEW.email := coalesce(usher.normalize_name(NEW.email), NEW.email);
    NEW.username := coalesce(usher.normalize_name(NEW.username), NEW.username);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION usher._normalize_user_names() FROM PUBLIC;
COMMENT ON FUNCTION usher._normalize_user_names() IS 'Trigger: stores names in one form, whoever writes the row.';
