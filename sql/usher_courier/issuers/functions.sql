CREATE FUNCTION @extschema@._ask_for_issuer_keys() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._add_request('issuer_keys', 'GET', w.url, '{"accept": "application/json"}', '', NULL, NULL,
        jsonb_build_object('issuer', w.issuer), NULL, 1, '10 seconds', 262144)
    FROM usher.want_issuer_keys() AS w;
END
$$;
COMMENT ON FUNCTION @extschema@._ask_for_issuer_keys() IS
    'Requests the keys of outside issuers that core wants (usher.follow_token_issuer()).';

CREATE FUNCTION @extschema@._take_issuer_keys(request @extschema@.http_requests, answer jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    issuer CONSTANT text := request.context ->> 'issuer';
    failure CONSTANT text := CASE WHEN answer ->> 'error' IS NOT NULL THEN answer ->> 'error'
        WHEN (answer ->> 'status_code')::integer <> 200 THEN 'HTTP ' || (answer ->> 'status_code') END;
    next_url CONSTANT text := usher.take_issuer_document(issuer, answer ->> 'body',
                                                         answer -> 'headers' ->> 'cache-control', failure);
BEGIN
    UPDATE @extschema@.http_requests AS r
    SET status = 'completed', claimed_by = NULL, content = NULL, finished_at = clock_timestamp()
    WHERE r.id = request.id;
    IF next_url IS NOT NULL
       AND @extschema@._url_problem(next_url, @extschema@._allowed_networks()::text[]) IS NULL THEN
        PERFORM @extschema@._add_request('issuer_keys', 'GET', next_url, '{"accept": "application/json"}', '', NULL,
            NULL, jsonb_build_object('issuer', issuer), NULL, 1, '10 seconds', 262144);
    ELSIF next_url IS NOT NULL THEN
        PERFORM usher.take_issuer_document(issuer, NULL, error => 'its jwks_uri must not be asked');
    END IF;
    RETURN 'completed';
END
$$;
COMMENT ON FUNCTION @extschema@._take_issuer_keys(@extschema@.http_requests, jsonb) IS
    'Hands keys of an issuer to core, and asks for them where its discovery document says.';
