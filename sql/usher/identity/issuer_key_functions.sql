-- Keys of outside issuers that are fetched: core knows where they are and when they are due, and takes what somebody
-- who may reach the network brings (usher_courier).

CREATE FUNCTION usher.follow_token_issuer(issuer text, audiences text[] DEFAULT NULL, provider text DEFAULT NULL,
                                          keys_url text DEFAULT NULL, algorithms text[] DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    source_url CONSTANT text := coalesce(follow_token_issuer.keys_url,
        rtrim(follow_token_issuer.issuer, '/') || '/.well-known/openid-configuration');
BEGIN
    PERFORM usher.require_permission('key:manage');
    PERFORM usher._require_whole(); -- its tokens stand for whole users
    IF source_url IS NULL OR octet_length(source_url) > 2048 OR source_url !~ '^https?://[^[:space:][:cntrl:]]+$' THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'keys_url must be an http or https URL, or issuer one when there is none',
                                  '{"argument": "keys_url"}');
    END IF;
    IF NOT EXISTS (SELECT FROM usher.token_issuers i WHERE i.issuer = follow_token_issuer.issuer) THEN
        -- The checks of add_token_issuer(), with a key that nobody has: until its own come no token is accepted.
        PERFORM usher._check_token_issuer(ROW(follow_token_issuer.issuer, follow_token_issuer.provider,
            follow_token_issuer.audiences, coalesce(follow_token_issuer.algorithms, '{RS256,ES256}'),
            '{"keys": []}'::jsonb, true, NULL, now(), now())::usher.token_issuers, false);
        INSERT INTO usher.token_issuers (issuer, provider, audiences, algorithms, jwks)
        VALUES (follow_token_issuer.issuer, follow_token_issuer.provider, follow_token_issuer.audiences,
                coalesce(follow_token_issuer.algorithms, '{RS256,ES256}'), '{"keys": []}');
    ELSIF num_nonnulls(follow_token_issuer.audiences, follow_token_issuer.provider,
                       follow_token_issuer.algorithms) > 0 THEN
        PERFORM usher.update_token_issuer(follow_token_issuer.issuer, follow_token_issuer.audiences,
            provider => follow_token_issuer.provider, algorithms => follow_token_issuer.algorithms);
    END IF;
    INSERT INTO usher.issuer_key_sources AS s (issuer, url, is_discovery)
    VALUES (follow_token_issuer.issuer, source_url, follow_token_issuer.keys_url IS NULL)
    ON CONFLICT ON CONSTRAINT issuer_key_sources_pkey DO UPDATE
    SET url = EXCLUDED.url, is_discovery = EXCLUDED.is_discovery, keys_url = NULL, due_at = clock_timestamp(),
        asked_at = NULL, last_error = NULL;
    PERFORM usher.log_event('token_issuer.followed', jsonb_build_object('url', source_url), 'notice',
                            resource_type => 'token_issuer', resource_id => follow_token_issuer.issuer);
    PERFORM pg_notify('usher_courier', '');
