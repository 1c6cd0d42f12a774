#!/bin/sh
# ./dev test-majors [MAJOR...]: ./dev test on each PostgreSQL major, with a build folder of its own. Without arguments, on all
# majors that usher supports and that are installed. Says which are missing and how to get them. A major that was asked for
# and is missing counts as a failure.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd -P)
. "$here/tools/lib.sh"
SUPPORTED="15 16 17 18"
COMING="19" # not released yet: tested where it is named

asked=$*
failed=
absent=
ran=
for major in ${asked:-$SUPPORTED}; do
    case " $SUPPORTED $COMING " in
        *" $major "*) ;;
        *) die "usher supports PostgreSQL $SUPPORTED, not $major (CONTRIBUTING.md says what a new major needs)" ;;
    esac
done
for major in ${asked:-$SUPPORTED}; do
    if ! config=$(config_of "$major"); then
        absent="$absent $major"
        continue
    fi
    ran="$ran $major"
    test_major "$major" "$config" || failed="$failed $major"
done

say ""
for major in $absent; do
    say "PostgreSQL $major is not installed here. From Debian, or with the repository of apt.postgresql.org set up:"
    say "    apt-get install postgresql-$major postgresql-server-dev-$major"
    say "or built from its source: USHER_MAJORS=/usr/local/pgsql if that has $major/bin/pg_config"
done
[ -z "$ran" ] || say "ran on:$ran"
[ -z "$failed" ] || say "FAILED on:$failed"
[ -z "$absent" ] || say "not tested:$absent"
[ -n "$ran" ] || exit 1
[ -z "$failed" ] || exit 1
[ -z "$asked" ] || [ -z "$absent" ] || exit 1
