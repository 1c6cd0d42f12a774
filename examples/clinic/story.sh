#!/bin/sh
# The story of the clinic over HTTP: from registration to an earned reward, with curl. Each step checks what it got.
#
#     USHER_URL=http://127.0.0.1:8080 PSQL='./dev psql --system clinic -XqAt' sh examples/clinic/story.sh
#
# PSQL reads the database as its superuser, for the mail that the outbox holds and for events that the background
# worker would handle in a moment. May run again: there are new people each time, and a branch of the practice of their own.
set -eu
: "${USHER_URL:?}" "${PSQL:?}"

fail() { printf 'surprise: %s\n' "$*" >&2; exit 1; }
expect() { # WHAT GOT EXPECTED
    [ "$2" = "$3" ] || fail "$1 is \"$2\" instead of \"$3\""
    echo "ok: $1"
}
body=$(mktemp)
trap 'rm -f "$body"' EXIT

# Sends a request as whoever has the token, and leaves its status in $status and its body in $body.
send() { # TOKEN METHOD PATH [JSON]
    set -- "$1" "$2" "$3" "${4:-}"
    if [ -n "$4" ]; then
        status=$(curl -sS -o "$body" -w '%{http_code}' -X "$2" ${1:+-H "Authorization: Bearer $1"} \
            -H 'Content-Type: application/json' -d "$4" "$USHER_URL$3")
    else
        status=$(curl -sS -o "$body" -w '%{http_code}' -X "$2" ${1:+-H "Authorization: Bearer $1"} "$USHER_URL$3")
    fi
}
# The first member of that name in the body, wherever it stands.
field() {
    grep -o "\"$1\": *\(\"[^\"]*\"\|[^,}\"]*\)" "$body" | sed -e "1!d" -e "s/^[^:]*: *//" -e "s/^\"//" -e "s/\"$//"
}
done_or_fail() { # WHAT STATUS
    [ "$status" = "$2" ] || fail "$1: $status $(cat "$body")"
    echo "ok: $1"
}
refused() { # WHAT STATUS CODE
    expect "$1" "$status $(field code)" "$2 $3"
}
login() { # E-MAIL PASSWORD; leaves the token in $token
    send '' POST /auth/login "{\"identifier\": \"$1\", \"password\": \"$2\"}"
    [ "$status" = 200 ] || fail "login of $1: $status $(cat "$body")"
    token=$(field access_token)
}
join_clinic() { # NAME; leaves id and token in $id and $token
    send '' POST /auth/register "{\"email\": \"$1-$run@example.com\", \"password\": \"a long password of $1\",
        \"first_name\": \"$1\"}"
    done_or_fail "$1 opens an account" 202
    mail=$($PSQL -c "SELECT payload ->> 'token' FROM usher.events WHERE event = 'user.email_verification_requested'
        AND payload ->> 'email' = '$1-$run@example.com' ORDER BY id DESC LIMIT 1")
    send '' POST /auth/verify-email "{\"token\": \"$mail\", \"password\": \"a long password of $1\"}"
    done_or_fail "$1 proves the address" 200
    login "$1-$run@example.com" "a long password of $1"
    send "$token" GET /auth/me
    expect "the role of $1" "$(field role)" customer
    id=$(field user_id)
}
later() { # HOW MUCH; as JSON has it
    $PSQL -c "SELECT to_char((now() + interval '$1') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
}
let_events_happen() {
    i=0
    until [ "$($PSQL -c 'SELECT usher.run_event_handlers(1000)' -c "SELECT coalesce(sum(pending), 0)
        FROM usher.list_subscriptions() WHERE handler IS NOT NULL AND mode = 'async'" | tail -n 1)" = 0 ]; do
        i=$((i + 1))
        [ $i -lt 300 ] || fail 'events still wait'
        sleep 0.1
    done
}

run=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
therapy=c2000000-0000-7000-8000-000000000001
doctor=c0000000-0000-7000-8000-000000000003
bandage=c3000000-0000-7000-8000-000000000002
desk=c0000000-0000-7000-8000-000000000004
# The zone where it is between noon and one o'clock: appointments arrive on their day, at any time of ours.
offset=$((12 - $(date -u +%H | sed 's/^0//')))
if [ $offset -gt 0 ]; then noon=Etc/GMT-$offset; else noon=Etc/GMT+$((-offset)); fi

echo '--- 1. people'
join_clinic vera; vera=$id vera_token=$token
join_clinic otto; otto=$id otto_token=$token
login admin healthy-admin-demo; admin_token=$token
login manager@clinic.example healthy-manager-demo; manager_token=$token
login doctor@clinic.example healthy-doctor-demo; doctor_token=$token
login desk@clinic.example healthy-desk-demo; desk_token=$token
send '' POST /auth/login '{"identifier": "admin", "password": "guessed"}'
refused 'a guessed password' 401 invalid_credentials
send "$vera_token" GET /users
refused 'the list of users, for a customer' 403 not_permitted
send '' GET /auth/me
expect 'nobody in particular' "$status" 401

echo '--- 2. a permission for a while, given by the administrator'
send "$manager_token" POST /roles '{"name": "boss"}'
refused 'a role made by the manager' 403 not_permitted
send "$admin_token" POST "/users/$otto/permissions" "{\"permission\": \"stock:read\",
    \"expires_at\": \"$(later '1 hour')\"}"
done_or_fail 'Otto may look into the stock for an hour' 204
send "$otto_token" GET "/stock?product_ids=$bandage"
expect 'and does' "$status $(field reserved)" '200 0'
send "$admin_token" DELETE "/users/$otto/permissions/stock:read"
done_or_fail 'not any longer' 200
send "$otto_token" GET "/stock?product_ids=$bandage"
refused 'so he does not' 403 not_permitted

echo '--- 3. a branch where it is noon, and its goods'
send "$vera_token" POST /locations '{"name": "x", "address": "x", "city": "x", "state": "x", "zip_code": "x"}'
refused 'a branch of a customer' 403 not_permitted
send "$admin_token" POST /locations "{\"name\": \"Branch $run\", \"address\": \"Rua do Sol 1\", \"city\": \"Lisboa\",
    \"state\": \"Lisboa\", \"zip_code\": \"1200-014\", \"country\": \"PT\", \"time_zone\": \"$noon\"}"
done_or_fail 'a branch' 201
branch=$(field id)
send "$admin_token" PUT "/locations/$branch/hours" \
    '{"weekdays": [1, 2, 3, 4, 5, 6, 7], "periods": [["00:00", "24:00"]]}'
done_or_fail 'which is always open' 200
send "$admin_token" PUT "/locations/$branch/services" "{\"service_ids\": [\"$therapy\"]}"
done_or_fail 'and offers therapy' 200
send "$admin_token" POST "/locations/$branch/staff" "{\"staff_id\": \"$doctor\", \"role\": \"staff\"}"
done_or_fail 'by the doctor' 201
send "$admin_token" POST "/locations/$branch/staff" "{\"staff_id\": \"$desk\", \"role\": \"staff\",
    \"bookable\": false}"
done_or_fail 'with a front desk' 201
send "$manager_token" POST /products "{\"sku\": \"soap-$run\", \"name\": \"Soap\", \"price_minor\": 600,
    \"currency\": \"EUR\", \"status\": \"active\"}"
done_or_fail 'soap' 201
soap=$(field product_id)
send "$manager_token" POST /stock/receive "{\"product_id\": \"$soap\", \"location_id\": \"$branch\", \"quantity\": 3}"
done_or_fail 'three of it have come' 201
send '' GET "/product-availability?product_ids=$soap&location_id=$branch"
expect 'which everybody sees' "$(field availability)" in_stock

echo '--- 4. Vera brings Otto along'
send "$vera_token" GET /loyalty/referral-code
code=$(sed 's/[^A-Z2-7]*\([A-Z2-7]\{4\}-[A-Z2-7]\{4\}\).*/\1/' "$body")
send "$vera_token" POST /loyalty/referrals "{\"code\": \"$code\"}"
refused 'herself' 409 referral_refused
send "$otto_token" POST /loyalty/referrals "{\"code\": \"$code\"}"
done_or_fail 'Otto says who it was' 201

echo '--- 5. an appointment'
send '' GET "/slots?location_id=$branch&service_id=$therapy&staff_id=$doctor"
slot=$(field start_at)
send "$vera_token" POST /bookings "{\"service_id\": \"$therapy\", \"location_id\": \"$branch\", \"start_at\": \"$slot\",
    \"staff_id\": \"$doctor\"}"
done_or_fail 'Vera books' 201
visit=$(field booking_id)
expect 'and has to pay' "$(field status)" pending
send "$otto_token" POST /bookings "{\"service_id\": \"$therapy\", \"location_id\": \"$branch\", \"start_at\": \"$slot\",
    \"staff_id\": \"$doctor\"}"
refused 'the same time with the same doctor' 409 slot_taken
send "$otto_token" GET "/bookings/$visit"
expect 'a booking of somebody else' "$status" 404
send "$vera_token" GET "/appointments?booking_id=$visit"
appointment=$(field appointment_id)
send "$vera_token" GET "/payments?reference_type=booking&reference_id=$visit"
payment=$(field transaction_id)
send "$vera_token" POST "/payments/$payment/manual" '{"payment_method": "cash"}'
refused 'paid by saying so' 403 not_permitted
send "$vera_token" POST "/bookings/$visit/confirm"
refused 'confirmed by herself' 403 not_allowed
send "$desk_token" POST "/payments/$payment/manual" '{"payment_method": "cash"}'
done_or_fail 'the front desk takes her money' 200
send "$vera_token" GET "/bookings/$visit"
expect 'so it is' "$(field status)" confirmed
send "$desk_token" POST "/appointments/$appointment/transition" '{"to_status": "arrived"}'
done_or_fail 'she is here' 200
send "$doctor_token" POST "/appointments/$appointment/transition" '{"to_status": "in_progress"}'
done_or_fail 'the doctor begins' 200
send "$doctor_token" POST "/appointments/$appointment/transition" '{"to_status": "completed", "notes": "better"}'
done_or_fail 'and ends' 200
send "$vera_token" POST "/bookings/$visit/cancel" '{"reason_code": "customer_request"}'
refused 'cancelled after all' 409 illegal_transition

echo '--- 6. an order'
send "$otto_token" POST /orders "{\"location_id\": \"$branch\", \"lines\": [{\"product_id\": \"$soap\", \"quantity\": 2}]}"
done_or_fail 'Otto fills a cart' 201
order=$(field order_id)
send "$otto_token" POST "/orders/$order/place"
expect 'which costs a tenth less: he is new' "$status $(field total_minor)" '200 1080'
send "$vera_token" GET "/orders/$order"
expect 'an order of somebody else' "$status" 404
send "$vera_token" POST /orders "{\"location_id\": \"$branch\", \"lines\": [{\"product_id\": \"$soap\", \"quantity\": 2}]}"
send "$vera_token" POST "/orders/$(field order_id)/place"
refused 'more than is left' 409 out_of_stock
send "$desk_token" GET "/payments?reference_type=order&reference_id=$order"
send "$desk_token" POST "/payments/$(field transaction_id)/manual" '{"payment_method": "cash"}'
done_or_fail 'paid at the front desk' 200
send "$desk_token" POST "/orders/$order/fulfil"
done_or_fail 'handed over' 200
send "$desk_token" POST "/orders/$order/complete"
done_or_fail 'over' 200
send "$otto_token" GET "/orders/$order/events"
expect 'the way of it' "$(grep -o '"to_status": *"[a-z]*"' "$body" | sed 's/.*"\([a-z]*\)"$/\1/' | tr '\n' ' ')" \
    'cart placed paid fulfilled completed '

echo '--- 7. the reward'
let_events_happen
send "$vera_token" GET /loyalty/points
expect '90 points for the treatment and 100 for Otto' "$(field balance)" 190
send "$vera_token" GET /loyalty/rewards
reward=$(grep -o '{[^{}]*"title": *"Hand cream for nothing"' "$body" | grep -o '"reward_id": *"[^"]*"' |
    sed 's/.*"\([^"]*\)"$/\1/')
send "$vera_token" POST "/loyalty/rewards/$reward/redeem"
done_or_fail 'she takes the reward' 201
code=$(field code)
send "$vera_token" POST /loyalty/redemptions/redeem "{\"code\": \"$code\"}"
refused 'handed out by herself' 403 not_permitted
send "$desk_token" POST /loyalty/redemptions/redeem "{\"code\": \"$code\"}"
expect 'handed out by the front desk' "$(field status)" redeemed
send "$desk_token" POST /loyalty/redemptions/redeem "{\"code\": \"$code\"}"
expect 'and again' "$(field code)" code_invalid
send "$vera_token" GET /loyalty/points
expect 'what is left' "$(field balance)" 110

echo '--- 8. Otto leaves, with an appointment tomorrow'
tomorrow="window_start=$(later '1 day')&window_end=$(later '2 days')"
send "$otto_token" GET "/slots?location_id=$branch&service_id=$therapy&$tomorrow"
send "$otto_token" POST /bookings "{\"service_id\": \"$therapy\", \"location_id\": \"$branch\",
    \"start_at\": \"$(field start_at)\"}"
done_or_fail 'Otto books as well' 201
visit=$(field booking_id)
send "$otto_token" GET "/users/$otto/export"
done_or_fail 'takes everything with him' 200
expect 'bookings, orders and points' "$(grep -o '"usher_[a-z]*"' "$body" | sort -u | tr '\n' ' ')" \
    '"usher_booking" "usher_loyalty" "usher_payment" "usher_shop" '
send "$otto_token" DELETE "/users/$vera"
refused 'deletes somebody else' 403 not_permitted
send "$otto_token" DELETE "/users/$otto"
done_or_fail 'and deletes himself' 204
send "$otto_token" GET /auth/me
expect 'his token' "$status" 401
send "$manager_token" GET "/bookings/$visit"
expect 'his booking, for a manager of another place' "$status" 404
send "$admin_token" GET "/bookings/$visit"
expect 'his booking' "$(field status) $(field cancellation_reason)" 'cancelled user_deleted'
send "$vera_token" POST /auth/logout
send "$vera_token" GET /auth/me
expect 'the token of Vera, who has logged out' "$status" 401
echo 'the whole story came out as it should'
