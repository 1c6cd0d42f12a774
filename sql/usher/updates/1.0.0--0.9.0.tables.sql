-- 0.9.0 knows no level "courier": a role that has it has none afterwards, and nobody's access says anything about it.
DELETE FROM usher.database_roles WHERE level = 'courier';
UPDATE usher.extension_access SET levels = array_remove(levels, 'courier') WHERE 'courier' = ANY (levels);
ALTER TABLE usher.database_roles DROP CONSTRAINT database_roles_level_check,
    ADD CONSTRAINT database_roles_level_check
    CHECK (level IN ('application', 'gateway', 'readonly', 'auditor', 'admin'));
ALTER TABLE usher.extension_access DROP CONSTRAINT extension_access_levels_check,
    ADD CONSTRAINT extension_access_levels_check CHECK (levels <@ '{application,gateway,readonly,auditor,admin}');
-- Nor does it know the hooks "contact", "location" and "purchase": nobody asks an application that has them.
DELETE FROM usher.extension_hooks WHERE hook IN ('contact', 'location', 'purchase');
ALTER TABLE usher.extension_hooks DROP CONSTRAINT extension_hooks_hook_check,
    ADD CONSTRAINT extension_hooks_hook_check
    CHECK (hook IN ('upkeep', 'self_check', 'configuration', 'metrics', 'health', 'export', 'erase', 'profiles',
                    'flush'));
ALTER TABLE usher.one_time_tokens DROP CONSTRAINT one_time_tokens_purpose_check,
    ADD CONSTRAINT one_time_tokens_purpose_check
    CHECK (purpose IN ('email_verification', 'password_reset', 'email_change'));
ALTER TABLE usher.one_time_codes DROP CONSTRAINT one_time_codes_purpose_check,
    ADD CONSTRAINT one_time_codes_purpose_check CHECK (purpose IN ('login', 'email_verification'));
--- end
ALTER EXTENSION usher DROP TABLE usher.issuer_key_sources;
DROP TABLE usher.issuer_key_sources;
ALTER EXTENSION usher DROP TABLE usher.table_sizes;
DROP TABLE usher.table_sizes;
