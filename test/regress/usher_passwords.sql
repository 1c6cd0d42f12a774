-- Password functions: hashes, foreign hashes, settings, and every refusal once.
\set VERBOSITY terse
SET client_min_messages = warning;

-- Argon2id with the setting's cost, salted, and normalized.
SELECT usher.hash_password('wild tulip 4711') AS hash \gset
SELECT regexp_replace(:'hash', '\$[^$]*\$[^$]*$', '$salt$digest') AS form,
       usher.verify_password('wild tulip 4711', :'hash') AS "right",
       usher.verify_password('wild tulip 4712', :'hash') AS wrong,
       usher.verify_password('', :'hash') AS empty,
       usher.verify_password(NULL, :'hash') AS "null",
       usher.verify_password('wild tulip 4711', NULL) AS null_hash,
       usher.password_needs_rehash(:'hash') AS stale;
SELECT usher.hash_password('wild tulip 4711') <> :'hash' AS salted;
SELECT usher.verify_password(U&'Gru\0308n am Flu\00DF',
                             usher.hash_password(U&'Gr\00FCn am Flu\00DF')) AS same_after_nfc;

-- Weaker than the settings: to be replaced.
SET usher.argon2_iterations = 3;
SELECT usher.password_needs_rehash(:'hash') AS stale;
RESET usher.argon2_iterations;

-- bcrypt, which cuts nothing.
SET usher.password_algorithm = 'bcrypt';
SET usher.bcrypt_rounds = 10;
SELECT usher.password_needs_rehash(:'hash') AS stale;
SELECT usher.hash_password('wild tulip 4711') AS hash \gset
SELECT left(:'hash', 7) AS form, length(:'hash'), usher.verify_password('wild tulip 4711', :'hash') AS "right",
       usher.verify_password('wild tulip 4712', :'hash') AS wrong, usher.password_needs_rehash(:'hash') AS stale;
SELECT usher.hash_password(repeat('x', 73)) AS hash \gset
SELECT left(:'hash', 28) AS form, usher.verify_password(repeat('x', 73), :'hash') AS "right",
       usher.verify_password(repeat('x', 72), :'hash') AS cut;
SET usher.bcrypt_rounds = 9;
RESET usher.bcrypt_rounds;
RESET usher.password_algorithm;

-- Foreign hashes of one password each.
SELECT kind, usher.verify_password(password, hash) AS "right", usher.verify_password(password || '.', hash) AS wrong,
       usher.password_needs_rehash(hash) AS stale
FROM (VALUES
    ('argon2i', 'password', '$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8'),
    ('bcrypt 2a', 'U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
    ('bcrypt 2b', 'U*U', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
    ('bcrypt 2y', 'U*U', '$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
    ('django pbkdf2', 'password', 'pbkdf2_sha256$4096$salt$xeR41ZKIyEGqUw22hFxMjZYok6ABzk4RpJY4c6qYE0o='),
    ('django scrypt', 'password',
     'scrypt$NaCl$1024$8$16$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA=='),
    ('pbkdf2-sha256', 'password', '$pbkdf2-sha256$i=4096,l=32$c2FsdA$xeR41ZKIyEGqUw22hFxMjZYok6ABzk4RpJY4c6qYE0o'),
    ('scrypt', 'pleaseletmein',
     '$scrypt$ln=14,r=8,'
     'p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw')
) AS foreign_hashes(kind, password, hash)
ORDER BY kind;

-- Hashes of other systems, which hashed what was typed: decomposed letters verify as they were typed there, and until the
-- hash is replaced not as others would type them; composed ones in either form.
CREATE TEMP TABLE typed AS
    SELECT form, password, public.crypt(password, public.gen_salt('bf', 10)) AS hash
    FROM (VALUES ('decomposed', U&'correct horse cafe\0301'), ('composed', U&'correct horse caf\00E9')) AS forms (form, password);
SELECT h.form AS hashed, p.form AS typed, usher.verify_password(p.password, h.hash) AS "right",
       usher.verify_password(p.password || '.', h.hash) AS wrong
FROM typed h, typed p ORDER BY 1, 2;
SET usher.password_algorithm = 'bcrypt'; -- as strong as ours
SET usher.bcrypt_rounds = 10;
SELECT user_id AS cafe FROM usher.import_user('cafe@passwords.example', (SELECT hash FROM typed WHERE form = 'decomposed')) \gset
SELECT error FROM usher.login('cafe@passwords.example', (SELECT password FROM typed WHERE form = 'composed'));
SELECT error FROM usher.login('cafe@passwords.example', (SELECT password FROM typed WHERE form = 'decomposed'));
SELECT form, error FROM typed, usher.login('cafe@passwords.example', password) ORDER BY form;
RESET usher.bcrypt_rounds;
RESET usher.password_algorithm;

-- Nobody has the empty password, whatever was imported.
SELECT name, usher.verify_password('', hash) AS lets_in
FROM (VALUES ('bcrypt', public.crypt('', public.gen_salt('bf', 5))),
             ('django pbkdf2', 'pbkdf2_sha256$1$salt$' || encode(public.hmac(convert_to('salt', 'UTF8') || '\x00000001'::bytea, '', 'sha256'), 'base64'))
     ) AS empty (name, hash);
SELECT user_id AS empty FROM usher.import_user('empty@passwords.example', public.crypt('', public.gen_salt('bf', 5))) \gset
SELECT error FROM usher.login('empty@passwords.example', '');
SELECT failure_reason FROM usher.login_attempts WHERE user_id = :'empty';
SELECT usher.erase_user(:'cafe') IS NOT NULL, usher.erase_user(:'empty') IS NOT NULL;

-- Refusals.
SELECT usher.hash_password(NULL);
SELECT usher.hash_password('');
SELECT usher.hash_password(repeat('x', 1025));
SELECT length(usher.hash_password(repeat('x', 1024))) > 90 AS longest;
SELECT usher.verify_password(repeat('x', 1000000), :'hash') AS huge;
SELECT usher.verify_password('x', '');
SELECT usher.verify_password('x', 'plain text');
SELECT usher.verify_password('x', repeat('$', 1000000));
SELECT usher.verify_password(
    'x', '$argon2id$v=19$m=1048577,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8');
SELECT usher.verify_password('x', '$2b$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW');
SELECT usher.verify_password('x', '$scrypt$ln=18,r=8,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8');
SELECT usher.verify_password('x', '$pbkdf2-sha512$i=10000001$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8');
SELECT usher.verify_password('x', '$argon2id$v=19$m=256,t=2$c29tZXNhbHQ$iekC');
SELECT usher.password_needs_rehash(NULL);
SELECT usher.password_needs_rehash('$1$salt$digest');
SET usher.password_algorithm = 'md5';
\set VERBOSITY sqlstate
SELECT usher.hash_password(NULL);
SELECT usher.hash_password('');
SELECT usher.verify_password('x', 'plain text');
\set VERBOSITY terse

-- The blocklist takes lower case only; nobody but the owner and trusted roles can touch it.
INSERT INTO usher.password_blocklist (password) VALUES ('Upper Case');
CREATE ROLE regress_passwords_app;
SELECT usher.grant_access('regress_passwords_app', 'application');
SET ROLE regress_passwords_app;
SELECT usher.verify_password('U*U', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW') AS allowed;
SELECT count(*) FROM usher.password_blocklist;
SET usher.password_algorithm = 'bcrypt';
RESET ROLE;
SELECT usher.revoke_access('regress_passwords_app', 'application');
DROP ROLE regress_passwords_app;
