-- Administration of outside issuers (usher.token_issuers), and of the master key that secrets are sealed under.

CREATE FUNCTION usher._count_issuer_keys(jwks jsonb, algorithms text[]) RETURNS integer
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_count_issuer_keys';
REVOKE ALL ON FUNCTION usher._count_issuer_keys(jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._count_issuer_keys(jsonb, text[]) IS
    'How many keys of a key set can verify tokens with one of the algorithms. Raises 22023 for symmetric, private and '
    'damaged keys, and when there is none.';

CREATE FUNCTION usher._check_token_issuer(given usher.token_issuers, has_keys boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(length(given.issuer), 0) NOT BETWEEN 1 AND 512 THEN
        PERFORM usher.raise_error('invalid_argument', 'issuer must have 1 to 512 characters',
                                  '{"argument": "issuer"}');
    ELSIF given.issuer = usher._own_issuer() THEN
        PERFORM usher.raise_error('invalid_argument', 'issuer is our own (usher.token_issuer, usher.public_url)',
                                  '{"argument": "issuer"}');
    ELSIF coalesce(length(given.provider), 0) NOT BETWEEN 1 AND 50 THEN
        PERFORM usher.raise_error('invalid_argument', 'provider must have 1 to 50 characters',
                                  '{"argument": "provider"}');
    ELSIF coalesce(cardinality(given.audiences), 0) = 0 OR array_position(given.audiences, NULL) IS NOT NULL
          OR array_position(given.audiences, '') IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'audiences must name at least one audience, and no empty one',
                                  '{"argument": "audiences"}');
    ELSIF coalesce(cardinality(given.algorithms), 0) = 0 THEN
        PERFORM usher.raise_error('invalid_argument', 'algorithms must name at least one algorithm',
                                  '{"argument": "algorithms"}');
    ELSIF given.jwks IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'jwks must not be null', '{"argument": "jwks"}');
    END IF;
    IF has_keys THEN
        PERFORM usher._count_issuer_keys(given.jwks, given.algorithms);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_token_issuer(usher.token_issuers, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_token_issuer(usher.token_issuers, boolean) IS
    'Raises 22023, naming what is wrong with an issuer that is about to be stored. has_keys false: its keys are yet '
    'to come.';

CREATE FUNCTION usher.add_token_issuer(issuer text, audiences text[], jwks jsonb, provider text,
                                       algorithms text[] DEFAULT '{RS256,ES256}') RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM usher.require_permission('key:manage');
    PERFORM usher._require_whole(); -- its tokens stand for whole users
    PERFORM usher._check_token_issuer(
        ROW(issuer, provider, audiences, algorithms, jwks, true, NULL, now(), now())::usher.token_issuers);
    INSERT INTO usher.token_issuers (issuer, provider, audiences, algorithms, jwks)
    VALUES (issuer, provider, audiences, algorithms, jwks)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('already_exists', format('issuer "%s" already exists', issuer),
                                  jsonb_build_object('issuer', issuer));
    END IF;
    PERFORM usher.log_event('token_issuer.added', jsonb_build_object(
        'provider', provider, 'audiences', to_jsonb(audiences), 'algorithms', to_jsonb(algorithms)),
                            'notice', resource_type => 'token_issuer', resource_id => issuer);
END
$$;
REVOKE ALL ON FUNCTION usher.add_token_issuer(text, text[], jsonb, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.add_token_issuer(text, text[], jsonb, text, text[]) IS
    'Accepts access tokens of an outside issuer: iss must be this one, aud one of these audiences, and the signature '
    'from a key of this key set (RFC 7517) with one of these algorithms (RS256, PS256, ES256, ES384, ES512, EdDSA). A '
    'token then stands for the user whom link_identity() tied to its sub at this provider. Needs key:manage; 22023 '
    'for a key set that cannot be used, 23505 when the issuer is there.';

CREATE FUNCTION usher.update_token_issuer(issuer text, audiences text[] DEFAULT NULL, jwks jsonb DEFAULT NULL,
                                          provider text DEFAULT NULL, algorithms text[] DEFAULT NULL,
                                          is_active boolean DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed usher.token_issuers;
BEGIN
    PERFORM usher.require_permission('key:manage');
    PERFORM usher._require_whole(); -- its tokens stand for whole users
    SELECT * INTO changed FROM usher.token_issuers i WHERE i.issuer = update_token_issuer.issuer FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'issuer does not exist',
                                  jsonb_build_object('issuer', update_token_issuer.issuer));
    END IF;
    changed.audiences := coalesce(update_token_issuer.audiences, changed.audiences);
    changed.jwks := coalesce(update_token_issuer.jwks, changed.jwks);
    changed.provider := coalesce(update_token_issuer.provider, changed.provider);
    changed.algorithms := coalesce(update_token_issuer.algorithms, changed.algorithms);
    changed.is_active := coalesce(update_token_issuer.is_active, changed.is_active);
    PERFORM usher._check_token_issuer(changed);
    UPDATE usher.token_issuers i
    SET audiences = changed.audiences, jwks = changed.jwks, provider = changed.provider,
        algorithms = changed.algorithms, is_active = changed.is_active, updated_at = now()
    WHERE i.issuer = changed.issuer;
    PERFORM usher.log_event('token_issuer.changed',
                            jsonb_build_object('provider', changed.provider, 'audiences', to_jsonb(changed.audiences),
                                               'algorithms', to_jsonb(changed.algorithms),
                                               'is_active', changed.is_active,
                                               'keys_replaced', update_token_issuer.jwks IS NOT NULL),
                            'notice', resource_type => 'token_issuer', resource_id => changed.issuer);
END
$$;
REVOKE ALL ON FUNCTION usher.update_token_issuer(text, text[], jsonb, text, text[], boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.update_token_issuer(text, text[], jsonb, text, text[], boolean) IS
    'Changes what is given of an outside issuer: its key set when it has rotated its keys, say, or is_active to '
    'refuse its tokens for a while. Seen by every backend and standby at its next statement. Needs key:manage; US005 '
    'when there is no such issuer.';

CREATE FUNCTION usher.remove_token_issuer(issuer text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('key:manage');
    DELETE FROM usher.token_issuers i WHERE i.issuer = remove_token_issuer.issuer;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'issuer does not exist',
                                  jsonb_build_object('issuer', remove_token_issuer.issuer));
    END IF;
    PERFORM usher.log_event('token_issuer.removed', '{}', 'notice', resource_type => 'token_issuer',
                            resource_id => remove_token_issuer.issuer);
END
$$;
REVOKE ALL ON FUNCTION usher.remove_token_issuer(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.remove_token_issuer(text) IS
    'Tokens of this outside issuer are no longer accepted. The identities of its users stay. Needs key:manage; US005 '
    'when there is no such issuer.';

CREATE FUNCTION usher.list_token_issuers()
    RETURNS TABLE (issuer text, provider text, audiences text[], algorithms text[], jwks jsonb, is_active boolean,
                   created_at timestamptz, updated_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('key:manage');
    RETURN QUERY
        SELECT i.issuer, i.provider::text, i.audiences, i.algorithms, i.jwks, i.is_active, i.created_at, i.updated_at
          FROM usher.token_issuers i
         ORDER BY i.issuer;
END
$$;
REVOKE ALL ON FUNCTION usher.list_token_issuers() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_token_issuers() IS
    'The outside issuers whose tokens are accepted, or were. Needs key:manage.';

-- The master key.

CREATE FUNCTION usher._rewrap(stored text, context text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_rewrap';
REVOKE ALL ON FUNCTION usher._rewrap(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._rewrap(text, text) IS
    'A stored secret in the form that it should have now: sealed under the master key, or plain without one. NULL '
    'when it has that form already.';

CREATE FUNCTION usher._needs_wrapping(stored text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_needs_wrapping';
REVOKE ALL ON FUNCTION usher._needs_wrapping(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._needs_wrapping(text) IS 'Is a stored secret in another form than the settings ask for?';

CREATE FUNCTION usher._master_key_problem() RETURNS text
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_master_key_problem';
REVOKE ALL ON FUNCTION usher._master_key_problem() FROM PUBLIC;
COMMENT ON FUNCTION usher._master_key_problem() IS
    'What is wrong with the files of usher.master_key_file and usher.former_master_key_file; NULL when nothing is, or '
    'none is set.';

-- All secrets that are sealed: table, key, column, and what their context begins with
-- (extension/usher/identity/master_key.hpp). Extensions register theirs in personal_data; an application's own tables
-- are not written to by the owner of core.
CREATE FUNCTION usher._sealed_columns()
    RETURNS TABLE (schema_name name, table_name text, key_column text, secret_column text, context text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('usher'::name, 'signing_keys', 'kid', 'private_key', 'signing_key:'),
           ('usher', 'second_factors', 'id', 'secret', 'totp:'),
           ('usher', 'server_secrets', 'name', 'secret', 'server_secret:'),
           ('usher', 'identities', 'id', 'access_token', 'identity_access:'),
           ('usher', 'identities', 'id', 'refresh_token', 'identity_refresh:')
    UNION ALL
    SELECT usher._schema_of(c.registrant), c.table_name::text, 'id'::text AS key_column, c.column_name::text,
           c.table_name || '.' || c.column_name || ':'
    FROM usher.personal_columns AS c JOIN usher.extensions AS x ON x.name = c.registrant
    WHERE c.kind = 'sealed' AND x.extension IS NOT NULL;
END;
REVOKE ALL ON FUNCTION usher._sealed_columns() FROM PUBLIC;
COMMENT ON FUNCTION usher._sealed_columns() IS 'The columns whose secrets are sealed under the master key.';

CREATE FUNCTION usher.wrap_secrets() RETURNS TABLE (secrets text, wrapped bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sealed record;
BEGIN
    PERFORM usher.require_permission('key:manage');
    FOR sealed IN SELECT * FROM usher._sealed_columns() LOOP
        EXECUTE format('WITH again AS MATERIALIZED (
                            SELECT s.%2$I AS key, usher._rewrap(s.%3$I, %4$L || s.%2$I) AS stored
                            FROM %5$I.%1$I s
                            WHERE s.%3$I IS NOT NULL FOR UPDATE)
                        UPDATE %5$I.%1$I s
                        SET %3$I = again.stored
                        FROM again
                        WHERE s.%2$I = again.key AND again.stored IS NOT NULL',
                       sealed.table_name, sealed.key_column, sealed.secret_column, sealed.context,
                       sealed.schema_name);
        GET DIAGNOSTICS wrapped = ROW_COUNT;
        secrets := sealed.table_name;
        IF wrapped > 0 THEN
            PERFORM usher.log_event('secrets.wrapped',
                                    jsonb_build_object('secrets', secrets, 'wrapped', wrapped), 'notice');
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher.wrap_secrets() FROM PUBLIC;
COMMENT ON FUNCTION usher.wrap_secrets() IS
    'Brings all stored secrets into the form that the settings ask for: sealed under the key of '
    'usher.master_key_file, opened with that of usher.former_master_key_file where they were sealed under it; plain '
    'when no master key is set. Says how many of each kind changed; a second run changes none. Needs key:manage; '
    'US101 when a key file is not usable.';

CREATE FUNCTION usher._has_secrets_to_wrap() RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sealed record;
    found boolean;
BEGIN
    FOR sealed IN SELECT * FROM usher._sealed_columns() LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %3$I.%1$I s WHERE s.%2$I IS NOT NULL AND '
                       'usher._needs_wrapping(s.%2$I))',
                       sealed.table_name, sealed.secret_column, sealed.schema_name) INTO found;
        IF found THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher._has_secrets_to_wrap() FROM PUBLIC;
COMMENT ON FUNCTION usher._has_secrets_to_wrap() IS 'Would usher.wrap_secrets() change anything?';
