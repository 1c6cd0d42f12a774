# What a front-end developer expects of HTTP, through the gateway and the real dispatcher: pages of lists, conditional
# requests, idempotency keys, traces, methods, hostile JSON, OAuth.
use strict;
use warnings;
use JSON::PP;
use MIME::Base64;
use Test::More;
use UsherGateway;

my $node = start_usher_cluster('conventions');
my $admin = add_user($node, 'admin@example.com', 'admin');
add_user($node, "u$_\@example.com") for 1 .. 6;
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO gateway_test;
CREATE TABLE app.notes (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), text text NOT NULL, version int NOT NULL DEFAULT 1);
CREATE FUNCTION app.add_note(text text, OUT id uuid, OUT version int) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF add_note.text = 'slow' THEN PERFORM pg_sleep(1.5); END IF;
    IF add_note.text = 'refused' THEN PERFORM usher.raise_error('already_exists', 'refused'); END IF;
    INSERT INTO app.notes (text) VALUES (add_note.text) RETURNING notes.id, notes.version INTO add_note.id, add_note.version;
END $$;
CREATE FUNCTION app.get_note(note_id uuid) RETURNS app.notes LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ DECLARE found app.notes; BEGIN SELECT n.* INTO found FROM app.notes n WHERE n.id = note_id; RETURN found; END $$;
CREATE FUNCTION app.edit_note(note_id uuid, text text, expected_version int DEFAULT NULL, OUT version int) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE app.notes n SET text = edit_note.text, version = n.version + 1
    WHERE n.id = note_id AND n.version = coalesce(expected_version, n.version) RETURNING n.version INTO version;
    IF NOT FOUND THEN PERFORM usher.raise_error('stale_version', 'the note has changed'); END IF;
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO gateway_test;
SELECT usher.add_route('POST', '/notes', 'app.add_note(text)', success_status => 201);
SELECT usher.add_route('POST', '/strict-notes', 'app.add_note(text)', success_status => 201, options => '{"idempotency": "required", "deprecated_at": "2026-01-01T00:00:00Z", "sunset_at": "2027-01-01T00:00:00Z"}');
SELECT usher.add_route('GET', '/notes/{note_id}', 'app.get_note(uuid)', read_only => true);
SELECT usher.add_route('PUT', '/notes/{note_id}', 'app.edit_note(uuid,text,int)', options => '{"requires_if_match": true}');
SELECT usher.define_rate_limit('test.two', 'fixed_window', 2, '1 hour');
SELECT usher.add_route('GET', '/limited/{note_id}', 'app.get_note(uuid)', access => 'public', rate_limit => 'test.two');
SQL
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test');
my %admin = log_in($gateway, 'admin@example.com');
my %user = log_in($gateway, 'u1@example.com');
sub get { my ($path, %headers) = @_; return http($gateway, 'GET', $path, { headers => {%headers} }) }
sub count_notes { return $node->safe_psql('postgres', 'SELECT count(*) FROM app.notes') }

