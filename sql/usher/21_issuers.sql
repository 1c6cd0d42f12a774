-- Outside issuers whose tokens are accepted. Their key sets are stored: nothing is fetched from within the server.

CREATE TABLE usher.token_issuers (
    issuer text PRIMARY KEY CHECK (length(issuer) BETWEEN 1 AND 512),
    provider varchar(50) NOT NULL CHECK (provider <> ''),
    audiences text[] NOT NULL CHECK (cardinality(audiences) > 0 AND array_position(audiences, NULL) IS NULL AND array_position(audiences, '') IS NULL),
    algorithms text[] NOT NULL CHECK (cardinality(algorithms) > 0 AND algorithms <@ '{RS256,PS256,ES256,ES384,ES512,EdDSA}'),
    jwks jsonb NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON TABLE usher.token_issuers FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.token_issuers', '');
COMMENT ON TABLE usher.token_issuers IS
    'Outside issuers: a token of theirs stands for the user whom usher.identities ties to its subject. No algorithm with a shared secret is possible.';
COMMENT ON COLUMN usher.token_issuers.provider IS 'Under which name usher.identities knows the subjects of this issuer.';
COMMENT ON COLUMN usher.token_issuers.audiences IS 'One of these must be in the aud of a token.';
COMMENT ON COLUMN usher.token_issuers.jwks IS 'The issuer''s JSON Web Key Set (RFC 7517), public keys only.';

CREATE TABLE usher.token_issuers_inval ();
REVOKE ALL ON TABLE usher.token_issuers_inval FROM PUBLIC;
COMMENT ON TABLE usher.token_issuers_inval IS 'Always empty: carries the news that usher.token_issuers has changed.';

CREATE TRIGGER token_issuers_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.token_issuers
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('token_issuers_inval');
ALTER TABLE usher.token_issuers ENABLE ALWAYS TRIGGER token_issuers_changed;
