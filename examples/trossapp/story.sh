#!/bin/sh
# The field service over HTTP, with curl: people come with tokens of their tenant at Auth0.
#
#     USHER_URL=http://127.0.0.1:8080 PSQL='./dev psql --system trossapp -qAt' sh examples/trossapp/story.sh
#
# PSQL reads the database as its superuser: it stands for the tenant, which gives out the tokens. The script stops at the first
# surprise.
set -eu

# ask METHOD PATH [BODY [TOKEN]]: the answer in $body, its status in $status
ask() {
    answer=$(curl -s -X "$1" "$USHER_URL$2" -w '\n%{http_code}' -H 'content-type: application/json' \
        ${4:+-H "authorization: Bearer $4"} ${3:+-d "$3"})
    status=$(printf '%s' "$answer" | tail -n 1)
    body=$(printf '%s' "$answer" | sed '$d')
}
# The first member of this name in the answer, wherever it stands.
member() { printf '%s' "$body" | grep -oE "\"$1\": ?(\"[^\"]*\"|[^],}]*)" | sed -n 1p | sed -E 's/^"[^"]*": ?"?//; s/"$//'; }
expect() { # WHAT GOT EXPECTED
    if [ "$2" != "$3" ]; then
        printf 'surprise: %s is "%s" instead of "%s"\n%s\n' "$1" "$2" "$3" "${body:-}" >&2
        exit 1
    fi
    echo "ok: $1"
}
at_auth0() { $PSQL -c "SELECT field.demo_token('auth0|$1')"; }

echo '--- who comes from Auth0'
cleo=$(at_auth0 cleo) ivan=$(at_auth0 ivan) dora=$(at_auth0 dora) tom=$(at_auth0 tom) tess=$(at_auth0 tess) mia=$(at_auth0 mia)
ask GET /auth/me '' "$cleo"
expect 'who am I' "$status $(member email)" '200 cleo@trossapp.example'
ask GET /auth/me '' "$(at_auth0 stranger)"
expect 'somebody whom only the tenant knows' "$status" 401
ask GET /auth/me '' "${cleo%????}AAAA"
expect 'a token that was changed' "$status" 401
ask GET /work-orders
expect 'work orders without a token' "$status" 401

echo '--- a client submits, a dispatcher assigns and schedules'
ask POST /work-orders '{"title": "The heating hums", "site": {"street": "3 Road"}}' "$cleo"
expect 'a service request' "$status $(member status)" '201 submitted'
order=$(member id)
ask POST /work-orders '{"description": "no title"}' "$cleo"
expect 'a request without a title' "$status $(member field)" '422 title'
ask GET /work-orders '' "$ivan"
expect 'another client does not see it' "$(printf '%s' "$body" | grep -c "$order" || true)" 0
technician=01900000-0000-7000-8000-0000000000c5
ask POST "/work-orders/$order/assign" '{"technician_id": "'$technician'"}' "$cleo"
expect 'assigning by the client' "$status" 403
ask POST "/work-orders/$order/assign" '{"technician_id": "01900000-0000-7000-8000-0000000000c1"}' "$dora"
expect 'a client as technician' "$status" 403
ask POST "/work-orders/$order/assign" '{"technician_id": "'$technician'"}' "$dora"
expect 'assigning' "$status $(member status)" '200 submitted'
# an hour of its own for each run: nobody is in two places
hours=$(($(date +%s) % 30000))
from=$(date -u -d "2030-01-07 09:00 UTC + $hours hours" '+%Y-%m-%d %H:%M+00')
to=$(date -u -d "2030-01-07 10:00 UTC + $hours hours" '+%Y-%m-%d %H:%M+00')
ask POST "/work-orders/$order/schedule" '{"during": "['"$from,$to"')"}' "$dora"
expect 'scheduling' "$status $(member status)" '200 scheduled'

echo '--- the technician works, the client accepts'
ask POST "/work-orders/$order/status" '{"to_status": "in_progress"}' "$tess"
expect 'another technician' "$status" 404
ask POST "/work-orders/$order/status" '{"to_status": "in_progress"}' "$tom"
expect 'start' "$status $(member status)" '200 in_progress'
ask POST "/work-orders/$order/status" '{"to_status": "closed"}' "$tom"
expect 'a jump' "$status $(member code)" '409 illegal_transition'
ask POST "/work-orders/$order/status" '{"to_status": "completed", "notes": "a screw was loose"}' "$tom"
expect 'completion' "$status $(member status)" '200 completed'
ask POST "/work-orders/$order/status" '{"to_status": "closed"}' "$cleo"
expect 'acceptance' "$status $(member status)" '200 closed'
ask GET "/audit/history?relation=field.work_orders&key=%22$order%22" '' "$mia"
expect 'what a manager reads of it' "$status" 200
ask GET "/audit/history?relation=field.work_orders&key=%22$order%22" '' "$tom"
expect 'what a technician does' "$status" 403

echo '--- an order is deleted, and comes back'
ask DELETE "/work-orders/$order" '' "$dora"
expect 'deleting by a dispatcher' "$status" 403
ask DELETE "/work-orders/$order" '' "$mia"
expect 'deleting by a manager' "$status" 200
ask GET '/work-orders?with_status=closed' '' "$cleo"
expect 'the list without it' "$(printf '%s' "$body" | grep -c "$order" || true)" 0
ask POST "/work-orders/$order/restore" '' "$mia"
expect 'restoring' "$status" 200
ask GET '/work-orders?with_status=closed' '' "$cleo"
expect 'the list with it' "$(printf '%s' "$body" | grep -c "$order")" 1

echo '--- somebody is deactivated, and comes back'
ask POST "/users/$technician/deactivate" '' "$dora"
expect 'by a dispatcher' "$status" 403
ask POST "/users/$technician/deactivate" '' "$mia"
expect 'by a manager' "$status" 204
ask GET /auth/me '' "$tom"
expect 'a token that was good a moment ago' "$status" 401
ask POST "/users/$technician/reactivate" '' "$mia"
expect 'back' "$status" 204
ask GET /auth/me '' "$tom"
expect 'and good again' "$status" 200
echo 'the whole story came out as it should'