END
$$;
REVOKE ALL ON FUNCTION usher.follow_token_issuer(text, text[], text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.follow_token_issuer(text, text[], text, text, text[]) IS
    'Accepts access tokens of an outside issuer, as add_token_issuer() does, with keys that are fetched and kept '
    'fresh: from keys_url, or from where its discovery document (OpenID Connect) says. usher_courier fetches them: '
    'at once, '
    'when Cache-Control says that they are old, and when a token has a key that nobody knows, at most every five '
    'minutes; where the library is not preloaded, every five minutes. An issuer that is there keeps '
    'what is not given. Needs key:manage.';

CREATE FUNCTION usher.unfollow_token_issuer(issuer text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('key:manage');
    PERFORM usher._require_whole();
    DELETE FROM usher.issuer_key_sources s WHERE s.issuer = unfollow_token_issuer.issuer;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM usher.log_event('token_issuer.unfollowed', '{}', 'notice', resource_type => 'token_issuer',
                            resource_id => unfollow_token_issuer.issuer);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION usher.unfollow_token_issuer(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.unfollow_token_issuer(text) IS
    'Keys of this issuer are fetched no longer; those that are there stay. False when they were not. Needs '
    'key:manage.';

CREATE FUNCTION usher.list_followed_issuers()
    RETURNS TABLE (issuer text, url text, is_discovery boolean, fetched_at timestamptz, due_at timestamptz,
                   asked_at timestamptz, last_error text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('key:manage');
    RETURN QUERY
        SELECT s.issuer, s.url, s.is_discovery, s.fetched_at, s.due_at, s.asked_at, s.last_error
        FROM usher.issuer_key_sources s
        ORDER BY s.issuer;
END
$$;
REVOKE ALL ON FUNCTION usher.list_followed_issuers() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_followed_issuers() IS
    'The issuers whose keys are fetched, when they were last, and what went wrong since. Needs key:manage.';

CREATE FUNCTION usher._unknown_key_seen_at(issuer text) RETURNS timestamptz
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_identity_unknown_key_seen_at';
REVOKE ALL ON FUNCTION usher._unknown_key_seen_at(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._unknown_key_seen_at(text) IS
    'When a token of the issuer last came with a key that nobody knows; NULL: never, or without preload.';

CREATE FUNCTION usher.want_issuer_keys(max_rows integer DEFAULT 10) RETURNS TABLE (issuer text, url text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    WITH next AS (
        SELECT s.issuer FROM usher.issuer_key_sources s JOIN usher.token_issuers i ON i.issuer = s.issuer
        WHERE i.is_active AND coalesce(s.asked_at < moment - interval '5 minutes', true)
            AND (s.due_at <= moment OR usher._unknown_key_seen_at(s.issuer) > coalesce(s.fetched_at, '-infinity')
                 -- Without preload nobody can say that a token came with an unknown key: verifying writes nothing.
                 OR NOT usher._is_preloaded() AND s.fetched_at < moment - interval '5 minutes')
        ORDER BY s.due_at LIMIT max_rows FOR UPDATE OF s SKIP LOCKED)
    UPDATE usher.issuer_key_sources s SET asked_at = moment
    FROM next WHERE s.issuer = next.issuer
    RETURNING s.issuer, s.url;
END
$$;
REVOKE ALL ON FUNCTION usher.want_issuer_keys(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.want_issuer_keys(integer) IS
    'Issuers whose keys are to be fetched now, and from where; no issuer twice in five minutes. Where the library is '
    'not preloaded, nobody can tell that a token has come with an unknown key, and each is asked every five minutes. '
    'For the feature that fetches them: what comes goes to take_issuer_document(). For the owner of the extension.';

CREATE FUNCTION usher.take_issuer_document(issuer text, document text, cache_control text DEFAULT NULL,
                                           error text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source usher.issuer_key_sources;
    known usher.token_issuers;
    content jsonb;
    failure text := take_issuer_document.error;
    fresh integer := substring(cache_control FROM '(?i)max-age=([0-9]{1,9})')::integer;
    next_url text;
BEGIN
    SELECT s.* INTO source FROM usher.issuer_key_sources s
    WHERE s.issuer = take_issuer_document.issuer FOR UPDATE;
    SELECT i.* INTO known FROM usher.token_issuers i WHERE i.issuer = take_issuer_document.issuer FOR UPDATE;
    IF source.issuer IS NULL OR known.issuer IS NULL THEN
        RETURN NULL; -- nobody follows it any more
    END IF;
    IF failure IS NULL THEN
        BEGIN
            content := document::jsonb;
            IF jsonb_typeof(content) IS DISTINCT FROM 'object' THEN
                failure := 'the answer is not a JSON object';
            ELSIF content ? 'keys' THEN
                content := jsonb_build_object('keys', content -> 'keys');
                PERFORM usher._count_issuer_keys(content, known.algorithms);
            ELSIF NOT source.is_discovery THEN
                failure := 'the answer is not a key set';
            ELSIF content ->> 'issuer' IS DISTINCT FROM known.issuer THEN
                failure := 'the discovery document is of another issuer'; -- OpenID Connect Discovery, section 4.3
            ELSIF coalesce(content ->> 'jwks_uri', '') !~ '^https?://[^[:space:][:cntrl:]]+$'
                  OR octet_length(content ->> 'jwks_uri') > 2048 THEN
                failure := 'the discovery document has no jwks_uri';
            ELSE
                next_url := content ->> 'jwks_uri';
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            failure := 'the keys cannot be used: ' || SQLERRM;
        END;
    END IF;
    IF next_url IS NOT NULL THEN
        UPDATE usher.issuer_key_sources s SET keys_url = next_url WHERE s.issuer = known.issuer;
        RETURN next_url;
    END IF;
    UPDATE usher.issuer_key_sources s
    SET last_error = left(failure, 300),
        fetched_at = CASE WHEN failure IS NULL THEN clock_timestamp() ELSE s.fetched_at END,
        due_at = clock_timestamp() + CASE WHEN failure IS NOT NULL THEN interval '10 minutes'
            ELSE make_interval(secs => least(greatest(coalesce(fresh, 3600), 300), 86400)) END
    WHERE s.issuer = known.issuer;
    IF failure IS NULL AND content IS DISTINCT FROM known.jwks THEN
        UPDATE usher.token_issuers i SET jwks = content, updated_at = now() WHERE i.issuer = known.issuer;
        PERFORM usher.log_event('token_issuer.keys_fetched',
            jsonb_build_object('keys', jsonb_path_query_array(content, '$.keys[*].kid')), 'notice',
            resource_type => 'token_issuer', resource_id => known.issuer);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher.take_issuer_document(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.take_issuer_document(text, text, text, text) IS
    'What came from where the keys of an issuer are, or why nothing did. Keys that can be used take the place of '
    'those before, and are fetched again when Cache-Control says so (between five minutes and a day; an hour '
    'without it). '
    'What cannot be used changes nothing, and is tried again in ten minutes. Returns where to ask next, when it was a '
    'discovery document. For the owner of the extension.';
