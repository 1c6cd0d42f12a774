#!/bin/sh
# ./dev test: builds, then runs the parts asked for and counts. Runs as the unprivileged user (see tools/lib.sh).
# The last line is "N passed, N failed". Everything lives in $BUILD/test, which goes when all passed.
# With USHER_LONG (./dev test-long) there are more parts: the regression tests on servers that are stricter than the usual one.
set -eu
. "$SRC/tools/cluster.sh"
T=$BUILD/test
PARTS="checks unit regress isolation tap gateway readme"
[ -z "${USHER_LONG:-}" ] || PARTS="$PARTS parallel asan discard"
passed=0
failed=0

say() { printf '%s\n' "$*"; }
count() { # PASSED FAILED
    passed=$((passed + $1))
    failed=$((failed + $2))
}
none_named() { # NAME...: a name with a typing error must not pass
    say "there is no test named $*"
    count 0 1
}
finish() { say "$passed passed, $failed failed"; [ "$failed" -eq 0 ]; }

build() { # TARGET... each with its variables in one word
    for target in "$@"; do
        # shellcheck disable=SC2086
        if ! sh "$SRC/tools/build.sh" $target WERROR=-Werror > "$T/build.log" 2>&1; then
            cat "$T/build.log"
            say "make $target failed"
            count 0 1
            finish
            exit 1
        fi
    done
}

# --- the server under test: the one of PG_CONFIG, or another one for a part -------------------------------------------

use_server() { # PG_CONFIG CONFIGURATION_FILE
    SERVER_BIN=$("$1" --bindir)
    SERVER_TESTS=$(dirname "$("$1" --pgxs)")/../test
    CONF=$2
}
use_own_server() { # CONFIGURATION_FILE
    use_server "$PG_CONFIG" "${1:-$T/test.conf}"
    SERVER_BIN=$(programs_below "$T/root")
}

# --- parts: each gets the names that followed it, or nothing ---------------------------------------------------------

