#!/bin/sh
# ./dev test-long pg_upgrade [MAJOR...]: pg_upgrade from the PostgreSQL of Debian 12 to later ones (17 and 18 unless named), in the Debians of
# ./dev matrix, with every extension and the systems of examples/ (test/t/all_pg_upgrade.pl).
# The old server's packages are those of Debian 12 and stand beside the new one's; usher for the old server is the one built here.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$here/tools/lib.sh"
. "$here/tools/matrix/roots.sh"
[ "$(id -u)" -eq 0 ] || die "this needs root, for chroot and mounts"
[ "$(. /etc/os-release; echo "$VERSION_CODENAME")" = "$(suite_of "$PG_MAJOR")" ] ||
    die "this needs Debian 12, whose PostgreSQL $PG_MAJOR is the old one"
need $RUN_PACKAGES mmdebstrap debian-archive-keyring
prepare
: "${JOBS:=$(nproc)}"
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
chmod 777 "$old"
as_user sh "$SRC/tools/build.sh" all install DESTDIR="$old" > "$old/log" 2>&1 || { tail -n 30 "$old/log"; exit 1; }

# NAME gets the old server, from the same mirror.
install_old() {
    sources_of "$(suite_of "$PG_MAJOR")" > "$ROOTS/$1/etc/apt/sources.list.d/old.list"
    make_root "$1" "$(suite_of "$1")" "postgresql-$PG_MAJOR"
}

failed=
for major in ${*:-17 18}; do
    say "=== from PostgreSQL $PG_MAJOR to $major"
    major_root "$major" || { failed="$failed $major"; continue; }
    install_old "$major" || { failed="$failed $major"; continue; }
    rm -rf "$ROOTS/$major/usher-old"
    cp -R "$old" "$ROOTS/$major/usher-old"
    chmod -R a+rX "$ROOTS/$major/usher-old"
    libdir=/usr/lib/postgresql/$PG_MAJOR/lib
    # Functions that the old server has made name $libdir/usher. Up to 17, Debian's server looks below the folder of the tests for that as
    # well; a later one has to find it there. It is the same file, so it is not loaded a second time.
    new_libdir=/usr/lib/postgresql/$major/lib
    in_root "$major" ln -sfn "/usher/build/test/root$new_libdir/usher.so" "$new_libdir/usher.so"
    as_builder "$major" USHER_OLD_BIN="/usr/lib/postgresql/$PG_MAJOR/bin" \
        USHER_OLD_SETTINGS="extension_destdir = '/usher-old'
dynamic_library_path = '/usher-old$libdir:$libdir'" /usher/dev test tap all_pg_upgrade || failed="$failed $major"
    rm -rf "$ROOTS/$major/usher-old" "$ROOTS/$major$new_libdir/usher.so"
done
[ -z "$failed" ] || { say "FAILED to:$failed"; exit 1; }
