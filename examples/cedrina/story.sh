#!/bin/sh
# The story of Cedrina over HTTP, with curl: an account, login by username, a tier and its limit, profile and preferences, sessions, a
# lost password, Casbin's rules, an OAuth profile, consents, export and erasure, the audit log; and what is refused.
#
#     USHER_URL=http://127.0.0.1:8080 PSQL='./dev psql --system cedrina' sh examples/cedrina/story.sh
#
# USHER_URL is the gateway; PSQL reads the database as a superuser, which is where the mail is. Stops at the first surprise.
set -eu

expect() { # WHAT GOT EXPECTED
    [ "$2" = "$3" ] || { printf 'surprise: %s is %s instead of %s\n' "$1" "$2" "$3" >&2; exit 1; }
    printf 'ok: %s\n' "$1"
}
sql() { $PSQL -XqAt -c "$1"; }
# call METHOD PATH [JSON]: with $token, if there is one; the body is in $body, its status in $status
token=
call() {
    set -- "$1" "$2" "${3:-}"
    answer=$(curl -s -X "$1" "$USHER_URL$2" -w '\n%{http_code}' -H 'user-agent: cedrina/1.0' \
        ${token:+-H "authorization: Bearer $token"} ${3:+-H 'content-type: application/json' -d "$3"})
    status=${answer##*
}
    body=${answer%
*}
}
# The member of the body with this name: a text, a number or a truth.
member() { printf '%s' "$body" | sed -n 's/.*"'"$1"'": *"\{0,1\}\([^",}]*\).*/\1/p' | head -n 1; }
refused() { # WHAT STATUS CODE: what the last call answered
    expect "$1" "$status $(member code)" "$2 $3"
}
login() { # USERNAME PASSWORD: sets token, refresh
    call POST /auth/login "{\"identifier\": \"$1\", \"password\": \"$2\", \"device\": {\"name\": \"shell\", \"security_context\": {\"risk\": \"low\"}}}"
    token=$(member access_token)
    refresh=$(member refresh_token)
}

name=w$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
email=$name@example.com

