-- Every function that hands out what is personal logs who has read it, by the rule of usher.audit_reads and of
-- sensitive services, or stands in the list below with the reason why not (R1-66). Functions, columns and what is
-- personal come from the catalog, so that one that is made later is asked as well.
SET client_min_messages = warning;
CREATE SCHEMA regress_reads;
-- What the levels of access may call and what is for reading: what writes answers with what it has written, and that
-- is in the log as a change.
CREATE TABLE regress_reads.callable AS
    SELECT DISTINCT n.name FROM usher.extension_access a, regexp_split_to_table(a.names, '\s+') AS n (name)
    WHERE a.kind = 'function' AND a.levels <> '{}';
CREATE TABLE regress_reads.functions AS
    SELECT p.oid, p.proname AS name,
           p.prosrc ~ '\mlog_reads?\(' OR p.prosrc ~ '\m_log_reads\(' OR p.proname = 'get_provider_tokens' AS logs,
           p.proallargtypes, p.proargmodes, p.proargnames, p.prorettype
    FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
    WHERE e.extname LIKE 'usher%' AND p.proname NOT LIKE '\_%'
        AND (p.provolatile <> 'v' OR p.proname ~ '^(list|get|find|search|export|explain|preview|claim|history|count)')
        AND p.proname IN (SELECT c.name FROM regress_reads.callable c);
CREATE TABLE regress_reads.personal AS
    WITH columns AS (
        SELECT f.oid, a.name, a.type
        FROM regress_reads.functions f CROSS JOIN LATERAL unnest(f.proargnames, f.proallargtypes, f.proargmodes)
            AS a (name, type, mode) WHERE a.mode IN ('o', 't', 'b')
        UNION ALL
        SELECT f.oid, a.attname, a.atttypid
        FROM regress_reads.functions f JOIN pg_type t ON t.oid = f.prorettype
            JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT f.oid, 'document', 'jsonb'::regtype FROM regress_reads.functions f JOIN pg_type t ON t.oid = f.prorettype
        WHERE f.prorettype = 'jsonb'::regtype OR t.typtype = 'd')
    SELECT f.name, f.logs, string_agg(DISTINCT c.name, ', ' ORDER BY c.name) AS columns
    FROM columns c JOIN regress_reads.functions f USING (oid)
    WHERE c.type IN ('jsonb'::regtype, 'usher.user_reference'::regtype)
        OR c.name IN (SELECT p.column_name FROM usher.personal_columns p
                      WHERE p.kind IN ('personal', 'sensitive', 'sealed'))
    GROUP BY f.name, f.logs;

CREATE TABLE regress_reads.silent (name name PRIMARY KEY, reason text NOT NULL);
INSERT INTO regress_reads.silent
SELECT r.name, g.reason
FROM (VALUES
    ('what is on offer, where, and how the system is set up: not about people',
     '{error_codes,get_product,health,list_current_advertisements,list_decisions,list_earning_rules,list_extensions,
       list_followed_issuers,list_locations,list_message_rules,list_rate_limits,list_rewards,list_services,
       list_signing_keys,list_tiers,list_token_issuers,list_webhook_secrets,list_webhooks,machine_preset,metrics,
       oauth_metadata,openapi,jwks,published_jwks,search_products}'),
    ('where requests of the application go; what they say is sealed, and not shown', '{list_http_requests}'),
    ('what the caller has brought along: a token, a basket, an instant',
     '{current_claims,verify_jwt,verify_token,explain_offer,list_offers_for,explain_slot,preview_order}'),
    ('about the caller alone, in each request of a page with a menu', '{get_me}'),
    ('which rule decides, not what is kept about somebody', '{explain_access}'),
    ('the name of who holds a token, for the service that it was shown to', '{introspect_token}'),
    ('sums and accounts of the books, by the id of what was paid', '{list_ledger_entries}'),
    ('for programs that act on events, which one hears of by its level of access and whose names it is logged for',
     '{claim_events,claim_messages,claim_payment_work,claim_requests,list_parked_events}'),
    ('with the rights of the caller on the table, as a SELECT; the functions of features over it log',
     '{history}')) AS g (reason, names)
    CROSS JOIN LATERAL unnest(g.names::name[]) AS r (name);

-- Those that log
SELECT name FROM regress_reads.personal WHERE logs ORDER BY name COLLATE "C";
-- Those that neither log nor say why not
SELECT p.name, p.columns FROM regress_reads.personal p
WHERE NOT p.logs AND p.name NOT IN (SELECT s.name FROM regress_reads.silent s) ORDER BY 1;
-- Reasons that nobody needs
SELECT s.name FROM regress_reads.silent s
WHERE s.name NOT IN (SELECT p.name FROM regress_reads.personal p WHERE NOT p.logs) ORDER BY 1;

DROP SCHEMA regress_reads CASCADE;
