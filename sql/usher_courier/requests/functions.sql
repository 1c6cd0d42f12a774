CREATE FUNCTION @extschema@._seal_content(column_name text, request uuid, content text) RETURNS text
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_courier_seal_content';
COMMENT ON FUNCTION @extschema@._seal_content(text, uuid, text) IS
    'What a request holds, in the form in which http_requests keeps it.';

CREATE FUNCTION @extschema@._open_content(column_name text, request uuid, stored text) RETURNS text
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_courier_open_content';
COMMENT ON FUNCTION @extschema@._open_content(text, uuid, text) IS 'The reverse of _seal_content().';

CREATE FUNCTION @extschema@._url_problem(url text, allowed_networks text[]) RETURNS text
    LANGUAGE c IMMUTABLE
    AS 'MODULE_PATHNAME', 'usher_courier_url_problem';
COMMENT ON FUNCTION @extschema@._url_problem(text, text[]) IS
    'Why no request may go to a URL, as far as its text tells; NULL when it may. Names are looked at when they have '
    'been resolved, by the program that connects.';

CREATE FUNCTION @extschema@._call_request_handler(handler oid, request uuid, answer jsonb, seconds integer)
    RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_courier_call_request_handler';
COMMENT ON FUNCTION @extschema@._call_request_handler(oid, uuid, jsonb, integer) IS
    'Calls the handler of a request as its owner, with a limit of time.';