echo '--- an account; the address is proved by the link in the mail'
call POST /auth/register "{\"email\": \"$email\", \"password\": \"short\", \"username\": \"$name\"}"
refused 'a short password' 422 password_too_short
call POST /auth/register "{\"email\": \"$email\", \"password\": \"what a visitor remembers\", \"first_name\": \"Wim\", \"username\": \"$name\"}"
expect 'registration' "$status" 202
login "$name" 'what a visitor remembers'
refused 'login before that' 403 email_not_verified
mail=$(sql "SELECT payload ->> 'token' FROM usher.events WHERE event = 'user.email_verification_requested'
            AND payload ->> 'email' = '$email' ORDER BY id DESC LIMIT 1")
token=
call POST /auth/verify-email "{\"token\": \"$mail\", \"password\": \"what a visitor remembers\"}"
expect 'proof' "$status" 200

echo '--- login by username; profile and preferences'
login "$name" 'not what they remember'
refused 'a wrong password' 401 invalid_credentials
call GET /auth/me
refused 'nobody' 401 authentication_required
login "$name" 'what a visitor remembers'
expect 'login by username' "$status" 200
call GET /auth/me
expect 'tier and role of a new account' "$(member tier) $(member role)" 'FREE user'
me=$(member user_id)
call PATCH /auth/me '{"profile": {"bio": "I visit"}, "preferences": {"theme": "dark"}}'
expect 'profile and preferences' "$status" 200
call GET /auth/me
expect 'preferences' "$(member theme)" dark
call PUT "/users/$me/tier" '{"tier": "PREMIUM"}'
refused 'a tier for oneself' 403 not_permitted
call PUT "/users/$me/metadata" '{"metadata": {"vip": true}}'
refused 'metadata for oneself' 403 not_permitted
visitor=$token visitor_refresh=$refresh

echo '--- the tier and its limit'
for n in 1 2 3 4 5; do
    call GET /reports/daily
    expect "report no. $n" "$status $(member tier)" '200 FREE'
done
call GET /reports/daily
refused 'report no. 6' 429 rate_limited
login admin cedrina-admin-demo
admin=$token
call PUT "/users/$me/tier" '{"tier": "PREMIUM"}'
expect 'PREMIUM' "$status" 204
token=$visitor
call GET /reports/daily
expect 'a further report, at once' "$status $(member tier)" '200 PREMIUM'

echo '--- Casbin: by role and by attributes'
call POST /decisions '{"object": "/documents/7", "action": "PUT"}'
expect 'writing, without a rule' "$(member by_role)" false
call POST /policies "{\"ptype\": \"g\", \"v0\": \"$name\", \"v1\": \"editor\"}"
refused 'a rule for oneself' 403 not_permitted
token=$admin
call POST /policies "{\"ptype\": \"g\", \"v0\": \"$name\", \"v1\": \"editor\"}"
expect 'a rule by an administrator' "$status" 200
token=$visitor
call POST /decisions '{"object": "/documents/7", "action": "PUT"}'
expect 'writing, as an editor' "$(member by_role)" true
call POST /decisions "{\"object\": \"/documents/7\", \"action\": \"DELETE\", \"attributes\": {\"owner\": \"$name\"}}"
expect 'deleting one''s own' "$(member by_attributes)" true
call POST /decisions '{"object": "/documents/7", "action": "DELETE", "attributes": {"owner": "pat"}}'
expect 'deleting another' "$(member by_attributes)" false

echo '--- sessions, refresh, and a lost password'
token=
call POST /auth/refresh "{\"refresh_token\": \"$visitor_refresh\"}"
expect 'refresh' "$status" 200
visitor=$(member access_token)
token=$visitor
call GET /auth/sessions
expect 'the session' "$(member name) $(member user_agent)" 'shell cedrina/1.0'
call GET "/users/01900000-0000-7000-8000-0000000000a1/sessions"
refused 'sessions of others' 403 not_permitted
expect 'what the application knows of the risk' \
    "$(sql "SELECT DISTINCT security_context ->> 'risk' FROM cedrina.sessions WHERE user_id = '$me'")" low
token=
call POST /auth/password/forgot "{\"email\": \"$email\"}"
known=$status
call POST /auth/password/forgot "{\"email\": \"nobody-$email\"}"
expect 'the same answer for everybody' "$status" "$known"
mail=$(sql "SELECT payload ->> 'token' FROM usher.events WHERE event = 'user.password_reset_requested' AND key = '$me' ORDER BY id DESC LIMIT 1")
call POST /auth/password/reset '{"token": "made-up", "new_password": "another one to remember"}'
refused 'a token that was made up' 401 invalid_token
call POST /auth/password/reset "{\"token\": \"$mail\", \"new_password\": \"another one to remember\"}"
expect 'the reset' "$status" 200
call POST /auth/password/reset "{\"token\": \"$mail\", \"new_password\": \"yet another to remember\"}"
refused 'the token again' 401 invalid_token
token=$visitor
call GET /auth/me
refused 'a session of before' 401 token_revoked
login "$name" 'another one to remember'
expect 'the new password' "$status" 200
visitor=$token

echo '--- an OAuth profile, as the callback of the provider writes it; its tokens are shown to nobody'
sql "INSERT INTO cedrina.oauth_profiles (user_id, provider, provider_user_id, access_token, user_info)
     VALUES ('$me', 'github', '$name', 'gho_accessmarker', '{\"login\": \"octo\"}')"
call GET "/users/$me/identities"
expect 'the profile' "$(member provider) $(member login)" 'github octo'
expect 'its token' "$(printf '%s' "$body" | grep -c accessmarker || true)" 0

echo '--- the audit log is for those who may read it'
call GET "/audit?actor_id=$me"
refused 'the log, for a user' 403 not_permitted
token=$admin
call GET "/audit?actor_id=$me&event_type=login.succeeded"
expect 'logins of the visitor' "$(printf '%s' "$body" | grep -o '"event_type": *"login.succeeded"' | grep -c .)" 2
expect 'their agent' "$(member user_agent)" cedrina/1.0
call GET '/audit/chain'
expect 'a log that nobody has changed' "$status $(printf '%s' "$body" | grep -c '"is_intact": *false' || true)" '200 0'

echo '--- consents, export, erasure'
token=$visitor
call POST /auth/consents '{"purpose": "newsletter", "document_version": "v1"}'
expect 'consent' "$status" 201
call DELETE /auth/consents/newsletter
expect 'withdrawn' "$status" 200
call GET "/users/$me/export"
expect 'the export' "$status $(printf '%s' "$body" | grep -c "$name") $(printf '%s' "$body" | grep -c '2b\$12' || true)" '200 1 0'
call GET /users/01900000-0000-7000-8000-0000000000a1/export
refused 'the export of somebody else' 403 not_permitted
call DELETE "/users/$me"
expect 'deleted' "$status" 204
call GET /auth/me
refused 'their session' 401 token_revoked
token=$admin
call POST "/users/$me/erase"
expect 'erased' "$status" 204
expect 'what is left of the account' "$(sql "SELECT status || ' ' || coalesce(username, 'nobody') FROM usher.users WHERE id = '$me'")" \
    'erased nobody'
call DELETE "/policies?ptype=g&v0=$name&v1=editor"
expect 'their rule' "$status" 200

echo 'the whole story came out as it should'
