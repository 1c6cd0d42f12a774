-- The role that the gateways of ./dev run connect as, without a password: whoever reaches the socket owns the files.
-- May run again.
SET client_min_messages = warning;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'usher_gateway') THEN
        CREATE ROLE usher_gateway LOGIN;
    END IF;
END
$$;
SELECT usher.grant_access('usher_gateway', 'gateway');
