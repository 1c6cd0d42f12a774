#!/bin/sh
# ./dev test: builds, then runs the parts asked for and counts. Runs as the unprivileged user (see tools/lib.sh).
# The last line is "N passed, N failed". Everything lives in $BUILD/test, which goes when all passed.
set -eu
. "$SRC/tools/cluster.sh"
T=$BUILD/test
PARTS="checks unit regress isolation tap gateway readme"
REGRESS_PROGRAMS=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
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

# --- parts: each gets the names that followed it, or nothing ---------------------------------------------------------

test_checks() {
    for check in "$SRC"/test/checks/*.sh; do
        name=$(basename "$check" .sh)
        wanted "$name" "$@" || continue
        if sh "$check" > "$T/check.log" 2>&1; then
            say "check $name ... ok"
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
    for asked in "$@"; do
        case $name_ in "$asked"*) return 0 ;; esac
    done
    return 1
}

test_unit() {
    build unit-build
    filter='*'
    for name in "$@"; do filter="$filter*:*$name"; done
    [ $# -eq 0 ] || filter=$(printf '%s' "$filter*" | sed 's/^\**://')
    status=0
    USHER_SOURCE=$SRC "$BUILD/unit/usher_unit_test" --gtest_brief=1 --gtest_color=no --gtest_filter="$filter" > "$T/unit.log" 2>&1 || status=$?
    good=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$T/unit.log" | tail -n 1)
    bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$T/unit.log" | tail -n 1)
    # a sanitizer ends the program before it can count
    if [ $status -ne 0 ] && [ -z "$bad" ]; then bad=1; fi
    [ $status -eq 0 ] || cat "$T/unit.log"
    count "${good:-0}" "${bad:-0}"
    say "unit ... ${good:-0} ok, ${bad:-0} failed"
    [ $# -eq 0 ] || [ "${good:-0}${bad:-0}" != 00 ] || none_named "$@"
}

# pg_regress and pg_isolation_regress start and stop a cluster of their own, on a socket in the temporary folder.
run_pg_regress() { # KIND PROGRAM TEST...
    kind=$1
    program=$2
    shift 2
    mkdir -p "$T/$kind"
    ln -sfn "$SRC/test/regress" "$T/$kind/sql"
    ln -sfn "$SRC/test/specs" "$T/$kind/specs"
    ln -sfn "$SRC/test/expected" "$T/$kind/expected"
    status=0
    (cd "$T/$kind" && PATH="$BINDIR:$PATH" "$program" --bindir="$BINDIR" --inputdir="$T/$kind" --outputdir="$T/$kind" \
        --temp-instance="$T/$kind/tmp" --temp-config="$T/test.conf" --no-locale --encoding=UTF8 --dbname="usher_$kind" \
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
    count "$good" "$bad"
}

test_regress() {
    tests=setup # makes the extensions; every other test relies on it
    for name in $(sed -n 's/^test: *//p' "$SRC/test/schedule"); do
        [ "$name" = setup ] || ! wanted "$name" "$@" || tests="$tests $name"
    done
    # shellcheck disable=SC2086
    run_pg_regress regress "$REGRESS_PROGRAMS/regress/pg_regress" $tests
}

test_isolation() {
    tests=
    for spec in "$SRC"/test/specs/*.spec; do
        name=$(basename "$spec" .spec)
        case $name in
            isolation_setup) tests="$name $tests" ;; # makes the extensions
            *) ! wanted "$name" "$@" || tests="$tests $name" ;;
        esac
    done
    # shellcheck disable=SC2086
    run_pg_regress isolation "$REGRESS_PROGRAMS/isolation/pg_isolation_regress" $tests
}

# TAP files FROM to TO by their number.
run_tap() { # FOLDER FROM TO [NAME...]
    folder=$T/$1
    from=$2
    to=$3
    shift 3
    files=
    for file in "$SRC"/test/t/*.pl; do
        name=$(basename "$file" .pl)
        number=$(printf '%s' "$name" | sed 's/^0*\([0-9][0-9]*\)_.*/\1/')
        [ "$number" -ge "$from" ] && [ "$number" -le "$to" ] && wanted "$name" "$@" || continue
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
    (cd "$SRC/test" && env TESTDIR="$folder" TESTDATADIR="$folder/tmp_check" TESTLOGDIR="$folder/tmp_check/log" TEMP_CONFIG="$T/test.conf" PATH="$BINDIR:$PATH" \
        PG_REGRESS="$REGRESS_PROGRAMS/regress/pg_regress" \
        USHER_SOURCE="$SRC" USHER_BUILD="$BUILD" USHER_NODE="$BUILD/node/node_modules" USHER_GATEWAY="$BUILD/gateway/usher-gateway" USHER_BOUNDARY="$BUILD/boundary/boundary.so" \
        perl "$SRC/tools/tap.pl" "$folder/counts" "$JOBS" "-I$REGRESS_PROGRAMS/perl" "-I$SRC/test/perl" $files) 2>&1 || true
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
test_tap() { build boundary; node_packages; run_tap tap 0 499 "$@"; }
test_gateway() { node_packages; [ ! -f "$SRC/gateway/Makefile" ] || build gateway; run_tap gateway 500 599 "$@"; }
test_readme() { [ ! -f "$SRC/gateway/Makefile" ] || build gateway; run_tap readme 600 699 "$@"; }

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

# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $PARTS
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
