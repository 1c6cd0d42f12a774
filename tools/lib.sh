# Sourced by ./dev: packages, the user everything runs as, and the folders. Expects $here, the checkout.
#
# Sets  SRC     the sources: the checkout, or a copy of it where the checkout cannot be used
#       BUILD   everything built, stored and logged; owned by the user that as_user becomes
#       BINDIR  PostgreSQL's programs

PG_MAJOR=15
RUN_PACKAGES="libpq-dev libcurl4-openssl-dev libssl-dev libargon2-dev libicu-dev libcrypt-dev nlohmann-json3-dev g++ make dpkg-dev ca-certificates curl jq"
# Who names a server with PG_CONFIG has one.
[ -n "${PG_CONFIG:-}" ] || RUN_PACKAGES="postgresql-$PG_MAJOR postgresql-server-dev-$PG_MAJOR $RUN_PACKAGES"
TEST_PACKAGES="libipc-run-perl libgtest-dev git unzip"
# Programs beside which we are tested: proxies, pooler, backups, watching, service manager, browser, mail server, a reader of mail; and the
# client of PGXN. Their services are never started.
BESIDE_PACKAGES="openssl nginx haproxy pgbouncer pgbackrest prometheus systemd chromium exim4-daemon-light libemail-mime-perl pgxnclient"
# Beside those, for the failover of ./dev test-long.
FAILOVER_PACKAGES="patroni etcd-server python3-etcd"
BENCH_PACKAGES="wrk"
PACKAGING_PACKAGES="debhelper dpkg-dev postgresql-server-dev-all"
CLANG_PACKAGES="clang clang-format clang-tidy"
# What a PostgreSQL is built with from its source, for ./dev test-long asan.
ASAN_PACKAGES="gcc bison flex perl zlib1g-dev libicu-dev libxml2-dev liblz4-dev pkg-config"

say() { printf '%s\n' "$*" >&2; }
die() { say "dev: $*"; exit 1; }

# Those of the packages that are not installed. Where there is no dpkg, the programs are expected to be there.
missing_of() {
    command -v dpkg-query > /dev/null || return 0
    for package in "$@"; do
        case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) in
            installed) ;;
            *) printf ' %s' "$package" ;;
        esac
    done
}

can_install() { [ "$(id -u)" -eq 0 ] || command -v sudo > /dev/null; }