CREATE FUNCTION @extschema@._allowed_networks() RETURNS cidr[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(array_agg(trim(n)::cidr), '{}')
    FROM string_to_table(usher.setting('courier.allowed_networks'), ',') AS n WHERE trim(n) <> '';
END;
COMMENT ON FUNCTION @extschema@._allowed_networks() IS
    'Networks that requests may reach though they are not global (courier.allowed_networks).';

CREATE FUNCTION @extschema@._check_url(url text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem CONSTANT text := @extschema@._url_problem(url, @extschema@._allowed_networks()::text[]);
BEGIN
    IF problem IS NOT NULL THEN
        PERFORM usher.raise_error('url_refused', problem, '{"argument": "url"}');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_url(text) IS 'Raises UM002 when no request may go to a URL.';

CREATE FUNCTION @extschema@._add_request(purpose text, method text, url text, headers jsonb, body bytea,
                                         handler_schema name, handler_name name, context jsonb, ordering_key text,
                                         max_attempts integer, time_limit interval, max_bytes integer,
                                         webhook_id uuid DEFAULT NULL, event_id uuid DEFAULT NULL,
                                         event text DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_id CONSTANT uuid := usher.uuid_v7();
BEGIN
    INSERT INTO @extschema@.http_requests (id, purpose, webhook_id, event_id, event, method, url, content,
        handler_schema, handler_name, context, ordering_key, max_attempts, time_limit, max_bytes)
    VALUES (new_id, _add_request.purpose, _add_request.webhook_id, _add_request.event_id, _add_request.event,
            _add_request.method, _add_request.url,
            @extschema@._seal_content('content', new_id,
                jsonb_build_object('headers', headers, 'body', encode(body, 'hex'))::text),
            _add_request.handler_schema, _add_request.handler_name, _add_request.context, _add_request.ordering_key,
            _add_request.max_attempts, _add_request.time_limit, _add_request.max_bytes)
    ON CONFLICT DO NOTHING;
    PERFORM pg_notify('usher_courier', '');
    RETURN CASE WHEN FOUND THEN new_id END;
END
$$;
COMMENT ON FUNCTION @extschema@._add_request(text, text, text, jsonb, bytea, name, name, jsonb, text, integer,
                                             interval, integer, uuid, uuid, text) IS
    'Puts a request into the queue.';

CREATE FUNCTION @extschema@._enqueue_request(caller oid, url text, method text, headers jsonb, body text,
                                             handler oid, context jsonb, ordering_key text, max_attempts integer,
                                             time_limit interval, max_bytes integer) RETURNS uuid
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function_schema name;
    function_name name;
BEGIN
    PERFORM @extschema@._check_url(url);
    IF method IS NULL OR method NOT IN ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE') THEN
        PERFORM usher.raise_error('invalid_argument', 'method must be GET, HEAD, POST, PUT, PATCH or DELETE',
                                  '{"argument": "method"}');
    ELSIF headers IS NULL OR jsonb_typeof(headers) <> 'object' OR EXISTS (
            SELECT FROM jsonb_each(headers) AS h
            WHERE jsonb_typeof(h.value) <> 'string' OR h.key !~ '^[A-Za-z0-9!#$%&''*+.^_`|~-]{1,100}$'
                OR h.value #>> '{}' ~ '[\x01-\x08\x0a-\x1f\x7f]'
                OR lower(h.key) IN ('host', 'content-length', 'transfer-encoding', 'connection', 'expect', 'te',
                                    'upgrade', 'trailer', 'keep-alive', 'proxy-authorization')) THEN
        PERFORM usher.raise_error('invalid_argument', 'headers must be an object of header fields, each one line, '
                                  'without those that frame the request', '{"argument": "headers"}');
    ELSIF octet_length(body) > 1048576 THEN
        PERFORM usher.raise_error('invalid_argument', 'body must have at most 1048576 bytes',
                                  '{"argument": "body"}');
    ELSIF context IS NULL OR jsonb_typeof(context) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', 'context must be a JSON object', '{"argument": "context"}');
    ELSIF octet_length(ordering_key) NOT BETWEEN 1 AND 255 THEN
        PERFORM usher.raise_error('invalid_argument', 'ordering_key must have 1 to 255 bytes',
                                  '{"argument": "ordering_key"}');
    ELSIF max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 100 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_attempts must be 1 to 100',
                                  '{"argument": "max_attempts"}');
    ELSIF time_limit IS NULL OR time_limit NOT BETWEEN '1 second' AND '60 seconds' THEN
        PERFORM usher.raise_error('invalid_argument', 'time_limit must be between one second and one minute',
                                  '{"argument": "time_limit"}');
    ELSIF max_bytes IS NULL OR max_bytes NOT BETWEEN 0 AND 1048576 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_bytes must be 0 to 1048576',
                                  '{"argument": "max_bytes"}');
    END IF;
    IF handler IS NOT NULL THEN
        SELECT h.handler_schema, h.handler_name INTO function_schema, function_name
        FROM usher.require_handler(handler, 'request uuid, answer jsonb', caller) AS h;
    END IF;
    RETURN @extschema@._add_request('application', method, url, headers, convert_to(coalesce(body, ''), 'UTF8'),
        function_schema, function_name, context, 'application:' || ordering_key, max_attempts, time_limit,
        max_bytes);
END
$$;
COMMENT ON FUNCTION @extschema@._enqueue_request(oid, text, text, jsonb, text, oid, jsonb, text, integer, interval,
                                                 integer) IS 'What enqueue_http_request() does.';

CREATE FUNCTION @extschema@.enqueue_http_request(url text, method text DEFAULT 'GET', headers jsonb DEFAULT '{}',
                                                 body text DEFAULT NULL, handler regprocedure DEFAULT NULL,
                                                 context jsonb DEFAULT '{}', ordering_key text DEFAULT NULL,
                                                 max_attempts integer DEFAULT 5,
                                                 time_limit interval DEFAULT '10 seconds',
                                                 max_bytes integer DEFAULT 65536) RETURNS uuid
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_courier_enqueue_http_request';
COMMENT ON FUNCTION @extschema@.enqueue_http_request(text, text, jsonb, text, regprocedure, jsonb, text, integer,
                                                     interval, integer) IS
    'Sends an HTTP request after this transaction has committed, and returns its id. The handler, a function (request '
    'uuid, answer jsonb) that returns void, gets the answer: status_code, headers, body (body_base64 when it is not '
    'text), error when there was none, attempts, and the context. It runs as its owner, who must be the caller. '
    'Connections that fail and answers 408, 425, 429 and 5xx are tried again, later each time, max_attempts in all. '
    'No address that is not global is reached, unless courier.allowed_networks lists it; no redirect is followed. '
    'Raises UM002 for a URL that no request may go to.';

CREATE FUNCTION @extschema@._retry_at(attempts integer, retry_after interval) RETURNS timestamptz
    LANGUAGE sql VOLATILE
    RETURN clock_timestamp() + greatest(make_interval(secs => exp(least(10, attempts))), retry_after);
COMMENT ON FUNCTION @extschema@._retry_at(integer, interval) IS
    'When to try again, as events are: after 2.7 seconds, 7.4, 20 … and from the tenth attempt on six hours; not '
    'before the receiver has asked to.';

CREATE FUNCTION @extschema@._fail_request(request @extschema@.http_requests, reason text, detail text DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.http_requests AS r
    SET status = 'failed', claimed_by = NULL, error_code = left(concat_ws(' ', reason, detail), 300),
        finished_at = clock_timestamp()
    WHERE r.id = request.id;
    PERFORM usher.publish('http_request.failed', jsonb_build_object('id', request.id, 'purpose', request.purpose,
        'webhook_id', request.webhook_id, 'event_id', request.event_id, 'reason', left(reason, 100)),
        request.id::text);
END
$$;
COMMENT ON FUNCTION @extschema@._fail_request(@extschema@.http_requests, text, text) IS
    'A request has been tried often enough: it waits for retry_http_request(), and http_request.failed is published, '
    'with the reason and without the detail, which may say what not everybody is to read.';

CREATE FUNCTION @extschema@._check_sealing(request uuid, state text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- US101 itself, where the file of the master key is not there; and where none is set any more.
    IF @extschema@._seal_content('content', request, '') = '' AND state = 'US101' THEN
        PERFORM usher.raise_error('master_key_unavailable',
                                  'requests are sealed under a master key, but no key file is set');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_sealing(uuid, text) IS
    'Raises US101 when a request could not be opened (state) because no master key can be used: that is not the '
    'trouble of one request, and all wait until the key is put back.';

CREATE FUNCTION @extschema@._write_request(claimed @extschema@.http_requests, OUT url text, OUT headers jsonb,
                                           OUT body bytea, OUT failure text, OUT detail text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    content jsonb;
    signed_at CONSTANT bigint := extract(epoch FROM clock_timestamp())::bigint;
BEGIN
    content := @extschema@._open_content('content', claimed.id, claimed.content)::jsonb;
    url := claimed.url;
    headers := content -> 'headers';
    body := decode(content ->> 'body', 'hex');
    IF jsonb_typeof(headers) IS DISTINCT FROM 'object' OR body IS NULL THEN
        failure := 'content: none';
    ELSIF claimed.webhook_id IS NOT NULL THEN
        url := (SELECT w.url FROM @extschema@.webhooks AS w WHERE w.id = claimed.webhook_id);
        headers := headers || jsonb_build_object('webhook-id', claimed.event_id::text,
            'webhook-timestamp', signed_at::text, 'webhook-signature',
            @extschema@._sign_webhook(claimed.webhook_id, claimed.event_id::text, signed_at, body));
    END IF;
EXCEPTION WHEN OTHERS OR assert_failure THEN
    failure := CASE WHEN content IS NULL THEN 'content: ' ELSE 'signature: ' END || SQLSTATE;
    detail := SQLERRM;
END
$$;
COMMENT ON FUNCTION @extschema@._write_request(@extschema@.http_requests) IS
    'What a request says, of webhooks with the signatures of now; or why that cannot be told: it was sealed under '
    'another master key, say.';

CREATE FUNCTION @extschema@._run_request_handler(request @extschema@.http_requests) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given jsonb;
    handler oid;
    failure text;
    detail text;
BEGIN
    BEGIN
        given := @extschema@._open_content('answer', request.id, request.answer)::jsonb;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        failure := 'answer: ' || SQLSTATE;
        detail := SQLERRM;
    END;
    IF failure IS NOT NULL THEN
        PERFORM @extschema@._check_sealing(request.id, right(failure, 5));
        PERFORM @extschema@._fail_request(request, failure, detail);
        RETURN;
    END IF;
    SELECT p.oid INTO handler
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = request.handler_schema AND p.proname = request.handler_name
        AND p.proargtypes = '2950 3802'::oidvector AND p.prorettype = 'void'::regtype;
    IF handler IS NULL THEN
        failure := 'the handler does not exist';
    ELSE
        BEGIN
            PERFORM @extschema@._call_request_handler(handler, request.id, given || jsonb_build_object(
                        'context', request.context, 'attempts', request.attempts),
                        (SELECT s.setting::integer FROM pg_settings s WHERE s.name = 'usher.handler_timeout'));
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            failure := 'handler: ' || SQLSTATE;
            detail := SQLERRM;
        END;
    END IF;
    IF failure IS NULL THEN
        UPDATE @extschema@.http_requests AS r
        SET status = 'completed', error_code = given ->> 'error', content = NULL, answer = NULL,
            finished_at = clock_timestamp()
        WHERE r.id = request.id;
    ELSIF request.attempts < request.max_attempts THEN
        UPDATE @extschema@.http_requests AS r
        SET attempts = r.attempts + 1, error_code = left(concat_ws(' ', failure, detail), 300),
            next_attempt_at = @extschema@._retry_at(request.attempts, NULL)
        WHERE r.id = request.id;
    ELSE
        PERFORM @extschema@._fail_request(request, failure, detail);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._run_request_handler(@extschema@.http_requests) IS
    'Gives an answer to the handler of its request, and keeps it when that fails: the request is not sent again.';

CREATE FUNCTION @extschema@.run_request_handler() RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    request @extschema@.http_requests;
BEGIN
    PERFORM usher.actor_id(); -- as _check_claim() does
    SELECT r.* INTO request FROM @extschema@.http_requests AS r
    WHERE r.status = 'answered' AND r.next_attempt_at <= clock_timestamp()
    ORDER BY r.next_attempt_at, r.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM @extschema@._run_request_handler(request);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.run_request_handler() IS
    'Gives the answer that has waited longest to the handler of its request; false when none waits. What the handler '
    'does and that it is done commit together. One that fails, or takes longer than usher.handler_timeout, is called '
    'again later, until max_attempts of its request. For the access level courier.';

CREATE FUNCTION @extschema@.claim_requests(worker text, max_rows integer DEFAULT 10,
                                           lease interval DEFAULT '60 seconds')
    RETURNS TABLE (request uuid, attempt integer, method text, url text, headers jsonb, body bytea, timeout interval,
                   max_bytes integer, allowed_networks cidr[])
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
    given CONSTANT cidr[] := @extschema@._allowed_networks();
    claimed @extschema@.http_requests;
    written record;
BEGIN
    PERFORM @extschema@._check_claim(worker, max_rows, lease);
    PERFORM @extschema@._collect_webhook_events(100);
    PERFORM @extschema@._ask_for_issuer_keys();
    moment := clock_timestamp(); -- what was made just now is ready
    FOR claimed IN
        WITH next AS (
            SELECT r.id FROM @extschema@.http_requests AS r
            WHERE r.status IN ('pending', 'claimed') AND r.next_attempt_at <= moment
                AND (r.webhook_id IS NULL OR EXISTS (
                        SELECT FROM @extschema@.webhooks AS w WHERE w.id = r.webhook_id AND w.is_active))
                -- in order within a key: nothing while an earlier one is not done
                AND (r.ordering_key IS NULL OR NOT EXISTS (
                        SELECT FROM @extschema@.http_requests AS o
                        WHERE o.ordering_key = r.ordering_key AND o.status IN ('pending', 'claimed', 'answered')
                            AND o.id < r.id))
            ORDER BY r.next_attempt_at, r.id
            LIMIT claim_requests.max_rows FOR UPDATE SKIP LOCKED)
        UPDATE @extschema@.http_requests AS r
        SET attempts = r.attempts + 1, next_attempt_at = moment + claim_requests.lease,
            claimed_by = claim_requests.worker, status = 'claimed'
        FROM next WHERE r.id = next.id
        RETURNING r.*
    LOOP
        IF claimed.attempts > claimed.max_attempts THEN -- whoever claimed it last has never been heard of again
            PERFORM @extschema@._fail_request(claimed, 'claimed and not reported, too often');
            CONTINUE;
        END IF;
        SELECT w.* INTO written FROM @extschema@._write_request(claimed) AS w;
        IF written.failure IS NOT NULL THEN -- its trouble is not the others': they go
            PERFORM @extschema@._check_sealing(claimed.id, right(written.failure, 5));
            PERFORM @extschema@._fail_request(claimed, written.failure, written.detail);
            CONTINUE;
        END IF;
        request := claimed.id;
        attempt := claimed.attempts;
        method := claimed.method;
        url := written.url;
        headers := written.headers;
        body := written.body;
        timeout := claimed.time_limit;
        max_bytes := claimed.max_bytes;
        allowed_networks := given;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.claim_requests(text, integer, interval) IS
    'Hands HTTP requests that are ready to a program that sends them, oldest first, those with one ordering key one '
    'after the other; webhooks are signed now. Each is to be reported with report_request() before the lease runs '
    'out; else it is handed out again. One that cannot be opened or signed fails for good. For the access level '
    'courier: they hold secrets.';

CREATE FUNCTION @extschema@.report_request(request uuid, attempt integer, status_code integer, headers jsonb,
                                           body bytea, error text DEFAULT NULL, retry_after interval DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    reported @extschema@.http_requests;
    -- an answer that is not worth another try is an answer, too
    is_final CONSTANT boolean := report_request.status_code IS NOT NULL
        AND report_request.status_code NOT IN (408, 425, 429) AND report_request.status_code < 500;
    is_good CONSTANT boolean := coalesce(report_request.status_code BETWEEN 200 AND 299, false);
    word CONSTANT text := left(coalesce(report_request.error, 'HTTP ' || report_request.status_code), 100);
    heard jsonb;
BEGIN
    PERFORM usher.actor_id(); -- as _check_claim() does
    SELECT r.* INTO reported FROM @extschema@.http_requests AS r
    WHERE r.id = report_request.request AND r.status = 'claimed' AND r.attempts = report_request.attempt
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF report_request.error = 'not_tried' THEN
        UPDATE @extschema@.http_requests AS r
        SET status = 'pending', claimed_by = NULL, attempts = r.attempts - 1, next_attempt_at = clock_timestamp()
        WHERE r.id = request;
        RETURN 'pending';
    END IF;
    UPDATE @extschema@.http_requests AS r
    SET status_code = report_request.status_code, error_code = CASE WHEN NOT is_good THEN word END
    WHERE r.id = reported.id;
    IF reported.webhook_id IS NOT NULL THEN
        RETURN @extschema@._report_webhook(reported, is_good, report_request.status_code, word, retry_after);
    ELSIF NOT is_final AND reported.attempts < reported.max_attempts
          AND coalesce(report_request.error, '') NOT IN ('address_refused', 'url_refused', 'header_refused') THEN
        UPDATE @extschema@.http_requests AS r
        SET status = 'pending', claimed_by = NULL,
            next_attempt_at = @extschema@._retry_at(reported.attempts, retry_after)
        WHERE r.id = reported.id;
        RETURN 'pending';
    END IF;
    heard := jsonb_strip_nulls(jsonb_build_object('status_code', report_request.status_code,
        'headers', report_request.headers, 'error', left(report_request.error, 100)));
    IF @extschema@._is_text(body) THEN
        heard := heard || jsonb_build_object('body', convert_from(body, 'UTF8'));
    ELSIF body IS NOT NULL THEN
        heard := heard || jsonb_build_object('body_base64', translate(encode(body, 'base64'), E'\n', ''));
    END IF;
    IF reported.purpose = 'issuer_keys' THEN
        RETURN @extschema@._take_issuer_keys(reported, heard);
    END IF;
    IF reported.handler_name IS NULL THEN
        UPDATE @extschema@.http_requests AS r
        SET status = 'completed', claimed_by = NULL, content = NULL, finished_at = clock_timestamp()
        WHERE r.id = reported.id;
        RETURN 'completed';
    END IF;
    -- The answer is safe before a function of somebody else is called, which may take its time.
    UPDATE @extschema@.http_requests AS r
    SET status = 'answered', claimed_by = NULL, answer = @extschema@._seal_content('answer', r.id, heard::text),
        next_attempt_at = clock_timestamp()
    WHERE r.id = reported.id;
    PERFORM pg_notify('usher_courier', '');
    RETURN 'answered';
END
$$;
COMMENT ON FUNCTION @extschema@.report_request(uuid, integer, integer, jsonb, bytea, text, interval) IS
    'Says what came of a request that was claimed: the answer, or a word for why there is none; not_tried gives the '
    'attempt back. The status of the request from then on, answered when run_request_handler() is to be called; NULL, '
    'and nothing is changed, when the attempt is over. For the access level courier.';

CREATE FUNCTION @extschema@._is_text(bytes bytea) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_courier_is_text';
COMMENT ON FUNCTION @extschema@._is_text(bytea) IS 'Whether bytes are UTF-8 that a text can hold.';

CREATE FUNCTION @extschema@.list_http_requests(only_status text DEFAULT NULL, only_webhook uuid DEFAULT NULL,
                                               after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (request_id uuid, purpose text, webhook_id uuid, event_id uuid, event text, method text, url text,
                   status text, attempts integer, next_attempt_at timestamptz, status_code integer, error text,
                   created_at timestamptz, finished_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('event:manage');
    PERFORM usher.check_max_rows(max_rows);
    IF only_status NOT IN ('pending', 'claimed', 'answered', 'completed', 'failed') THEN
        PERFORM usher.raise_error('invalid_argument',
            'only_status must be pending, claimed, answered, completed or failed', '{"argument": "only_status"}');
    END IF;
    RETURN QUERY
    SELECT r.id, r.purpose, r.webhook_id, r.event_id, r.event, r.method,
           coalesce((SELECT w.url FROM @extschema@.webhooks AS w WHERE w.id = r.webhook_id), r.url), r.status,
           r.attempts, r.next_attempt_at, r.status_code, r.error_code, r.created_at, r.finished_at
    FROM @extschema@.http_requests AS r
    WHERE (only_status IS NULL OR r.status = only_status) AND (only_webhook IS NULL OR r.webhook_id = only_webhook)
        AND (list_http_requests.after IS NULL OR r.id < list_http_requests.after)
    ORDER BY r.id DESC
    LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_http_requests(text, uuid, uuid, integer) IS
    'Requests that go out or went out, newest first, without what they say; by keyset: pass the last request_id as '
    'after. With status failed those that wait for retry_http_request(). Needs event:manage.';

CREATE FUNCTION @extschema@.retry_http_request(request_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('event:manage');
    UPDATE @extschema@.http_requests AS r
    SET status = CASE WHEN r.answer IS NULL THEN 'pending' ELSE 'answered' END, attempts = 0, finished_at = NULL,
        next_attempt_at = clock_timestamp()
    WHERE r.id = request_id AND r.content IS NOT NULL
        AND (r.status = 'failed' OR r.status = 'completed' AND r.webhook_id IS NOT NULL);
    IF FOUND THEN
        PERFORM usher.log_event('http_request.retried', '{}', 'notice', resource_type => 'http_request',
                                resource_id => request_id::text);
        PERFORM pg_notify('usher_courier', '');
        RETURN true;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@.retry_http_request(uuid) IS
    'Sends a request again that has failed, with all attempts before it, or a webhook that was sent. Where only the '
    'handler has failed, it is called again with the answer that there is. False when there is no such request. Needs '
    'event:manage.';

CREATE FUNCTION @extschema@._request_upkeep(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM @extschema@.http_requests AS r WHERE r.id IN (
        SELECT o.id FROM @extschema@.http_requests AS o
        WHERE o.finished_at < now() - make_interval(days => usher.setting('courier.request_retention')::integer)
        ORDER BY o.finished_at LIMIT max_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION @extschema@._request_upkeep(integer) IS 'Forgets requests that finished long ago.';
