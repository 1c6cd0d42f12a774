-- The tables of identity and access control as they are: what other systems' schemas promised stands in the expected
-- output, and whoever changes a column or a constraint changes it there (docs/requirements.md refers to it).
\pset footer off
CREATE TEMP VIEW tables AS SELECT c.oid, c.relname FROM pg_class c
    WHERE c.relnamespace = 'usher'::regnamespace AND c.relkind = 'r'
      AND c.relname IN ('users', 'credentials', 'password_history', 'login_attempts', 'identities', 'consents',
                        'sessions', 'one_time_tokens', 'one_time_codes', 'api_keys', 'roles', 'role_parents',
                        'permissions', 'role_permissions', 'user_roles', 'user_permissions', 'role_management',
                        'policy_rules', 'policy_models');
\t on
\a
\pset fieldsep ' | '
SELECT t.relname,
       a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' ELSE 'optional' END,
       CASE a.attgenerated WHEN '' THEN coalesce(pg_get_expr(d.adbin, d.adrelid), '-') ELSE 'generated' END
FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
ORDER BY t.relname, a.attnum;
SELECT t.relname, c.conname, pg_get_constraintdef(c.oid) FROM tables t JOIN pg_constraint c ON c.conrelid = t.oid
WHERE c.contype IN ('p', 'u', 'f') ORDER BY t.relname, c.contype, c.conname;
SELECT regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX (\S+) ON (ONLY )?', '\1')
FROM tables t JOIN pg_index i ON i.indrelid = t.oid
WHERE NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
ORDER BY t.relname, i.indexrelid::regclass::text;
