#!/bin/sh
# ./dev test-majors [MAJOR...]: ./dev test on each PostgreSQL major, with a build folder of its own. Without arguments, on all
# majors that usher supports and that are installed. Says which are missing and how to get them. A major that was asked for
# and is missing counts as a failure.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
. "$here/tools/lib.sh"
SUPPORTED="15 16 17 18"
ROOT=${USHER_MAJORS:-/usr/lib/postgresql} # where Debian's packages, and those of apt.postgresql.org, put each major

asked=$*
failed=
absent=
ran=
for major in ${asked:-$SUPPORTED}; do
    case " $SUPPORTED " in
        *" $major "*) ;;
        *) die "usher supports PostgreSQL $SUPPORTED, not $major (CONTRIBUTING.md says what a new major needs)" ;;
    esac
done
# Where ./dev would build; each major has a folder beside it.
find_programs
locate
[ "$BUILD" = "$here/build" ] || die "test-majors builds in the checkout, and $here cannot be used for that"
folder=$BUILD/majors
for major in ${asked:-$SUPPORTED}; do
    config=$ROOT/$major/bin/pg_config
    if [ ! -x "$config" ] || [ ! -f "$("$config" --includedir-server)/postgres.h" ]; then
        absent="$absent $major"
        continue
    fi
    say "=== PostgreSQL $major: $("$config" --version), built in $folder/$major"
    mkdir -p "$folder"
    [ -z "$RUN_AS" ] || chown "$RUN_AS:" "$BUILD" "$folder"
    ran="$ran $major"
    PG_CONFIG=$config USHER_BUILD=$folder/$major "$here/dev" test || failed="$failed $major"
done

say ""
for major in $absent; do
    say "PostgreSQL $major is not installed here. From Debian, or with the repository of apt.postgresql.org set up:"
    say "    apt-get install postgresql-$major postgresql-server-dev-$major"
done
[ -z "$ran" ] || say "ran on:$ran"
[ -z "$failed" ] || say "FAILED on:$failed"
[ -z "$absent" ] || say "not tested:$absent"
[ -n "$ran" ] || exit 1
[ -z "$failed" ] || exit 1
[ -z "$asked" ] || [ -z "$absent" ] || exit 1
