#!/bin/sh
# A PostgreSQL with assertions and AddressSanitizer below $BUILD/asan/pgsql, and usher built for it and installed there.
# Prints nothing but what goes wrong; the logs are in $BUILD/asan. Runs as the unprivileged user (see tools/lib.sh).
#
# No package has such a server. Its source is the one that Debian's package is built from, or, with PG_SOURCE=/path, one that is
# there already. It is built once, which takes some ten minutes on two cores, and again when the version or the flags change.
set -eu
A=$BUILD/asan
MAJOR=$("$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
SANITIZE="-O1 -g -fno-omit-frame-pointer -fsanitize=address"
OPTIONS="--enable-cassert --enable-debug --enable-tap-tests --with-openssl --with-icu --with-libxml --with-lz4 --without-readline"
# The programs that a build makes and runs end by themselves: what they did not free is nobody's loss.
export ASAN_OPTIONS=detect_leaks=0

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
quietly() { # LOG COMMAND...
    log_=$A/$1.log
    shift
    "$@" > "$log_" 2>&1 || { tail -n 40 "$log_" >&2; die "failed: $* (see $log_)"; }
}

# --- the source ------------------------------------------------------------------------------------------------------

# The machine's package sources with deb-src in the place of deb, in a folder of ours: apt's own configuration stays as it is.
source_lists() { # FOLDER
    mkdir -p "$1"
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$list" ] || continue
        sed -n -E 's/^[[:space:]]*deb(-src)?[[:space:]]/deb-src /p' "$list" | sort -u > "$1/$(basename "$list" .list).list"
    done
    for list in /etc/apt/sources.list.d/*.sources; do
        [ -r "$list" ] || continue
        sed -E 's/^Types:.*/Types: deb-src/' "$list" > "$1/$(basename "$list")"
    done
}

apt_source() {
    set -- -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$A/apt/parts" \
        -o Dir::State::lists="$A/apt/lists" -o Dir::Cache="$A/apt/cache"
    rm -rf "$A/apt"
    mkdir -p "$A/apt/lists/partial" "$A/apt/cache/archives/partial"
    source_lists "$A/apt/parts"
    # somebody else's packages may come without sources; what counts is whether there is one of PostgreSQL
    (cd "$A/apt" && apt-get "$@" update) > "$A/source.log" 2>&1 || true
    # the newest first: a mirror may list what it does not hold
    for version in $(apt-cache "$@" showsrc "postgresql-$MAJOR" 2>> "$A/source.log" | sed -n 's/^Version: //p' | sort -Vru); do
        (cd "$A/apt" && apt-get "$@" source --download-only "postgresql-$MAJOR=$version") >> "$A/source.log" 2>&1 || continue
        rm -rf "$A/source"
        quietly unpack dpkg-source --no-check -x "$A"/apt/*.dsc "$A/source"
        rm -rf "$A/apt"
        return 0
    done
    tail -n 20 "$A/source.log" >&2
    die "apt has no source of postgresql-$MAJOR (see $A/source.log); PG_SOURCE=/path/to/postgresql-$MAJOR.x names one"
}

version_of() { sed -n "s/^PACKAGE_VERSION='\(.*\)'/\1/p" "$1/configure"; }

# --- the server ------------------------------------------------------------------------------------------------------

build_server() { # SOURCE
    say "building PostgreSQL $(version_of "$1") with assertions and AddressSanitizer; this takes a while"
    rm -rf "$A/server" "$A/include"
    mkdir -p "$A/server" "$A/include"
    cp -R "$SRC/tools/asan/valgrind" "$A/include/"
    cd "$A/server"
    # shellcheck disable=SC2086
    quietly configure "$1/configure" --prefix="$A/pgsql" $OPTIONS CC=gcc CXX=g++ CFLAGS="$SANITIZE" CXXFLAGS="$SANITIZE" \
        CPPFLAGS="-DUSE_VALGRIND -I$A/include"
    quietly make make -s -j"$JOBS"
    rm -rf "$A/pgsql"
    quietly install make -s install
    # programs of the tests, and what our extensions and their tests ask for
    for part in src/test/regress src/test/isolation contrib/pgcrypto contrib/btree_gist contrib/amcheck; do
        quietly part make -s -j"$JOBS" -C "$part" all install
    done
    cd /
    rm -rf "$A/server"
}

# --- usher -----------------------------------------------------------------------------------------------------------

# The server's own flags, AddressSanitizer's among them, come through its pg_config. Undefined behaviour ends the process as well.
# Not alignment: the server itself reads short varlenas where they lie.
build_usher() {
    mkdir -p "$A/usher/logs"
    (
        export BUILD="$A/usher" PG_CONFIG="$A/pgsql/bin/pg_config"
        quietly usher sh "$SRC/tools/build.sh" all install \
            SANITIZE_LIBRARY="-fsanitize=undefined -fno-sanitize=alignment -fno-sanitize-recover=all"
    )
}

mkdir -p "$A"
if [ -n "${PG_SOURCE:-}" ]; then
    [ -f "$PG_SOURCE/configure" ] || die "PG_SOURCE: there is no $PG_SOURCE/configure"
    wanted="$(version_of "$PG_SOURCE") from $PG_SOURCE"
else
    wanted=$("$PG_CONFIG" --version) # an upgrade of the installed one is the time to look for newer sources
fi
wanted="$wanted: $SANITIZE $OPTIONS $(cksum < "$SRC/tools/asan/valgrind/memcheck.h")"
if [ "$(cat "$A/built" 2>/dev/null || true)" != "$wanted" ]; then
    rm -f "$A/built"
    [ -n "${PG_SOURCE:-}" ] || apt_source
    build_server "${PG_SOURCE:-$A/source}"
    rm -rf "$A/source" "$A/usher" "$A"/postgresql-*
    printf '%s\n' "$wanted" > "$A/built"
fi
build_usher
