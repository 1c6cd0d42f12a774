-- The clinic under the names of R2, "Database Schema Overview": each table of that document as a view over usher, with
-- the columns that the document names, and writable where its application wrote to it. A write calls usher's functions
-- as whoever writes, so it meets the rules that everything else meets. Run by a superuser after install.sql; may run
-- again.
--
-- Keys are uuids. The document calls that of users an integer, and prints no other type.
--
-- No secret is in here. hashed_password and token_hash always read '***'; a password that is written is hashed by
-- usher, a hash that is written is taken over if it is one of Argon2, bcrypt or scrypt.
--
-- Bookings, appointments, customers, products and payments are read with the rights of whoever asks
-- (security_invoker), so the row-level security of their tables holds. The tables of accounts and of the rest can be
-- read by no application at all: these views are read with the rights of their owner, and ask row by row who may see
-- it.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
CREATE SCHEMA IF NOT EXISTS clinic;

-- ---- who sees what, and what cannot be -----------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION clinic.sees(relation text, user_id uuid, permission text, place uuid DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF has_table_privilege(relation, 'SELECT') THEN
        RETURN true; -- at once: auditors may not call what applications call
    END IF;
    RETURN user_id = usher.current_user_id(permission) OR usher.has_permission(permission, place);
END
$$;
COMMENT ON FUNCTION clinic.sees(text, uuid, text, uuid) IS
    'Whether whoever asks sees a row: a database role that may read the table itself, the user whose row it is, or '
    'somebody with the permission.';

CREATE OR REPLACE FUNCTION clinic.refuse(what text, hint text) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = what, HINT = hint;
END
$$;
COMMENT ON FUNCTION clinic.refuse(text, text) IS 'Says that something is not written by hand, and who writes it.';

\set names clinic
\ir ../writable_views.sql

-- ---- the tables, in the order of the document ----------------------------------------------------------------------

\ir names_accounts.sql
\ir names_business.sql
\ir names_loyalty.sql

-- ---- who uses them -------------------------------------------------------------------------------------------------
-- Whether a write is done is decided by the function that it calls.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA clinic FROM PUBLIC;
GRANT USAGE ON SCHEMA clinic TO clinic_app, clinic_reports, clinic_auditor;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA clinic TO clinic_app;
GRANT EXECUTE ON FUNCTION clinic.sees(text, uuid, text, uuid) TO clinic_reports, clinic_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA clinic TO clinic_app;
GRANT SELECT ON clinic.users, clinic.roles, clinic.permissions, clinic.user_roles, clinic.role_permissions
    TO clinic_reports;
GRANT SELECT ON clinic.users, clinic.refresh_tokens, clinic.user_sessions, clinic.enhanced_user_sessions,
    clinic.audit_logs, clinic.rate_limit_logs, clinic.session_logs, clinic.roles, clinic.permissions,
    clinic.user_roles, clinic.role_permissions, clinic.user_permissions, clinic.inventory_logs, clinic.order_events,
    clinic.rewards, clinic.offers, clinic.advertisements, clinic.referrals TO clinic_auditor;
COMMIT;