# need PACKAGE...: installs those that are missing.
need() {
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    can_install || die "these packages are missing, and there is no sudo; as root:
  apt-get install --no-install-recommends$missing"
    root=
    [ "$(id -u)" -eq 0 ] || root=sudo
    say "installing$missing"
    # Debian would create a cluster of its own on port 5432 and start it.
    $root sh -c 'f=/etc/postgresql-common/createcluster.conf
        [ -e $f ] || { mkdir -p ${f%/*}; echo "create_main_cluster = false" > $f; }'
    # No service is started, now (policy-rc.d) or with the machine: we want the programs only.
    # The lists may be old or absent; a second try with fresh ones settles it.
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive sh -c '
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            trap "rm -f $policy" EXIT
            trap "exit 130" INT TERM
            printf "#!/bin/sh\nexit 101\n" > $policy
            chmod 755 $policy
        fi
        install() { apt-get install -y -q --no-install-recommends "$@"; }
        install "$@" || { apt-get update -q && install "$@"; } || exit 1
        for package in "$@"; do
            case $package in
                nginx|haproxy|pgbouncer|prometheus|patroni) systemctl disable --quiet "$package" || true ;;
                etcd-server) systemctl disable --quiet etcd || true ;;
                exim4-daemon-light) systemctl disable --quiet exim4 exim4-base.timer || true ;;
            esac
        done' sh $missing > "$log" 2>&1 || { tail -n 30 "$log" >&2; die "apt-get failed"; }
    rm -f "$log"
}

# want PACKAGE...: the same, but goes on without those that cannot be had: their tests are skipped, and say so.
want() {
    if can_install; then
        (need "$@") || for package in "$@"; do
            (need "$package") || say "$package cannot be installed, so the tests that use it are skipped"
        done
    else
        missing=$(missing_of "$@")
        [ -z "$missing" ] || say "not installed, so the tests that use them are skipped:$missing"
    fi
}

# need_node: Node.js and npm, Debian's unless there are others.
need_node() {
    command -v node > /dev/null && command -v npm > /dev/null || need nodejs npm
}

# as_user COMMAND...: as the unprivileged user. setpriv execs, so that a pid is the program's own and signals reach it.
# A stray PGHOST and the like would send the tests to somebody's server.
as_user() {
    (
        unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGSSLMODE
        unset MAKEFLAGS MAKELEVEL TEMP_CONFIG
        export SRC BUILD BINDIR PG_CONFIG JOBS USHER_INSTANCE USHER_DATABASE PG_SOURCE
        cd /
        if [ -n "$RUN_AS" ]; then
            exec setpriv --reuid="$RUN_AS" --regid="$RUN_AS" --init-groups \
                env HOME="$BUILD" USER="$RUN_AS" LOGNAME="$RUN_AS" sh -c '
                    # ccache, where it is in the PATH, must have a folder that this user may write
                    [ -z "${CCACHE_DIR:-}" ] || [ -w "$CCACHE_DIR" ] || export CCACHE_DIR="$HOME/ccache"
                    exec "$@"' sh "$@"
        fi
        exec "$@"
    )
}

find_programs() {
    if [ -z "${PG_CONFIG:-}" ]; then
        PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config
        [ -x "$PG_CONFIG" ] || PG_CONFIG=$(command -v pg_config) || die "no pg_config found; install PostgreSQL or set PG_CONFIG"
    fi
    BINDIR=$("$PG_CONFIG" --bindir)
    JOBS=${JOBS:-$(nproc 2>/dev/null || echo 2)}
}

# The pg_config of a major that is installed with its headers: in the folder that USHER_MAJORS names, where each major has a folder of its own
# (/usr/local/pgsql/16/bin/pg_config for USHER_MAJORS=/usr/local/pgsql), or where the packages of Debian and of apt.postgresql.org put it.
config_of() { # MAJOR
    for root_ in ${USHER_MAJORS:-} /usr/lib/postgresql; do
        config_=$root_/$1/bin/pg_config
        if [ -x "$config_" ] && [ -f "$("$config_" --includedir-server)/postgres.h" ]; then
            echo "$config_"
            return 0
        fi
    done
    return 1
}
# ./dev test on that server, in a build folder of its own beside ours.
test_major() { # MAJOR PG_CONFIG [PART...]
    find_programs
    locate
    [ "$BUILD" = "$here/build" ] || die "each major builds in the checkout, and $here cannot be used for that"
    major_=$1 config_=$2
    shift 2
    say "=== PostgreSQL $major_: $("$config_" --version), built in $BUILD/majors/$major_"
    mkdir -p "$BUILD/majors"
    [ -z "$RUN_AS" ] || chown "$RUN_AS:" "$BUILD" "$BUILD/majors"
    PG_CONFIG=$config_ USHER_BUILD=$BUILD/majors/$major_ "$here/dev" test "$@"
}

# May the unprivileged user make files in this folder? False below root's 0700 home, say.
usable() { [ -d "$1" ] && (BUILD=/ as_user test -w "$1" -a -x "$1"); }

# Where things are, without making anything.
locate() {
    RUN_AS=
    if [ "$(id -u)" -eq 0 ]; then
        RUN_AS=postgres
        id "$RUN_AS" > /dev/null 2>&1 || die "the user $RUN_AS is missing (package postgresql-common makes it)"
    fi
    fallback=/var/tmp/usher-${RUN_AS:-$(id -un)}-$(printf '%s' "$here" | cksum | tr ' ' '-')
    SRC=$here
    BUILD=$here/build
    case $here in
        *[!A-Za-z0-9/._+,:@%=-]*) BUILD=$fallback ;; # make and PGXS split words
        *)
            if [ -n "$RUN_AS" ] && ! (BUILD=/ as_user test -r "$here/dev" -a -x "$here"); then
                BUILD=$fallback # below a folder that only root may enter
            elif [ -z "$RUN_AS" ] && [ ! -w "$here" ]; then
                BUILD=$fallback # somebody else's checkout
            fi ;;
    esac
    [ "$BUILD" = "$here/build" ] || SRC=$BUILD/src
    if [ -n "${USHER_BUILD:-}" ]; then # ./dev inside ./dev test: what was built already
        BUILD=$USHER_BUILD
        SRC=$here
    fi
    USHER_INSTANCE=$(realpath -m "${USHER_INSTANCE:-$BUILD/run}") # commands run in another folder
}

prepare_quietly() {
    find_programs
    locate
    [ -d "$BUILD" ] || die "nothing here yet; ./dev run makes it"
}

prepare() {
    find_programs
    locate
    if [ ! -d "$BUILD" ]; then mkdir -m 0755 "$BUILD"; fi
    if [ -n "$RUN_AS" ]; then
        [ ! -L "$BUILD" ] || die "$BUILD is a symbolic link"
        # files of a `make` by root in between; but never hand somebody else's folder under /var/tmp to postgres
        case $(stat -c %U "$BUILD") in
            root|"$RUN_AS") find "$BUILD" ! -user "$RUN_AS" -exec chown -h "$RUN_AS:" {} + ;;
            *) die "$BUILD belongs to somebody else" ;;
        esac
    elif [ ! -O "$BUILD" ]; then
        die "$BUILD belongs to somebody else; remove it, or run ./dev as that user"
    fi
    [ "$SRC" = "$here" ] || copy_sources
}

# A fresh copy with the files' own times, so that make rebuilds only what changed. Read by us, written by that user.
copy_sources() {
    as_user rm -rf "$SRC"
    as_user mkdir -p "$SRC"
    tar -C "$here" --exclude=./build --exclude=./.git --exclude=./node_modules -cf - . |
        as_user tar -C "$SRC" --no-same-owner -xf -
}
