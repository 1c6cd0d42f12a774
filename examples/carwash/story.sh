#!/bin/sh
# The car wash over HTTP, with curl: what its people do, and what they may not.
#
#     USHER_URL=http://127.0.0.1:8080 PSQL='./dev psql --system carwash -qAt' sh examples/carwash/story.sh
#
# PSQL reads the database as its superuser, for the mail that waits in the outbox. The script stops at the first surprise.
set -eu
mark=$(date +%s)$$

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
log_in() { # E-MAIL PASSWORD: the access token
    ask POST /auth/login '{"identifier": "'"$1"'", "password": "'"$2"'"}'
    member access_token
}
mail() { # EVENT E-MAIL: the token of the latest mail
    $PSQL -c "SELECT payload ->> 'token' FROM usher.events WHERE event = '$1' AND payload ->> 'email' = '$2' ORDER BY id DESC LIMIT 1"
}

echo '--- a visitor registers, proves the address, and logs in'
email=hana.$mark@example.com
ask POST /auth/register '{"email": "'"$email"'", "password": "a long passphrase of mine", "first_name": "Hana"}'
expect 'registration' "$status" 202
ask POST /auth/login '{"identifier": "'"$email"'", "password": "a long passphrase of mine"}'
expect 'login before the address is proved' "$status $(member code)" '403 email_not_verified'
ask POST /auth/verify-email '{"token": "'"$(mail user.email_verification_requested "$email")"'", "password": "a long passphrase of mine"}'
expect 'the link from the mail' "$status" 200
hana=$(log_in "$email" 'a long passphrase of mine')
ask GET /auth/me '' "$hana"
expect 'who am I' "$(member email)" "$email"
ask GET /bookings
expect 'bookings without a token' "$status" 401

echo '--- a forgotten password'
ask POST /auth/password/forgot '{"email": "'"$email"'"}'
known=$status
ask POST /auth/password/forgot '{"email": "nobody.'"$mark"'@example.com"}'
expect 'the same answer for an address that nobody has' "$status" "$known"
ask POST /auth/password/reset '{"token": "'"$(mail user.password_reset_requested "$email")"'", "new_password": "another phrase of mine"}'
expect 'a new password' "$status" 200
ask GET /auth/me '' "$hana"
expect 'the session of before' "$status" 401
hana=$(log_in "$email" 'another phrase of mine')

echo '--- she books the first free slot; nobody else gets the washer then'
ask GET /services
service=01900000-0000-7000-8000-000000000011
expect 'the exterior wash is on offer' "$(printf '%s' "$body" | grep -c "$service")" 1
location=01900000-0000-7000-8000-000000000001
at() { date -u -d "+$1 days" +%Y-%m-%dT00:00:00Z; }
ask GET "/slots?location_id=$location&service_id=$service&window_start=$(at 31)&window_end=$(at 38)"
start=$(member start_at)
washer=$(printf '%s' "$body" | grep -oE '"staff_ids": ?\["[^"]*' | sed -n 1p | sed 's/.*"//')
book='{"service_id": "'$service'", "location_id": "'$location'", "start_at": "'$start'", "staff_id": "'$washer'"}'
ask POST /bookings "$book" "$hana"
expect 'a booking' "$status $(member status)" '201 pending'
booking=$(member booking_id)
clara=$(log_in client@carwash.example sparkling-client-demo)
ask POST /bookings "$book" "$clara"
expect 'the same washer at the same time' "$status $(member code)" '409 slot_taken'
ask GET "/bookings/$booking" '' "$clara"
expect 'the booking of somebody else' "$status" 404
ask POST /bookings '{"service_id": "'$service'", "location_id": "'$location'", "start_at": "soon"}' "$clara"
expect 'a time that is none' "$status" 422

echo '--- the manager confirms, the washer works, and nobody jumps'
manager=$(log_in manager@carwash.example sparkling-manager-demo)
ask POST "/bookings/$booking/confirm" '' "$hana"
expect 'confirming it oneself' "$status" 403
ask POST "/bookings/$booking/complete" '' "$manager"
expect 'a jump' "$status $(member code)" '409 illegal_transition'
ask POST "/bookings/$booking/confirm" '' "$manager"
expect 'confirmation' "$status $(member status)" '200 confirmed'
ask POST "/bookings/$booking/reschedule" '{"start_at": "2001-01-01T10:00:00Z"}' "$hana"
expect 'moving it into the past' "$status $(member code)" '422 notice_or_horizon'
case $washer in *a3) washer_email=washer ;; *) washer_email=washer2 ;; esac
working=$(log_in $washer_email@carwash.example sparkling-washer-demo)
ask POST "/bookings/$booking/start" '' "$working"
expect 'start' "$(member status)" in_progress
ask POST "/bookings/$booking/cancel" '' "$hana"
expect 'cancelling what has begun' "$status" 403

echo '--- she pays in cash: staff says so'
ask POST /payments '{"amount_minor": 2500, "currency": "USD", "payment_method": "cash", "reference_type": "booking", "reference_id": "'"$booking"'"}' "$hana"
expect 'what is to be paid' "$status $(member status)" '201 pending'
payment=$(member transaction_id)
ask POST "/payments/$payment/manual" '{"payment_method": "cash"}' "$hana"
expect 'saying so oneself' "$status" 403
ask POST "/payments/$payment/manual" '{"payment_method": "cash"}' "$manager"
expect 'the manager says so' "$status $(member status)" '200 completed'
ask POST "/bookings/$booking/complete" '{"notes": "spotless"}' "$working"
expect 'completion' "$(member status)" completed
ask GET "/bookings/$booking/history" '' "$hana"
expect 'everything is on record' "$(printf '%s' "$body" | grep -oE '"to_status": ?"[a-z_]+"' | sed -E 's/.*"([a-z_]+)"/\1/' | tr '\n' ' ')" \
    'pending confirmed in_progress completed '
ask GET "/bookings/$booking" '' "$hana"
expect 'paid' "$(member payment_method)" cash

echo '--- who may do what with accounts'
ask GET /users '' "$hana"
expect 'a client who lists accounts' "$status" 403
ask GET /users '' "$manager"
expect 'a manager who does' "$status" 200
ask POST /users/01900000-0000-7000-8000-0000000000a1/roles '{"role": "client"}' "$manager"
expect 'a manager who changes an administrator' "$status" 403
admin=$(log_in admin@carwash.example sparkling-admin-demo)
ask GET "/audit?resource_type=wash.bookings&resource_id=$booking" '' "$admin"
expect 'an administrator reads the audit log' "$status" 200

echo '--- she goes, and the booking that was to come with her'
ask GET "/slots?location_id=$location&service_id=$service&window_start=$(at 40)&window_end=$(at 45)"
ask POST /bookings '{"service_id": "'$service'", "location_id": "'$location'", "start_at": "'"$(member start_at)"'"}' "$hana"
expect 'one more booking' "$status" 201
coming=$(member booking_id)
ask GET /auth/me '' "$hana"
me=$(member user_id)
ask DELETE "/users/$me" '' "$hana"
expect 'deleting the account' "$status" 204
ask GET /auth/me '' "$hana"
expect 'the token of before' "$status" 401
ask GET "/bookings/$coming" '' "$manager"
expect 'the booking that was to come' "$(member status) $(member cancellation_reason)" 'cancelled user_deleted'
echo 'the whole story came out as it should'
