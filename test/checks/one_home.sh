#!/bin/sh
# What has one place in the sources stands in no other: a new feature cannot get round it without saying so here.
set -eu
failed=0
only() { # WHAT PATTERN FILE... : the pattern stands in these files of C++ only, and in all of them
    cd "$SRC/extension"
    compare "$@"
}
only_in_sources() { # the same for C++ and SQL; a file is named with its folder at the top
    cd "$SRC"
    compare "$@"
}
compare() {
    what=$1
    pattern=$2
    shift 2
    found=$(grep -lzE "$pattern" -r . --include='*.cpp' --include='*.hpp' --include='*.sql' --exclude-dir=build \
        --exclude-dir=test --exclude-dir=bench --exclude-dir=examples --exclude-dir=updates | sed 's|^\./||' | sort)
    wanted=$(printf '%s\n' "$@" | sort)
    if [ "$found" != "$wanted" ]; then
        echo "$what: expected in"
        echo "$wanted"
        echo "but found in"
        echo "$found"
        failed=1
    fi
}
only 'becoming another user' 'SetUserIdAndSecContext\(' usher/audit/log_writer.cpp pg/foreign_call.cpp pg/spi.cpp \
    pg/table_form.cpp
# crypt() of pgcrypto belongs to a superuser, and is found in the schema of its extension
only 'calling a function of somebody else' 'FunctionCallInvoke\(|OidFunctionCall[0-9]' usher/identity/passwords.cpp pg/foreign_call.cpp
# Input and output of types, CHECKs of domains, defaults and statements made at run time may be code of somebody else. Each
# place stands in the table of docs/architecture.md, "Code of others", with the user that it runs as.
only 'input and output of any type' '[^_](Input|Output)FunctionCall\(|Oid(Input|Output)FunctionCall\(' pg/args.cpp pg/value.cpp \
    usher/audit/value_text.cpp usher/http/answer_json.cpp usher/http/output.cpp usher/http/value_type.cpp \
    usher/machines/attachment.cpp usher/machines/machine_functions.cpp
only 'expressions of tables and types' '(ExecPrepareExpr|ExecConstraints|domain_check)\(' pg/direct_insert.cpp pg/insert_target.cpp \
    usher/http/value_type.cpp
only 'calling a routed function' 'ExecMakeTableFunctionResult\(|ExecInitTableFunctionResult\(' usher/http/invoke.cpp
# What is set for the time of a call ends with it, also what code of others has set meanwhile by a plain SET.
only 'keeping settings at the end of a level' 'AtEOXact_GUC\(true'
# OTHERS lets a failed ASSERT pass: who goes on after the trouble of others names it as well.
if grep -rn 'WHEN OTHERS THEN' "$SRC/sql" --include='*.sql' --exclude-dir=updates; then
    echo 'say WHEN OTHERS OR assert_failure THEN'
    failed=1
fi
only 'taking back what a session keeps' 'LockReleaseSession\(|ResetTempTableNamespace\(|Async_Unlisten' pg/session_scope.cpp
only 'statements made at run time' 'SPI_execute(_with_args|_extended)?\(|SPI_prepare\(' pg/foreign_call.cpp pg/kept_plans.cpp \
    usher/machines/machine_functions.cpp usher/timestamps/soft_delete.cpp
only 'catching an ERROR' 'sigsetjmp\(|PG_TRY' pg/guard.cpp pg/guard.hpp
only 'rows past the executor' '(heap_insert|heap_multi_insert|table_tuple_insert|table_tuple_insert_speculative)\(' \
    usher/audit/log_writer.cpp pg/direct_insert.cpp
only 'cutting a text' '_mbcliplen\(|string_view clip\(' common/utf8.cpp common/utf8.hpp pg/guard.cpp
only 'keeping a plan' 'SPI_keepplan\(' pg/kept_plans.cpp
only 'HMAC' 'SHA[0-9]+_(Init|Update|Final)|[^_A-Z]HMAC\(|EVP_MAC' common/hmac.cpp
only 'digits of hexadecimal' "0123456789(abcdef|ABCDEF)|'[aA]' \+ 10" common/encoding.hpp
only 'cutting white space' 'string_view trim\(' common/text.hpp
only 'the binary form of jsonb' 'JENTRY_HAS_OFF|JB_OFFSET_STRIDE' pg/jsonb_format.hpp
only 'names of algorithms' '"(HS256|EdDSA)",' common/jwt_algorithms.cpp
only 'names of rate limit algorithms' '"(fixed_window|token_bucket)"' usher/limits/ratelimit.cpp
only 'page cursors' '"after_?"' usher/http/function.cpp
only_in_sources 'ending sessions' 'UPDATE usher\.sessions( [a-z]+)?[[:space:]]+SET ([a-z_]+ = [^,;]+, )*status = ' extension/usher/identity/cut_off.cpp
# Caches of rows have an _inval table (test/t/all_caches.pl asks the catalog for them); these are about tables themselves, but for
# webhook_secrets.cpp and kept_rules.cpp, whose tables announce themselves.
only 'what is kept until any relation changes' 'relation_changes\(\)' pg/cache.cpp pg/cache.hpp pg/foreign_call.cpp \
    pg/table_form.hpp pg/target_pool.hpp kit/row_trigger.hpp usher/audit/log_target.cpp usher/audit/row_encoder.cpp usher/audit/row_encoder.hpp \
    usher_booking/bookings/booking_row.cpp usher_booking/claims/claim_trigger.cpp usher_loyalty/rules/kept_rules.cpp \
    usher_payment/webhooks/webhook_secrets.cpp
only_in_sources 'whether a text is a uuid' '\[0-9a-f\]\{8\}'
only_in_sources 'names compared otherwise than by their keys' '[^_]lower\(([a-zA-Z]+\.)?(email|username)'
exit $failed
