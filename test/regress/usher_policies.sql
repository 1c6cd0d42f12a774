-- Policy rules and models: what a Casbin user brings along must give the same answers here.
\set VERBOSITY terse
SET client_min_messages = warning;

-- RBAC, from a model file as it is
SELECT usher.define_model('regress_rbac', '
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
');
SELECT usher.add_policy('p', 'regress_alice', 'data1', 'read'), usher.add_policy('p', 'regress_bob', 'data2', 'write'),
       usher.add_policy('p', 'regress_data2_admin', 'data2', 'read'),
       usher.add_policy('p', 'regress_data2_admin', 'data2', 'write'),
       usher.add_policy('g', 'regress_alice', 'regress_data2_admin');
SELECT usher.add_policy('p', 'regress_alice', 'data1', 'read') AS again;
SELECT sub, obj, act, usher.enforce('regress_rbac', ARRAY['regress_' || sub, obj, act])
FROM unnest(ARRAY['alice', 'bob']) AS sub, unnest(ARRAY['data1', 'data2']) AS obj,
     unnest(ARRAY['read', 'write']) AS act
ORDER BY sub, obj, act;
SELECT rule_ptype, rule, is_active FROM usher.list_policies(v0 => 'regress_alice');
-- switched off, and on again: the row stays
SELECT usher.disable_policy('g', 'regress_alice', 'regress_data2_admin'),
       usher.disable_policy('g', 'regress_alice', 'regress_data2_admin') AS again,
       usher.disable_policy('g', 'regress_nobody') AS unknown,
       usher.enforce('regress_rbac', ARRAY['regress_alice', 'data2', 'read']);
SELECT rule_ptype, rule, is_active FROM usher.list_policies('g', 'regress_alice');
SELECT usher.add_policy('g', 'regress_alice', 'regress_data2_admin'),
       usher.enforce('regress_rbac', ARRAY['regress_alice', 'data2', 'read']);
SELECT usher.disable_policy('q', 'regress_alice');
SELECT usher.remove_policy('g', 'regress_alice', 'regress_data2_admin'),
       usher.remove_policy('g', 'regress_alice', 'regress_data2_admin') AS again,
       usher.enforce('regress_rbac', ARRAY['regress_alice', 'data2', 'read']);
SELECT usher.enforce('regress_rbac', NULL), usher.enforce(NULL, ARRAY['a']);

-- a model as JSON, with domains; patterns matched by the server's regular expressions
SELECT usher.define_model('regress_domains', '{"r": "sub, dom, obj, act", "p": "sub, dom, obj, act, eft",
    "g": "_, _, _",
    "e": "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
    "m": "g(r.sub, p.sub, r.dom) && r.dom == p.dom && keyMatch2(r.obj, p.obj) && regexMatch(r.act, p.act)"}');
SELECT usher.add_policy('p', 'regress_admin', 'north', '/bookings/:id', '^(GET|POST)$', 'allow'),
       usher.add_policy('p', 'regress_intern', 'north', '/bookings/13', '.*', 'deny'),
       usher.add_policy('g', 'regress_alice', 'regress_admin', 'north'),
       usher.add_policy('g', 'regress_alice', 'regress_intern', 'north');
SELECT dom, obj, act, usher.enforce('regress_domains', ARRAY['regress_alice', dom, obj, act])
FROM (VALUES ('north', '/bookings/12', 'GET'), ('north', '/bookings/12', 'DELETE'), ('north', '/bookings/13', 'GET'),
             ('north', '/bookings/12/x', 'GET'), ('south', '/bookings/12', 'GET')) AS q (dom, obj, act);

-- attributes of subject and object, in the matcher and in a row
SELECT usher.enforce('{"r": "sub, obj", "p": "sub", "e": "some(where (p.eft == allow))", "m": "r.sub.id == '
                     'r.obj.owner || r.sub.level >= 3"}',
                     ARRAY['{"id": "a", "level": 1}', obj])
                     FROM (VALUES ('{"owner": "a"}'), ('{"owner": "b"}'), ('{}')) AS q (obj);
SELECT usher.add_policy('p', 'r.sub.age > 18 && r.sub.age < 60', '/regress', 'read');
SELECT age, usher.enforce(E'r = sub, obj, act\np = rule, obj, act\ne = some(where (p.eft == allow))\nm = r.obj == '
                          'p.obj && r.act == p.act && eval(p.rule)',
                          ARRAY[format('{"age": %s}', age), '/regress', 'read']) FROM unnest(ARRAY[18, 19, 60]) AS age;
SELECT address, usher.enforce(E'r = ip\np = net\ne = some(where (p.eft == allow))\nm = ipMatch(r.ip, "192.0.2.0/24")',
                              ARRAY[address])
FROM unnest(ARRAY['192.0.2.7', '192.0.3.7', '::1', 'x']) AS address;

-- rules that are switched off, and again in force
UPDATE usher.policy_rules SET is_active = false WHERE v0 = 'regress_bob';
SELECT usher.enforce('regress_rbac', ARRAY['regress_bob', 'data2', 'write']);
SELECT usher.add_policy('p', 'regress_bob', 'data2', 'write'),
       usher.enforce('regress_rbac', ARRAY['regress_bob', 'data2', 'write']);

-- refusals
SELECT usher.enforce('regress_rbac', ARRAY['regress_alice', 'data1']);
SELECT usher.enforce('regress_rbac', ARRAY['regress_alice', 'data1', NULL]);
SELECT usher.enforce('no_such_model', ARRAY['a']);
SELECT usher.enforce('r = ', ARRAY['a']);
SELECT usher.define_model('regress_bad', E'r = sub\np = sub\ne = some(where (p.eft == allow))\nm = r.sub == p.obj');
SELECT usher.define_model('bad name', 'x'), usher.define_model(NULL, NULL);
SELECT usher.define_model('regress_bad', NULL);
SELECT usher.add_policy('x', 'a'), usher.add_policy('p', NULL);
SELECT usher.add_policy('p', repeat('x', 257));
SELECT usher.enforce(E'r = sub\np = sub\ne = some(where (p.eft == allow))\nm = regexMatch(r.sub, "(")', ARRAY['a']);
SELECT usher.enforce(E'r = sub\np = sub\ne = some(where (p.eft == allow))\nm = r.sub > 1', ARRAY['a']);
CREATE ROLE regress_policies;
SELECT usher.grant_access('regress_policies', 'application');
SET ROLE regress_policies;
SELECT usher.add_policy('p', 'regress_policies', 'data1', 'read');
SELECT usher.define_model('regress_x', 'x');
RESET ROLE;
SELECT usher.revoke_access('regress_policies');
DROP ROLE regress_policies;

-- Many rules: only those that can match are fetched, so the plan goes by index.
INSERT INTO usher.policy_rules (ptype, v0, v1, v2)
SELECT 'p', 'regress_group' || n / 10, 'data' || n, 'read' FROM generate_series(0, 10999) AS n;
INSERT INTO usher.policy_rules (ptype, v0, v1)
SELECT 'g', 'regress_user' || n, 'regress_group' || n / 10 FROM generate_series(0, 10999) AS n;
ANALYZE usher.policy_rules;
SELECT usher.enforce('regress_rbac', ARRAY['regress_user501', 'data505', 'read']),
       usher.enforce('regress_rbac', ARRAY['regress_user501', 'data515', 'read']);

DELETE FROM usher.policy_rules WHERE v0 LIKE 'regress%' OR v1 = '/regress';
SELECT usher.drop_model('regress_rbac'), usher.drop_model('regress_domains'),
       usher.drop_model('regress_domains') AS again;

-- A model as jsonb.
SELECT usher.define_model(
    'regress_jsonb', '{"r": "sub, obj", "p": "sub, obj", "e": "some(where (p.eft == allow))", "m": "r.sub == p.sub && '
                     'r.obj == p.obj"}'::jsonb);
BEGIN;
INSERT INTO usher.policy_rules (ptype, v0, v1) VALUES ('p', 'regress_json', 'data');
SELECT usher.enforce('regress_jsonb', ARRAY['regress_json', 'data']),
       usher.enforce('regress_jsonb', ARRAY['regress_json', 'other']),
       usher.enforce('{"r": "who", "p": "who", "e": "some(where (p.eft == allow))", "m": "r.who == p.who"}'::jsonb,
                     ARRAY['regress_json']), usher.enforce(NULL::jsonb, ARRAY['x']);
ROLLBACK;
SELECT usher.enforce('[]'::jsonb, ARRAY['x']);
SELECT usher.drop_model('regress_jsonb');

-- A policy file as Casbin has it.
SELECT usher.define_model(
    'regress_file', '{"r": "sub, obj, act", "p": "sub, obj, act", "g": "_, _", "e": "some(where (p.eft == allow))", '
                    '"m": "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act"}');
\set file '# policy.csv\np, regress_file_admin, data1, read\np, regress_file_admin,"data, too", write\n\ng, regress_file_alice, regress_file_admin\np, regress_file_admin, data1, read\n'
SELECT usher.load_policies(:'file'), usher.load_policies(:'file') AS again;
SELECT obj, act, usher.enforce('regress_file', ARRAY['regress_file_alice', obj, act])
FROM (VALUES ('data1', 'read'), ('data, too', 'write'), ('data1', 'write')) AS q (obj, act);
SELECT rule_ptype, rule, created_by = session_user AS by_me
FROM usher.list_policies(max_rows => 1000) WHERE rule[1] LIKE 'regress_file%';
SELECT event_type, event_data FROM usher.audit_logs WHERE event_type = 'access.policies_loaded' ORDER BY id;
\set VERBOSITY default
SELECT usher.load_policies(E'p, regress_file_bob, data1, read\np, "open');
\set VERBOSITY terse
SELECT usher.load_policies(NULL);
SELECT count(*) AS of_the_refused_file FROM usher.policy_rules WHERE v0 = 'regress_file_bob';
SET ROLE pg_read_all_data;
SELECT usher.load_policies('p, a, b');
RESET ROLE;
DELETE FROM usher.policy_rules WHERE v0 LIKE 'regress_file%';
SELECT usher.drop_model('regress_file');

-- Raw SQL leaves the same trace as the functions: every changed row, and who changed it.
BEGIN;
CREATE TEMP TABLE began ON COMMIT DROP AS SELECT clock_timestamp() AS at;
INSERT INTO usher.policy_rules (ptype, v0, v1, v2)
VALUES ('p', 'regress_raw', 'data', 'read'), ('p', 'regress_raw', 'data', 'write');
UPDATE usher.policy_rules SET is_active = false WHERE v0 = 'regress_raw' AND v2 = 'write';
DELETE FROM usher.policy_rules WHERE v0 = 'regress_raw' AND v2 = 'read';
INSERT INTO usher.policy_models (name, definition, updated_by) VALUES ('regress_raw', 'r = sub', 'me');
INSERT INTO usher.roles (name) VALUES ('regress_raw');
INSERT INTO usher.role_permissions (role_id, permission)
SELECT r.id, p.name FROM usher.roles r, usher.permissions p WHERE r.name = 'regress_raw' AND p.name = '*:*';
INSERT INTO usher.users (email, status) VALUES ('raw@policies.test', 'active');
INSERT INTO usher.user_roles (user_id, role_id)
SELECT u.id, r.id FROM usher.users u, usher.roles r WHERE u.email = 'raw@policies.test' AND r.name = 'regress_raw';
INSERT INTO usher.user_permissions (user_id, permission)
SELECT u.id, '*:*' FROM usher.users u WHERE u.email = 'raw@policies.test';
INSERT INTO usher.role_management (actor_role_id) SELECT r.id FROM usher.roles r WHERE r.name = 'regress_raw';
INSERT INTO usher.role_parents (role_id, parent_id)
SELECT r.id, p.id FROM usher.roles r, usher.roles p WHERE r.name = 'regress_raw' AND p.name = 'admin';
DELETE FROM usher.roles WHERE name = 'regress_raw'; -- and what hangs on it
SELECT resource_type, action, old_values ->> 'v2' AS old_v2, new_values ->> 'v2' AS new_v2,
       old_values ->> 'is_active' AS was_active, new_values ->> 'is_active' AS active,
       new_values ? 'updated_by' AS says_by_whom, database_user = session_user AS by_me
FROM usher.audit_logs, began WHERE created_at >= began.at AND resource_type ~ '^usher\.(polic|role|user_|permission)'
ORDER BY resource_type, statement_id, new_v2, old_v2;
ROLLBACK;

-- What would take the server down, or for ever: operators in a row, rules of somebody else, braces in braces
\set VERBOSITY sqlstate
SELECT E'r = sub\np = sub\ne = some(where (p.eft == allow))\nm = ' AS model \gset
SELECT usher.enforce(:'model' || '1 == 1' || repeat('+1', 30000), ARRAY['x']);
SELECT usher.enforce(:'model' || '1' || repeat('==1', 21000), ARRAY['x']);
SELECT rule, usher.enforce(:'model' || 'eval(r.sub)', ARRAY[rule]) FROM unnest(ARRAY['1 == 1', '1 == 2']) AS rule;
SELECT usher.enforce(:'model' || 'eval(r.sub)', ARRAY['keyMatch()']);
SELECT usher.enforce(:'model' || 'eval(r.sub)', ARRAY['eval()']);
SELECT usher.enforce(:'model' || 'eval(r.sub)', ARRAY['keyMatch("a")']);
SELECT usher.enforce(:'model' || 'globMatch("a", r.sub)', ARRAY[repeat('{,}', 30000)]);
SELECT usher.enforce(:'model' || 'globMatch("a", r.sub)', ARRAY[repeat('{,}', 1000)]);
SET statement_timeout = '5s'; -- it would take minutes, without a bound
SELECT usher.enforce(:'model' || 'globMatch(r.sub, "' || repeat('{**/a*b,**/b*a}/', 9) || repeat('**/*a/', 500)
                         || 'x")', ARRAY[repeat('aa/', 20000)]);
RESET statement_timeout;
\set VERBOSITY terse
