CREATE FUNCTION usher.hash_password(password text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_hash_password';
REVOKE ALL ON FUNCTION usher.hash_password(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.hash_password(text) IS
    'A new hash of the password by usher.password_algorithm: Argon2id (PHC string) or bcrypt. The password is '
    'normalized (NFC) and at most 1,024 bytes long. The policy for passwords of users is not applied.';

CREATE FUNCTION usher.verify_password(password text, hash text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_verify_password';
REVOKE ALL ON FUNCTION usher.verify_password(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.verify_password(text, text) IS
    'Whether the password has this hash: argon2id, argon2i, bcrypt ($2a$ $2b$ $2y$), bcrypt-sha256, scrypt or PBKDF2 '
    'in PHC form, and the forms of Django. False for NULL; 22023 for a hash that is malformed or over the cost caps.';

CREATE FUNCTION usher.password_needs_rehash(hash text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_password_needs_rehash';
REVOKE ALL ON FUNCTION usher.password_needs_rehash(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.password_needs_rehash(text) IS
    'Whether the hash is of another kind, or weaker, than usher.hash_password() would make now.';

CREATE FUNCTION usher._stand_in_hash(name text) RETURNS text
    LANGUAGE c STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_stand_in_hash';
REVOKE ALL ON FUNCTION usher._stand_in_hash(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._stand_in_hash(text) IS
    'For tests: the hash of some account that is evaluated for a name that has none, so that unknown names take the '
    'same times as known ones; NULL when there is none.';