test_checks() {
    for check in "$SRC"/test/checks/*.sh; do
        name=$(basename "$check" .sh)
        wanted "$name" "$@" || continue
        if sh "$check" > "$T/check.log" 2>&1; then
            say "check $name ... ok"
            printf 'test/checks/%s.sh\t%s\n' "$name" "$name" >> "$T/cases"
            count 1 0
        else
            say "check $name ... FAILED"
            cat "$T/check.log"
            count 0 1
        fi
    done
}

# Is NAME one of those asked for, or was nothing asked for?
wanted() { # NAME [ASKED...]
    name_=$1
    shift
    [ $# -gt 0 ] || return 0
    for asked in "$@"; do # with or without the extension that the name begins with
        case $name_ in "$asked"*|*_"$asked"*) return 0 ;; esac
    done
    return 1
}

test_unit() {
    folder=unit
    if [ -n "${USHER_LONG:-}" ]; then # not the objects of the library, but all of it again with sanitizers
        folder=unit-sanitized
        build "unit-build SANITIZE=1"
    else
        build unit-build
    fi
    filter='*'
    for name in "$@"; do filter="$filter*:*$name"; done
    [ $# -eq 0 ] || filter=$(printf '%s' "$filter*" | sed 's/^\**://')
    status=0
    USHER_SOURCE=$SRC "$BUILD/$folder/usher_unit_test" --gtest_color=no --gtest_filter="$filter" > "$T/unit.log" 2>&1 || status=$?
    good=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$T/unit.log" | tail -n 1)
    bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$T/unit.log" | tail -n 1)
    # a sanitizer ends the program before it can count
    if [ $status -ne 0 ] && [ -z "$bad" ]; then bad=1; fi
    [ $status -eq 0 ] || grep -vE '^\[( RUN      |       OK |-{10})\]' "$T/unit.log"
    perl "$SRC/tools/cases.pl" "$T/cases" unit "$T/unit.log"
    count "${good:-0}" "${bad:-0}"
    say "unit ... ${good:-0} ok, ${bad:-0} failed"
    [ $# -eq 0 ] || [ "${good:-0}${bad:-0}" != 00 ] || none_named "$@"
}

# pg_regress and pg_isolation_regress start and stop a cluster of their own, on a socket in the temporary folder.
run_pg_regress() { # FOLDER regress|isolation TEST...
    kind=$1
    program=$SERVER_TESTS/$2/pg_$2
    [ "$2" = regress ] || program=$SERVER_TESTS/$2/pg_$2_regress
    database=usher_$2
    shift 2
    mkdir -p "$T/$kind"
    ln -sfn "$SRC/test/regress" "$T/$kind/sql"
    ln -sfn "$SRC/test/specs" "$T/$kind/specs"
    ln -sfn "$SRC/test/expected" "$T/$kind/expected"
    status=0
    (cd "$T/$kind" && PATH="$SERVER_BIN:$PATH" "$program" --bindir="$SERVER_BIN" --inputdir="$T/$kind" --outputdir="$T/$kind" \
        --temp-instance="$T/$kind/tmp" --temp-config="$CONF" --no-locale --encoding=UTF8 --dbname="$database" \
        "$@") > "$T/$kind.log" 2>&1 || status=$?
    # since PostgreSQL 16 they write TAP
    grep -E '\.\.\. (ok|FAILED|failed)|^(not )?ok ' "$T/$kind.log" || true
    good=$(grep -cE '\.\.\. ok|^ok ' "$T/$kind.log" || true)
    bad=$(grep -cE '\.\.\. FAILED|^not ok ' "$T/$kind.log" || true)
    if [ $status -ne 0 ]; then
        if [ "$bad" -eq 0 ]; then
            tail -n 30 "$T/$kind.log"
            bad=1
        fi
        [ ! -f "$T/$kind/regression.diffs" ] || head -n 400 "$T/$kind/regression.diffs"
        server_log=$(find "$T/$kind/log" -name postmaster.log 2>/dev/null)
        if [ -n "$server_log" ] && grep -qE 'PANIC|terminated by signal|FATAL' "$server_log"; then
            say "--- server log"
            grep -nE 'PANIC|terminated by signal|FATAL' "$server_log" | tail -n 20
        fi
    fi
    rm -rf "$T/$kind/tmp"
    case $kind in # those of ./dev test, not the same on a stricter server
        regress) perl "$SRC/tools/cases.pl" "$T/cases" regress "$T/$kind.log" "$SRC/test" ;;
        isolation) perl "$SRC/tools/cases.pl" "$T/cases" specs "$T/$kind.log" "$SRC/test" ;;
    esac
    count "$good" "$bad"
}

run_regress() { # FOLDER [NAME...]
    folder=$1
    shift
    tests=all_setup # makes the extensions; every other test relies on it
    for name in $(sed -n 's/^test: *//p' "$SRC/test/schedule"); do
        [ "$name" = all_setup ] || ! wanted "$name" "$@" || tests="$tests $name"
    done
    [ ! -x "$T/$folder/launcher" ] || tests="--launcher=$T/$folder/launcher $tests"
    # shellcheck disable=SC2086
    run_pg_regress "$folder" regress $tests
}

