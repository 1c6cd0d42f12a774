-- The extension that makes messages, and the role that the couriers of ./dev run connect as, without a password:
-- whoever reaches the socket owns the files. May run again.
SET client_min_messages = warning;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'usher_courier') THEN
        CREATE ROLE usher_courier LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'usher_courier') THEN
        CREATE SCHEMA courier;
        CREATE EXTENSION usher_courier SCHEMA courier;
    END IF;
END
$$;
SELECT usher.grant_access('usher_courier', 'courier');
-- again, everybody's: for the functions of the extension
SELECT usher.grant_access(r.role_name, r.level) FROM usher.database_roles AS r;
