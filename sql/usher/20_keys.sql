-- Signing keys of access tokens. Private parts are readable by the extension's owner alone.

CREATE TABLE usher.signing_keys (
    kid text PRIMARY KEY,
    algorithm text NOT NULL CHECK (algorithm IN ('HS256', 'HS384', 'HS512', 'ES256', 'ES384', 'ES512', 'RS256', 'PS256', 'EdDSA')),
    private_key text NOT NULL,
    public_jwk jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    activates_at timestamptz NOT NULL,
    retires_at timestamptz,
    CHECK (retires_at > activates_at)
);
REVOKE ALL ON TABLE usher.signing_keys FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.signing_keys', '');
COMMENT ON TABLE usher.signing_keys IS
    'Keys that sign access tokens. The youngest active one signs; all verify until they retire. Holds secrets: no role but the owner may read it.';
COMMENT ON COLUMN usher.signing_keys.private_key IS 'PKCS#8 PEM, or for HMAC the secret in base64url; with usher.master_key_file sealed under that key.';
COMMENT ON COLUMN usher.signing_keys.public_jwk IS 'What usher.jwks() publishes; NULL for HMAC keys, which have no public part.';

CREATE TABLE usher.signing_keys_inval ();
REVOKE ALL ON TABLE usher.signing_keys_inval FROM PUBLIC;
COMMENT ON TABLE usher.signing_keys_inval IS 'Always empty: carries the news that usher.signing_keys has changed.';

CREATE TRIGGER signing_keys_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('signing_keys_inval');
ALTER TABLE usher.signing_keys ENABLE ALWAYS TRIGGER signing_keys_changed;