# --- pages
my ($path, %seen, $pages) = '/users?max_rows=3';
while ($path)
{
    my $answer = get($path, %admin);
    is($answer->{status}, 200, 'a page') or last;
    my $page = json_of($answer);
    cmp_ok(scalar @{ $page->{items} }, '<=', 3, '… of at most max_rows');
    $seen{ $_->{email} }++ for @{ $page->{items} };
    last if ++$pages > 5;
    my ($link) = ($answer->{headers}{link} // '') =~ /^<([^>]+)>; rel="next"$/;
    is(defined $link, defined $page->{next}, '… Link and next go together');
    like($link, qr/max_rows=3&cursor=\Q$page->{next}\E$/, '… and agree') if $link;
    $path = $link;
}
is_deeply([ sort { $a cmp $b } keys %seen ], [ 'admin@example.com', map { "u$_\@example.com" } 1 .. 6 ], 'all pages together have every user');
is((grep { $_ > 1 } values %seen), 0, '… once');
my $broken = get('/users?cursor=abc', %admin);
problem_is($broken, 422, 'invalid_arguments', 'a cursor that is none');
is(json_of($broken)->{errors}[0]{field}, 'cursor', '… says which field');

# --- conditional requests
my $answer = post_json($gateway, '/notes', { text => 'one' }, %user);
my $id = json_of($answer)->{id};
is($answer->{headers}{etag}, '"1"', 'ETag of the version');
$answer = get("/notes/$id", %user);
is($answer->{headers}{etag}, '"1"', '… and when it is read');
$answer = get("/notes/$id", %user, 'If-None-Match' => 'W/"7", "1"');
is_deeply([ $answer->{status}, $answer->{content} // '' ], [ 304, '' ], 'If-None-Match: 304');
sub put_note { my (%headers) = @_; return post_json($gateway, "/notes/$id", { text => 'two' }, method => 'PUT', %user, %headers) }
problem_is(put_note(), 428, 'precondition_required', 'a route that wants If-Match');
is(put_note('If-Match' => '"1"')->{status}, 200, 'If-Match with the right version');
problem_is(put_note('If-Match' => $_), 412, 'stale_version', "If-Match: $_") for '"1"', 'W/"2"', '"x"', '"02"', '"1", "x"';
problem_is(put_note('If-Match' => $_), 400, 'malformed_request', "If-Match: $_") for '2', '"1" "2"';
is(put_note('If-Match' => '"1", "2"')->{status}, 200, 'a list with the right version in it');
problem_is(put_note('If-None-Match' => '*'), 412, 'stale_version', 'If-None-Match: * where there is a row');
is(put_note('If-Match' => '*')->{status}, 200, 'If-Match: *');
problem_is(post_json($gateway, '/notes', { text => 'x' }, %user, 'If-Match' => '"1"'), 412, 'stale_version', 'If-Match where there is no version');
$answer = get('/openapi.json');
like($answer->{headers}{'cache-control'}, qr/max-age/, 'a route whose answers may be kept');
is(get('/openapi.json', 'If-None-Match' => $answer->{headers}{etag})->{status}, 304, '… has a tag by its content');

# --- idempotency
my $before = count_notes();
my $first = post_json($gateway, '/notes', { text => 'once' }, %user, 'Idempotency-Key' => 'key-1');
my $again = post_json($gateway, '/notes', { text => 'once' }, %user, 'Idempotency-Key' => 'key-1');
is_deeply([ $first->{status}, $again->{status}, $again->{content} ], [ 201, 201, $first->{content} ], 'the same key: the same answer');
is($again->{headers}{'idempotency-replayed'}, 'true', '… and says so');
is(count_notes(), $before + 1, '… done once');
problem_is(post_json($gateway, '/notes', { text => 'other' }, %user, 'Idempotency-Key' => 'key-1'), 422, 'idempotency_mismatch', 'the same key with another request');
is(post_json($gateway, '/notes', { text => 'once' }, %admin, 'Idempotency-Key' => 'key-1')->{headers}{'idempotency-replayed'}, undef, 'another user has keys of their own');
problem_is(post_json($gateway, '/notes', { text => 'x' }, %user, 'Idempotency-Key' => $_), 400, 'malformed_request', 'a key that is none') for 'x' x 256, 'a b';
$answer = post_json($gateway, '/strict-notes', { text => 'x' }, %user);
problem_is($answer, 400, 'idempotency_key_required', 'a route that wants a key');
is($answer->{headers}{deprecation}, '@1767225600', 'Deprecation');
is($answer->{headers}{sunset}, 'Fri, 01 Jan 2027 00:00:00 GMT', 'Sunset');
is(post_json($gateway, '/notes', { text => 'refused' }, %user, 'Idempotency-Key' => 'key-2')->{status}, 409, 'a refusal') for 1 .. 2;
is($node->safe_psql('postgres', 'SELECT count(*) FROM usher.idempotent_answers'), 2, '… is not kept');
my $slow_body = encode_json({ text => 'slow' });
my $slow = connect_to($gateway);
syswrite($slow, "POST /notes HTTP/1.1\r\nHost: a\r\nAuthorization: $user{Authorization}\r\nIdempotency-Key: key-3\r\nContent-Type: application/json\r\nContent-Length: "
      . length($slow_body) . "\r\nConnection: close\r\n\r\n$slow_body");
wait_for(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1 }, 'a request is being answered');
$answer = post_json($gateway, '/notes', { text => 'slow' }, %user, 'Idempotency-Key' => 'key-3');
problem_is($answer, 409, 'idempotency_in_progress', 'the same key meanwhile');
is($answer->{headers}{'retry-after'}, 1, '… Retry-After');
my ($slow_answer) = parse_answers(scalar raw($gateway, '', socket => $slow));
is($slow_answer->{status}, 201, '… and the first one is done');
is(post_json($gateway, '/notes', { text => 'slow' }, %user, 'Idempotency-Key' => 'key-3')->{content}, $slow_answer->{body}, '… whose answer comes again');
unlike($node->safe_psql('postgres', 'SELECT string_agg(a::text, \'\') FROM usher.idempotent_answers a'), qr/key-1/, 'keys are not stored as they are');

# --- rate limits
$answer = get("/limited/$id");
is_deeply([ @{ $answer->{headers} }{qw(ratelimit-policy)}, $answer->{headers}{ratelimit} =~ /^"test\.two";r=1;t=\d+$/ ? 1 : 0 ], [ '"test.two";q=2;w=3600', 1 ], 'rate limit headers');
get("/limited/$id");
$answer = get("/limited/$id");
problem_is($answer, 429, 'rate_limited', 'one too many');
like($answer->{headers}{'retry-after'}, qr/^\d+$/, '… Retry-After');

# --- methods, paths, traces
my ($head) = parse_answers(scalar raw($gateway, "HEAD /notes/$id HTTP/1.1\r\nHost: a\r\nAuthorization: $user{Authorization}\r\nConnection: close\r\n\r\n"), 1);
is_deeply([ $head->{status}, $head->{headers}{'content-length'}[0], $head->{body} ], [ 200, length(get("/notes/$id", %user)->{content}), '' ], 'HEAD: as GET, without the body');
is(get("/notes/$id/", %user)->{status}, 200, 'a slash at the end makes no difference');
is(get('/users/' . ($admin =~ s/-/%2D/gr), %admin)->{status}, 200, 'a path is percent-decoded');
is(get('/notes/%2525', %user)->{status}, 422, '… once');
$answer = http($gateway, 'PATCH', "/notes/$id", { headers => { %user, 'Content-Type' => 'application/json' }, content => '{}' });
problem_is($answer, 405, 'method_not_allowed', 'a method that the path does not have');
is($answer->{headers}{allow}, 'GET, HEAD, OPTIONS, PUT', '… Allow');
$answer = get("/notes/$id", %user, traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'X-Correlation-Id' => 'mine');
is($answer->{headers}{'x-correlation-id'}, '0af7651916cd43dd8448eb211c80319c', 'traceparent gives the correlation id');
ok(!exists $answer->{headers}{'usher-route'}, 'the route is not sent');
like(get("$gateway->{admin}/metrics")->{content}, qr/^usher_gateway_requests_total\{method="GET",route="\/notes\/\{note_id\}",status="200"\} [1-9]/m, '… but counted, by its template');

# --- JSON that means harm: a clear 4xx, nothing lost
for my $case ([ 'a key twice', '{"text":"a","text":"b"}' ], [ 'depth 10,000', '[' x 10000 ], [ 'depth 10,000 in a string of objects', '{"a":' x 10000 ], [ 'invalid UTF-8', "{\"text\":\"\xff\"}" ],
    [ 'U+0000', '{"text":"\u0000"}' ], [ '1e400', '{"text":1e400}' ], [ 'a lone surrogate', '{"text":"\ud800"}' ])
{
    problem_is(post_json($gateway, '/notes', $case->[1], %user), 400, 'malformed_request', $case->[0]);
}
problem_is(post_json($gateway, '/notes', '{"text":"' . 'x' x 2_000_000 . '"}', %user), 413, 'body_too_large', '2 MB');
my $session = json_of(post_json($gateway, '/auth/login', { identifier => 'u2@example.com', password => $UsherGateway::password })); # before hostile logins lock this network out
sub everything { return $node->safe_psql('postgres', "SELECT concat_ws(' ', (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM usher.users), (SELECT count(*) FROM usher.roles), (SELECT count(*) FROM app.notes))") }
$before = count_notes();
for my $evil (q{'; DROP TABLE app.notes; --}, q{$$); DELETE FROM usher.users; --}, q{\\'; CREATE TABLE app.x (); --})
{
    my $there = everything();
    (my $escaped = $evil) =~ s/([^a-z])/sprintf '%%%02x', ord $1/gei;
    my $quoted = encode_json([$evil]) =~ s/^\[|\]$//gr;
    my %places = (
        'the path' => get("/notes/$escaped", %user),
        'the query' => get("/users?only_status=$escaped&only_tier=$escaped", %admin),
        'the name of a parameter' => get("/users?$escaped=1", %admin),
        'a cursor' => get('/users?cursor=' . encode_base64(qq{["$escaped"]}, '') =~ tr{+/=}{-_}dr, %admin),
        'max_rows' => get("/users?max_rows=$escaped", %admin),
        'the name of a member' => post_json($gateway, '/notes', "{$quoted: 1}", %user),
        'a nested name' => post_json($gateway, '/auth/login', "{\"identifier\": \"a\", \"password\": \"b\", \"device\": {$quoted: $quoted}}"),
        'credentials of a login' => post_json($gateway, '/auth/login', { identifier => $evil, password => $evil }),
        'headers' => get("/notes/$id", %user, 'User-Agent' => $evil, 'X-Correlation-Id' => $evil, 'If-None-Match' => $evil, 'Idempotency-Key' => $evil, traceparent => $evil, 'Accept-Language' => $evil, $evil =~ tr/a-zA-Z//cdr => $evil),
        'If-Match' => put_note('If-Match' => qq{"$evil"}),
        'Idempotency-Key' => post_json($gateway, '/notes', '{"text": 5}', %user, 'Idempotency-Key' => $evil),
        'a token' => get('/auth/me', Authorization => "Bearer $evil"),
        'Basic' => post_json($gateway, '/oauth/token', 'grant_type=client_credentials', 'Content-Type' => 'application/x-www-form-urlencoded', Authorization => 'Basic ' . encode_base64("$evil:$evil", '')),
        'a form' => post_json($gateway, '/oauth/token', "grant_type=$escaped&refresh_token=$escaped&client_id=$escaped&scope=$escaped", 'Content-Type' => 'application/x-www-form-urlencoded'),
        'a cookie' => get('/auth/me', Cookie => "__Host-usher_access=$escaped"),
        'the media type' => post_json($gateway, '/notes', '{}', %user, 'Content-Type' => "application/json; charset=$evil"));
    like($places{$_}{status}, qr/^(200|4\d\d)$/, "SQL in $_") for sort keys %places;
    is(everything(), $there, "all of it was data: $evil");
    my $kept = post_json($gateway, '/notes', { text => $evil }, %user);
    is(json_of(get('/notes/' . json_of($kept)->{id}, %user))->{text}, $evil, '… and comes back as it was sent');
}
is(count_notes(), $before + 3, 'and only what was asked for was done');

# --- OAuth
sub form { my ($where, $content, %headers) = @_; return http($gateway, 'POST', "/oauth/$where", { headers => { 'Content-Type' => 'application/x-www-form-urlencoded', %headers }, content => $content }) }
my $meta = json_of(get('/.well-known/oauth-authorization-server'));
is($meta->{token_endpoint}, 'http://localhost:8080/oauth/token', 'metadata') or diag(explain($meta));
$answer = form('introspect', "token=$session->{access_token}", %admin);
is_deeply([ $answer->{status}, json_of($answer)->{active}, json_of($answer)->{username}, json_of($answer)->{token_type} ], [ 200, JSON::PP::true, 'u2@example.com', 'Bearer' ], 'introspection of an access token');
is(json_of(form('introspect', "token=$session->{refresh_token}", %admin))->{active}, JSON::PP::true, '… of a refresh token');
is(form('introspect', "token=$_", %admin)->{content}, '{"active":false}', '… of anything else: nothing but that') for 'abc', 'urt_' . 'A' x 70, "$session->{access_token}x";
is(form('introspect', "token=$session->{access_token}", %user)->{status}, 403, '… not for everybody');
is(form('introspect', "token=$session->{access_token}")->{status}, 401, '… not for anybody');
$answer = form('token', "grant_type=refresh_token&refresh_token=$session->{refresh_token}&unknown=1&scope=");
is($answer->{status}, 200, 'refresh at the token endpoint') or diag($answer->{content});
my $tokens = json_of($answer);
is_deeply([ @{ $answer->{headers} }{qw(cache-control pragma)} ], [ 'no-store', 'no-cache' ], '… not to be kept');
is($tokens->{token_type}, 'Bearer', '… token_type');
for my $case ([ 'grant_type=password&username=a&password=b', 400, 'unsupported_grant_type' ], [ 'grant_type=refresh_token', 400, 'invalid_request' ], [ 'refresh_token=x', 400, 'invalid_request' ],
    [ 'grant_type=refresh_token&refresh_token=x', 400, 'invalid_grant' ], [ 'grant_type=refresh_token&grant_type=refresh_token', 400, 'invalid_request' ],
    [ "grant_type=refresh_token&refresh_token=$tokens->{refresh_token}&scope=all", 400, 'invalid_scope' ])
{
    $answer = form('token', $case->[0]);
    is_deeply([ $answer->{status}, json_of($answer)->{error}, $answer->{headers}{'content-type'} ], [ @$case[ 1, 2 ], 'application/json' ], "token endpoint: $case->[0]") or diag($answer->{content});
}
is(json_of(post_json($gateway, '/oauth/token', { grant_type => 'refresh_token' }))->{error}, 'invalid_request', 'the token endpoint takes forms only');
$answer = form('revoke', "token=$tokens->{refresh_token}&token_type_hint=refresh_token");
is_deeply([ $answer->{status}, $answer->{content} // '' ], [ 200, '' ], 'revoke');
is(json_of(form('introspect', "token=$_", %admin))->{active}, JSON::PP::false, '… ends the tokens of the session') for @$tokens{qw(access_token refresh_token)};
is(get('/auth/me', Authorization => "Bearer $tokens->{access_token}")->{status}, 401, '… at once');
is(form('revoke', 'token=unknown')->{status}, 200, 'an unknown token is no error');
# client_credentials: an API key
my $key = json_of(post_json($gateway, '/auth/api-keys', { name => 'machine', permissions => ['user:manage'] }, %admin));
ok($key->{api_key}, 'an API key') or diag(explain($key));
my $basic = 'Basic ' . encode_base64("$key->{api_key_id}:$key->{api_key}", '');
for my $case ([ 'Basic', 'grant_type=client_credentials', Authorization => $basic ], [ 'in the body', "grant_type=client_credentials&client_id=$key->{api_key_id}&client_secret=$key->{api_key}" ])
{
    my ($name, $content, @headers) = @$case;
    $answer = form('token', $content, @headers);
    is_deeply([ $answer->{status}, json_of($answer)->{scope} ], [ 200, 'user:manage' ], "client_credentials, $name") or diag($answer->{content});
    is(get('/users?max_rows=1', Authorization => 'Bearer ' . json_of($answer)->{access_token})->{status}, 200, '… gives a token that works');
}
for my $case ([ 'a wrong key', Authorization => 'Basic ' . encode_base64("$key->{api_key_id}:uak_wrong", '') ], [ 'a wrong id', Authorization => 'Basic ' . encode_base64("x:$key->{api_key}", '') ], [ 'no base64', Authorization => 'Basic abc' ], [ 'nothing' ])
{
    my ($name, @headers) = @$case;
    $answer = form('token', 'grant_type=client_credentials', @headers);
    is_deeply([ $answer->{status}, json_of($answer)->{error}, $answer->{headers}{'www-authenticate'} ], [ 401, 'invalid_client', 'Basic realm="usher"' ], "client_credentials with $name") or diag($answer->{content});
}
is(json_of(form('token', 'grant_type=client_credentials&scope=role:manage', Authorization => $basic))->{error}, 'invalid_scope', 'more than the key may');
is(json_of(form('token', "grant_type=client_credentials&client_secret=$key->{api_key}", Authorization => $basic))->{error}, 'invalid_request', 'credentials given twice');
is(json_of(form('introspect', "token=$key->{api_key}", %admin))->{client_id}, $key->{api_key_id}, 'introspection of an API key');
is(form('revoke', "token=$key->{api_key}")->{status}, 200, 'revocation of an API key');
is(json_of(form('token', 'grant_type=client_credentials', Authorization => $basic))->{error}, 'invalid_client', '… it is of no use any more');
# --- the connections that are there already notice what is done to tables and functions
{
    my $json = sub { return json_of(get('/live?number=7', @_)) };
    $node->safe_psql('postgres', <<~'SQL');
        CREATE TABLE app.live (id int, name text);
        INSERT INTO app.live VALUES (7, 'seven');
        CREATE FUNCTION app.live(number int) RETURNS app.live LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS $$ DECLARE found app.live; BEGIN SELECT l.* INTO found FROM app.live l WHERE l.id = number; RETURN found; END $$;
        GRANT EXECUTE ON FUNCTION app.live(int) TO gateway_test;
        SELECT usher.add_route('GET', '/live', 'app.live(int)', access => 'public');
        SQL
    is_deeply($json->(), { id => 7, name => 'seven' }, 'a row of a table') for 1 .. 3;
    my %later = ('DROP COLUMN name' => { id => 7 }, 'ADD COLUMN color text DEFAULT \'red\'' => { id => 7, color => 'red' }, 'RENAME COLUMN color TO hue' => { id => 7, hue => 'red' });
    for my $change (sort { $b =~ /DROP/ <=> $a =~ /DROP/ || $a cmp $b } keys %later)
    {
        $node->safe_psql('postgres', "ALTER TABLE app.live $change");
        is_deeply($json->(), $later{$change}, $change);
    }
    $node->safe_psql('postgres', "CREATE FUNCTION app.live(number bigint DEFAULT 1) RETURNS text LANGUAGE sql AS 'SELECT NULL'; CREATE FUNCTION app.live(number int, other int DEFAULT 2) RETURNS text LANGUAGE sql AS 'SELECT NULL'");
    is_deeply($json->(), { id => 7, hue => 'red' }, 'overloads take nothing away');
    is(get('/live?number=8')->{status}, 404, 'a row that is not there');
    $node->safe_psql('postgres', 'DROP FUNCTION app.live(int)');
    is(get('/live?number=7')->{status}, 404, 'a function that is gone');
}
# --- a request of one leaves nothing to the next
{
    $node->safe_psql('postgres', <<~'SQL');
        CREATE FUNCTION app.leave() RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config('TimeZone', 'Asia/Tokyo', false), set_config('statement_timeout', '1', false), pg_advisory_lock(42);
            CREATE TEMPORARY TABLE left_behind (a int);
            LISTEN left_behind;
            EXECUTE 'PREPARE left_behind AS SELECT 1';
            EXECUTE 'DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1';
            RETURN pg_backend_pid();
        END $$;
        CREATE FUNCTION app.found() RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('statement_timeout'),
            (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_class WHERE relname = 'left_behind'),
            (SELECT count(*) FROM pg_listening_channels()), (SELECT string_agg(name, ',') FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors WHERE is_holdable)) $$;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO gateway_test;
        SELECT usher.add_route('POST', '/leave', 'app.leave()', access => 'public'), usher.add_route('GET', '/found', 'app.found()', access => 'public');
        SQL
    my %pids;
    $pids{ json_of(post_json($gateway, '/leave', {}))->{result} // '' }++ for 1 .. 6;
    is_deeply([ sort values %pids ], [6], 'connections that something was left in are used again');
    is(json_of(get('/found'))->{result}, 'UTC 10s 0 0 0 usher_http_request 0', 'and nothing is left') for 1 .. 3;
}

is(stop_gateway($gateway), 0, 'stopped');
done_testing();