run_isolation() { # FOLDER [NAME...]
    folder=$1
    shift
    tests=
    for spec in "$SRC"/test/specs/*.spec; do
        name=$(basename "$spec" .spec)
        case $name in
            all_isolation_setup) tests="$name $tests" ;; # makes the extensions
            *) ! wanted "$name" "$@" || tests="$tests $name" ;;
        esac
    done
    # shellcheck disable=SC2086
    run_pg_regress "$folder" isolation $tests
}

# TAP files by the first word of their names: those of the gateway, of the project (README and ./dev), and of the extensions.
run_tap() { # FOLDER gateway|project|extensions [NAME...]
    folder=$T/$1
    kind=$2
    shift 2
    files=
    for file in "$SRC"/test/t/*.pl; do
        name=$(basename "$file" .pl)
        case $name in gateway_*|project_*) of=${name%%_*} ;; *) of=extensions ;; esac
        [ "$of" = "$kind" ] && wanted "$name" "$@" || continue
        files="$files $file"
    done
    if [ -z "$files" ]; then
        [ $# -eq 0 ] || none_named "$@"
        return 0
    fi
    mkdir -p "$folder"
    # TESTDIR is what the modules of PostgreSQL 15 go by, later ones by the other two.
    # USHER_*: for tests that need the sources, the gateway, or install for themselves
    # shellcheck disable=SC2086
    (cd "$SRC/test" && env TESTDIR="$folder" TESTDATADIR="$folder/tmp_check" TESTLOGDIR="$folder/tmp_check/log" TEMP_CONFIG="$CONF" PATH="$SERVER_BIN:$PATH" \
        PG_REGRESS="$SERVER_TESTS/regress/pg_regress" \
        USHER_SOURCE="$SRC" USHER_BUILD="$BUILD" USHER_NODE="$BUILD/node/node_modules" USHER_GATEWAY="$BUILD/gateway/usher-gateway" USHER_COURIER="$BUILD/courier/usher-courier" USHER_BOUNDARY="$BUILD/boundary/boundary.so" \
        perl "$SRC/tools/tap.pl" "$folder/counts" "$T/cases" "$JOBS" "-I$SERVER_TESTS/perl" "-I$SRC/test/perl" $files) 2>&1 || true
    if [ -f "$folder/counts" ]; then
        read -r good bad < "$folder/counts"
        count "$good" "$bad"
    else
        say "the TAP runner itself failed"
        count 0 1
    fi
}
node_packages() {
    if ! sh "$SRC/tools/node.sh"; then
        count 0 1
        finish
        exit 1
    fi
}
test_regress() { run_regress regress "$@"; }
test_isolation() { run_isolation isolation "$@"; }
test_tap() { build boundary courier; node_packages; run_tap tap extensions "$@"; }
test_gateway() { node_packages; [ ! -f "$SRC/gateway/Makefile" ] || build gateway courier; run_tap gateway gateway "$@"; }
test_readme() { [ ! -f "$SRC/gateway/Makefile" ] || build gateway courier; run_tap readme project "$@"; }

# --- parts of ./dev test-long ----------------------------------------------------------------------------------------

# Every plan that may be parallel is: a function whose label promises too much fails, or answers differently, in a worker.
test_parallel() {
    forced=debug_parallel_query # its name since PostgreSQL 16
    case $("$PG_CONFIG" --version) in "PostgreSQL 15"*) forced=force_parallel_mode ;; esac
    { cat "$T/test.conf"
      echo "$forced = regress"
      echo "parallel_setup_cost = 0"
      echo "parallel_tuple_cost = 0"
      echo "min_parallel_table_scan_size = 0"
      echo "max_parallel_workers = 8"
    } > "$T/parallel.conf"
    use_own_server "$T/parallel.conf"
    run_regress parallel "$@"
    use_own_server
}

# A server with assertions and AddressSanitizer (tools/asan.sh). A finding ends the process and with it the test; that there was one is
# also read from what the sanitizers and the servers wrote: some processes end unnoticed.
use_asan_server() { # SETTING...
    # PostgreSQL measures its stack by addresses, which needs the real one. What a process has not freed when it ends is not lost.
    export ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0:quarantine_size_mb=64:log_path=$T/reports/asan"
    export UBSAN_OPTIONS="abort_on_error=1:print_stacktrace=1:log_path=$T/reports/ubsan"
    export PGCTLTIMEOUT=300 PG_TEST_TIMEOUT_DEFAULT=1800
    if ! sh "$SRC/tools/asan.sh"; then
        say "there is no server with AddressSanitizer"
        count 0 1
        finish
        exit 1
    fi
    mkdir -p "$T/reports"
    { echo "shared_preload_libraries = 'usher'"
      echo "max_prepared_transactions = 4"
      echo "fsync = off"
      for setting in "$@"; do echo "$setting"; done
    } > "$T/asan.conf"
    use_server "$BUILD/asan/pgsql/bin/pg_config" "$T/asan.conf"
}
leave_asan_server() { # FOLDER...
    folders=
    for folder in "$@"; do
        [ ! -d "$T/$folder" ] || folders="$folders $T/$folder"
    done
    # shellcheck disable=SC2086
    found=$({ find "$T/reports" -type f
              find $folders -name '*.log' ! -name 'regress_log_*' -exec grep -HnE \
                  'TRAP:|AddressSanitizer|runtime error:|terminated by signal|WARNING:.*leak' {} +; } 2>/dev/null || true)
    if [ -n "$found" ]; then
        say "--- the sanitizers, or the server's assertions, have found something"
        printf '%s\n' "$found" | head -n 40
        for report in "$T"/reports/*; do [ ! -f "$report" ] || { say "--- $report"; head -n 60 "$report"; }; done
        count 0 1
    else
        count 1 0
    fi
    unset ASAN_OPTIONS UBSAN_OPTIONS PGCTLTIMEOUT PG_TEST_TIMEOUT_DEFAULT
    use_own_server
}

test_asan() {
    use_asan_server
    run_regress asan-regress "$@"
    run_isolation asan-isolation "$@"
    ! wanted all_fuzz_functions "$@" || run_tap asan-tap extensions all_fuzz_functions
    leave_asan_server asan-regress asan-isolation asan-tap
}

# Caches that are forgotten whenever they may be: who keeps a pointer into the catalog caches reads freed memory. That makes a statement
# some hundred times as slow, so these are tests of what lives longest in a backend, and of nothing that takes hours.
DISCARD_TESTS="usher_timestamps usher_virtual_columns usher_soft_delete usher_machines usher_request"
test_discard() {
    # shellcheck disable=SC2086
    [ $# -gt 0 ] || set -- $DISCARD_TESTS
    use_asan_server
    # What the setup makes is made with caches, and so is what grants hundreds of privileges: nothing else of interest happens there.
    mkdir -p "$T/discard"
    cat > "$T/discard/launcher" <<'END'
#!/bin/sh
case $(readlink /proc/self/fd/0) in
    */all_setup.sql)
        "$@"
        for name in grant_access revoke_access; do
            "$@" -c "ALTER FUNCTION usher.$name SET debug_discard_caches = 0" > /dev/null
        done
        exit ;;
    *) export PGOPTIONS="${PGOPTIONS:-} -c debug_discard_caches=1" ;;
