-- What every database of ours begins with: all extensions, and the role that the gateway connects as. May run again.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usher CASCADE;
CREATE SCHEMA IF NOT EXISTS wash;
CREATE EXTENSION IF NOT EXISTS usher_booking SCHEMA wash CASCADE;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'usher_gateway') THEN
        CREATE ROLE usher_gateway LOGIN;
    END IF;
END $$;
SELECT usher.grant_access('usher_gateway', 'gateway');
