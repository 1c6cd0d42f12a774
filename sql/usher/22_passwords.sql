-- Password hashes, and passwords that nobody may choose.

CREATE TABLE usher.password_blocklist (
    password text PRIMARY KEY CHECK (password = lower(password) AND length(password) BETWEEN 1 AND 1024),
    created_at timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON TABLE usher.password_blocklist FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.password_blocklist', '');
COMMENT ON TABLE usher.password_blocklist IS
    'Passwords that new passwords may not be equal to, in lower case, beside the built-in list of the commonest. Names of your product and town belong here, and lists of leaked passwords.';

CREATE FUNCTION usher.hash_password(password text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_hash_password';
REVOKE ALL ON FUNCTION usher.hash_password(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.hash_password(text) IS
    'A new hash of the password by usher.password_algorithm: Argon2id (PHC string) or bcrypt. The password is normalized (NFC) and at most 1,024 bytes long. The policy for passwords of users is not applied.';

CREATE FUNCTION usher.verify_password(password text, hash text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_verify_password';
REVOKE ALL ON FUNCTION usher.verify_password(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.verify_password(text, text) IS
    'Whether the password has this hash: argon2id, argon2i, bcrypt ($2a$ $2b$ $2y$), bcrypt-sha256, scrypt or PBKDF2 in PHC form, and the forms of Django. False for NULL; 22023 for a hash that is malformed or over the cost caps.';

CREATE FUNCTION usher.password_needs_rehash(hash text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_password_needs_rehash';
REVOKE ALL ON FUNCTION usher.password_needs_rehash(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.password_needs_rehash(text) IS
    'Whether the hash is of another kind, or weaker, than usher.hash_password() would make now.';