esac
exec "$@"
END
    chmod 755 "$T/discard/launcher"
    run_regress discard "$@"
    leave_asan_server discard
}

# --- which parts -----------------------------------------------------------------------------------------------------

is_part() { case " $PARTS " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

mkdir -p "$BUILD/logs"
exec 8> "$BUILD/logs/test.lock"
if ! flock -n 8; then
    say "another ./dev test runs in this checkout; waiting for it"
    flock 8
fi
rm -rf "$T"
mkdir -p "$T"
JOBS=${JOBS:-2}
if [ $# -gt 0 ] && ! is_part "$1"; then
    say "unknown part $1; there are: $PARTS"
    exit 2
fi

build all "install DESTDIR=$T/root"
{ extension_settings "$T/root"
  echo "shared_preload_libraries = 'usher'"
  echo "max_prepared_transactions = 4"
  echo "fsync = off"
} > "$T/test.conf"
use_own_server

is_whole=
# shellcheck disable=SC2086
[ $# -gt 0 ] || { is_whole=yes; set -- $PARTS; }
while [ $# -gt 0 ]; do
    part=$1
    shift
    names=
    while [ $# -gt 0 ] && ! is_part "$1"; do
        names="$names $1"
        shift
    done
    say "--- $part$names"
    # shellcheck disable=SC2086
    "test_$part" $names 8>&-
done

# What docs/requirements.md names as the proof of a row has run and passed.
if [ -n "$is_whole" ]; then
    perl "$SRC/tools/cases.pl" "$T/cases" examples "$SRC/examples"
    if perl "$SRC/tools/requirements.pl" "$T/cases"; then
        say "requirements ... ok"
        count 1 0
    else
        say "requirements ... FAILED"
        count 0 1
    fi
fi

# Whatever ran: no secret of it in the servers' logs.
if [ -n "$(find "$T" -name '*.log' -path '*/log/*' 2>/dev/null | head -n 1)" ]; then
    if perl "$SRC/tools/secrets_in_logs.pl" "$T"; then count 1 0; else count 0 1; fi
fi

# Every server and gateway of a test has a path below $T on its command line.
for process in /proc/[0-9]*; do
    line=$(tr '\0' ' ' 2>/dev/null < "$process/cmdline") || continue
    case $line in
        *" $T/"*|"$T/"*)
            say "left running: $line"
            kill "${process#/proc/}" || true
            count 0 1 ;;
    esac
done
[ "$failed" -ne 0 ] || rm -rf "$T"
finish
