#!/bin/sh
# ./dev matrix [MAJOR...] [PART [NAME...]...]: ./dev test, whole or in parts, on each PostgreSQL major in a Debian of its own. The last
# result of each major, with its date, is written into the README when nothing narrower than parts was asked for.
# ./dev matrix clean removes those Debians.
#
# Needs root, mmdebstrap and a mirror. Debian has 15, 17 and 18, and in experimental 19, which is not released yet and is tested only where it
# is named; 16 comes from apt.postgresql.org, where that can be reached. A major that USHER_MAJORS has (tools/lib.sh), one that was built from
# its source say, is tested on this machine instead. The programs that the gateway is tested beside are installed when its tests run.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$here/tools/lib.sh"
. "$here/tools/matrix/roots.sh"
SUPPORTED=$(sed -n 's/^SUPPORTED="\(.*\)"/\1/p' "$here/tools/majors.sh")
COMING=$(sed -n 's/^COMING="\(.*\)".*/\1/p' "$here/tools/majors.sh")

if [ "${1:-}" = clean ]; then
    for made in "$ROOTS"/*.log; do
        [ ! -f "$made" ] || remove_root "$(basename "$made" .log)"
    done
    exit 0
fi
[ "$(id -u)" -eq 0 ] || die "matrix needs root, for chroot and mounts"
need mmdebstrap debian-archive-keyring git
majors=
while [ $# -gt 0 ]; do
    case " $SUPPORTED $COMING " in *" $1 "*) majors="$majors $1"; shift ;; *) break ;; esac
done
parts=$*

# Is it one of USHER_MAJORS? Debian's, where this machine has it, is tested in a Debian of its own nevertheless.
is_ours() { # MAJOR
    [ -n "${USHER_MAJORS:-}" ] && case $(config_of "$1") in "$USHER_MAJORS"/*) ;; *) false ;; esac
}

one() { # MAJOR
    if is_ours "$1"; then
        # shellcheck disable=SC2086
        test_major "$1" "$(config_of "$1")" $parts
        return
    fi
    beside=
    case " $parts " in "  "|*" gateway "*) beside=$BESIDE_PACKAGES ;; esac
    # shellcheck disable=SC2086
    major_root "$1" $beside && as_builder "$1" /usher/dev test $parts
}

# What the README says of a major: "| 17.11 | Debian 13, g++ 14.2 | unit regress | 123 passed | 2026-11-29 |"
note() { # MAJOR RESULT
    system='. /etc/os-release; echo "Debian ${VERSION_ID:-$VERSION_CODENAME}, g++ $(g++ -dumpfullversion)"'
    if is_ours "$1"; then
        server=$("$(config_of "$1")" --version)
        system=$(sh -c "$system")
    else
        server=$(in_root "$1" "/usr/lib/postgresql/$1/bin/pg_config" --version)
        system=$(in_root "$1" sh -c "$system")
        case $(suite_of "$1") in *-experimental) system="Debian experimental,${system#*,}" ;; esac # by its name, whatever it will become
    fi
    server=${server#PostgreSQL } # "17.11 (Debian 17.11-0+deb13u1)"
    case $server in *" ("*) server=${server%% *} ;; *) server="$server, built from source" ;; esac
    MAJOR=$1 LINE="| $server | $system | ${parts:-all} | $2 | $(date -u +%Y-%m-%d) |" perl -pi -e '
        if (/<!-- matrix:begin -->/ .. /<!-- matrix:end -->/) {
            $_ = "$ENV{LINE}\n" if /^\| $ENV{MAJOR}(?!\d)/;
        }' "$here/README.md"
}

failed=
absent=
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for major in ${majors:-$SUPPORTED}; do
    say "=== PostgreSQL $major"
    : > "$log"
    { one "$major" || echo "failed" ; } 2>&1 | tee "$log"
    result=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1 || true)
    if [ -z "$result" ]; then
        if is_ours "$major" || [ -x "$ROOTS/$major/usher/dev" ]; then failed="$failed $major"; else absent="$absent $major"; fi
        continue
    fi
    case $result in *" 0 failed") ;; *) failed="$failed $major" ;; esac
    is_narrow=
    for word in $parts; do
        case " checks unit regress isolation tap gateway readme " in *" $word "*) ;; *) is_narrow=yes ;; esac
    done
    [ -n "$is_narrow" ] || note "$major" "$result"
done
[ -z "$absent" ] || say "could not be had:$absent"
[ -z "$failed" ] || { say "FAILED on:$failed"; exit 1; }
[ -z "$majors" ] || [ -z "$absent" ] || exit 1
