-- Findings of self-checks are kept: whoever asks what was found last waits for no check. Checks of others take part as they are,
-- one that fails stops no other, and what it found before stays.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA regress_checks;
CREATE TABLE regress_checks.rows (id integer);
CREATE FUNCTION regress_checks.check() RETURNS TABLE (rule text, violations bigint) LANGUAGE plpgsql STABLE AS
    $$ BEGIN RETURN QUERY SELECT 'none below zero', count(*) FROM regress_checks.rows WHERE id < 0; END $$;
SELECT usher.register_extension('Checks of others', 'regress_checks', 'regress_checks', hooks => '{"self_check": "check"}',
    declined_hooks => '{upkeep,configuration,metrics,health,export,erase}');
CREATE FUNCTION regress_checks.last() RETURNS TABLE (rule text, violations bigint, checked boolean, took boolean, failure text) LANGUAGE sql AS
    $$ SELECT l.rule, l.violations, l.checked_at IS NOT NULL, l.took > '0', l.failure FROM usher.last_self_check() AS l WHERE l.extension = 'regress_checks' $$;
CREATE FUNCTION regress_checks.metrics() RETURNS TABLE (name text, value float) LANGUAGE sql AS
    $$ SELECT m.name, CASE WHEN m.name LIKE '%age%' THEN (m.value BETWEEN 0 AND 3600)::integer ELSE m.value END
       FROM usher.metrics() AS m WHERE m.name LIKE 'usher\_self\_check%' AND m.labels ->> 'extension' = 'regress_checks' ORDER BY 1 $$;

-- Never checked
SELECT * FROM regress_checks.last();
SELECT * FROM regress_checks.metrics();
-- Checked now, and found right; what happens later is found by the next one
SELECT extension, rule, violations, checked_at > now() - interval '1 minute' AS now, failure FROM usher.run_self_check('regress_checks');
INSERT INTO regress_checks.rows VALUES (-1), (-2), (3);
SELECT * FROM regress_checks.last();
SELECT violations FROM usher.run_self_check('regress_checks');
SELECT * FROM regress_checks.last();
SELECT * FROM regress_checks.metrics();
SELECT rule, violations FROM usher.self_check() WHERE extension = 'regress_checks';
-- One that fails
ALTER TABLE regress_checks.rows RENAME TO away;
SELECT rule, violations, failure FROM usher.run_self_check('regress_checks');
SELECT * FROM regress_checks.metrics();
ALTER TABLE regress_checks.away RENAME TO rows;
SELECT rule, violations, failure FROM usher.run_self_check('regress_checks');
SELECT usher.run_self_check('nobody');

-- Without a name: the one whose check is the oldest, each in its turn
CREATE TABLE regress_checks.run AS SELECT NULL::name AS extension LIMIT 0;
DO $$
BEGIN
    FOR n IN 1 .. (SELECT count(*) FROM usher.extension_hooks WHERE hook = 'self_check') LOOP
        INSERT INTO regress_checks.run SELECT DISTINCT c.extension FROM usher.run_self_check() AS c;
    END LOOP;
END
$$;
SELECT count(*) > 4 AS several, count(*) = count(DISTINCT extension) AS each_once, count(*) = (SELECT count(*) FROM usher.extension_hooks WHERE hook = 'self_check') AS all_of_them
FROM regress_checks.run;
SELECT count(*) AS not_checked FROM usher.last_self_check() WHERE checked_at IS NULL OR failure IS NOT NULL;
SELECT extension, rule, violations FROM usher.last_self_check() WHERE violations > 0 AND extension <> 'regress_checks';
-- The same rules as self_check() itself
SELECT count(*) AS differences FROM (
    (SELECT extension, rule FROM usher.self_check() EXCEPT SELECT extension, rule FROM usher.last_self_check())
    UNION ALL (SELECT extension, rule FROM usher.last_self_check() EXCEPT SELECT extension, rule FROM usher.self_check())) AS d;
-- What the worker asks: nothing that was checked within the interval, and none that somebody else is at
SELECT usher._begin_self_check(3600) AS due;
UPDATE usher.self_checks SET started_at = now() - interval '2 hours' WHERE registrant = 'regress_checks';
SELECT usher._begin_self_check(3600) AS due;
SELECT usher._begin_self_check(3600) AS due;
UPDATE usher.self_checks SET started_at = now() - interval '2 hours', checked_at = now() - interval '3 hours' WHERE registrant = 'regress_checks';
SELECT left(failure, 8) AS begun, right(failure, 14) AS told FROM regress_checks.last();
-- Who may
CREATE ROLE regress_checks_auditor;
SELECT usher.grant_access('regress_checks_auditor', 'auditor');
SET ROLE regress_checks_auditor;
SELECT count(*) > 5 AS told FROM usher.last_self_check();
SELECT usher.run_self_check();
RESET ROLE;
SELECT usher.revoke_access('regress_checks_auditor', 'auditor');
DROP ROLE regress_checks_auditor;
SELECT usher.unregister_extension('regress_checks');
SELECT count(*) AS left_over FROM usher.self_checks WHERE registrant = 'regress_checks';
DELETE FROM usher.self_checks;
DROP SCHEMA regress_checks CASCADE;
