#!/bin/sh
# The private cluster and the gateway of ./dev run: server.sh run [--port N] | stop | status [--json] | conninfo
# Runs as the unprivileged user, with SRC, BUILD, BINDIR and USHER_INSTANCE from tools/lib.sh.
set -eu
. "$SRC/tools/cluster.sh"
dir=$USHER_INSTANCE
database=usher
say() { printf '%s\n' "$*"; }
die() { printf 'dev: %s\n' "$*" >&2; exit 1; }

gateway_runs() {
    [ -f "$dir/gateway.pid" ] || return 1
    # the number may be somebody else's by now
    [ "$(readlink "/proc/$(cat "$dir/gateway.pid")/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$dir/root/usher-gateway" ]
}
gateway_stop() {
    if gateway_runs; then
        pid=$(cat "$dir/gateway.pid")
        kill -TERM "$pid"
        i=0
        while gateway_runs; do
            i=$((i + 1))
            [ $i -lt 150 ] || { kill -KILL "$pid"; break; }
            sleep 0.1
        done
    fi
    rm -f "$dir/gateway.pid" "$dir/gateway.ready"
}
gateway_start() { # PORT
    rm -f "$dir/gateway.ready"
    # cluster_conninfo names the superuser; of two settings libpq takes the last
    setsid "$dir/root/usher-gateway" --port "$1" --port-search 100 --ready-file "$dir/gateway.ready" \
        --database "$(cluster_conninfo "$dir" $database) user=usher_gateway" \
        >> "$dir/gateway.log" 2>&1 < /dev/null &
    echo $! > "$dir/gateway.pid"
    i=0
    while ! [ -s "$dir/gateway.ready" ]; do
        i=$((i + 1))
        gateway_runs || [ $i -lt 5 ] || { tail -n 20 "$dir/gateway.log" >&2; die "the gateway did not start"; }
        [ $i -lt 300 ] || { tail -n 20 "$dir/gateway.log" >&2; die "the gateway does not answer"; }
        sleep 0.1
    done
}
address() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$dir/gateway.ready"; } # gateway or admin

build() {
    # logs and the sign of success are this instance's: another one may build at the same time
    say "building (log: $dir/build.log, the one before: $dir/build.log.1)"
    [ ! -s "$dir/build.log" ] || mv "$dir/build.log" "$dir/build.log.1" # a second call compiles nothing, and has nothing to say
    files=$(sh "$SRC/tools/build.sh" -n all gateway 2> /dev/null | grep -c "'  CXX " || true)
    rm -f "$dir/built"
    { sh "$SRC/tools/build.sh" all gateway 2>&1 && : > "$dir/built"; } |
        tee "$dir/build.log" | sh "$SRC/tools/progress.sh" "$files"
    [ -f "$dir/built" ] || { tail -n 40 "$dir/build.log" >&2; die "the build failed"; }
    sh "$SRC/tools/build.sh" install DESTDIR="$dir/root" > "$dir/install.log" 2>&1 ||
        { tail -n 40 "$dir/install.log" >&2; die "make install failed"; }
}

run() {
    port=8080
    while [ $# -gt 0 ]; do
        case $1 in
            --port) [ $# -ge 2 ] || die "--port needs a number"; port=$2; shift 2 ;;
            *) die "run: unknown option $1" ;;
        esac
    done
    mkdir -p "$dir"
    exec 8> "$dir/lock"
    flock 8
    build
    # under a name of its own, so that a gateway that runs keeps its file; the pages lie beside it
    if ! cmp -s "$BUILD/gateway/usher-gateway" "$dir/root/usher-gateway"; then
        gateway_stop
        install -m 0755 "$BUILD/gateway/usher-gateway" "$dir/root/usher-gateway"
    fi
    mkdir -p "$dir/root/pages"
    for page in "$BUILD"/gateway/pages/*.*; do
        cmp -s "$page" "$dir/root/pages/${page##*/}" || install -m 0644 "$page" "$dir/root/pages/"
    done
    ! gateway_runs || kill -HUP "$(cat "$dir/gateway.pid")"
    library=$(cksum < "$dir/root$("$PG_CONFIG" --pkglibdir)/usher.so")
    scripts=$(cat "$dir/root$("$PG_CONFIG" --sharedir)"/extension/usher*--*.sql | cksum)

    say "starting PostgreSQL in $dir"
    cluster_init "$dir"
    cluster_start "$dir" "library $library" 8>&- <<END
$(extension_settings "$dir/root")
shared_preload_libraries = 'usher'
usher.worker_databases = '$database'
log_line_prefix = '%m [%p] %q%u@%d '
END
    if [ "$(cluster_psql "$dir" postgres -c "SELECT count(*) FROM pg_database WHERE datname = '$database'")" = 0 ]; then
        say "making the database, with the extensions and the demo"
        # made under another name, so that a database with our name is a complete one
        cluster_psql "$dir" postgres -c "SET client_min_messages = warning" \
            -c "DROP DATABASE IF EXISTS ${database}_new" -c "CREATE DATABASE ${database}_new"
        cluster_psql "$dir" ${database}_new -f "$SRC/tools/database.sql" > /dev/null
        cluster_psql "$dir" postgres -c "ALTER DATABASE ${database}_new RENAME TO $database"
        echo "$scripts" > "$dir/scripts"
        # the background worker found no database when the server started, and would look again in ten seconds
        "$BINDIR/pg_ctl" -D "$dir/data" -w -t 60 -m fast -l "$dir/log" restart > "$dir/start.log" 2>&1 < /dev/null 8>&-
    elif [ "$(cat "$dir/scripts")" != "$scripts" ]; then
        say "NOTE: the SQL of the extensions has changed since this database was made; ./dev clean makes a new one."
    fi
    cluster_psql "$dir" $database -f "$SRC/examples/demo.sql" > /dev/null
    gateway_runs || { say "starting the gateway"; gateway_start "$port" 8>&-; }
    # what tokens and metadata name as their issuer: the address that people use
    cluster_psql "$dir" $database -c "ALTER SYSTEM SET usher.public_url = '$(address gateway)'" -c "SELECT pg_reload_conf()" > /dev/null
    status
    cat <<END

Try:
  $(address gateway)/docs in a browser
  curl $(address gateway)/openapi.json
  ./dev psql -c 'SELECT * FROM usher.health()'
END
    sed -n 's/^-- demo: //p' "$SRC/examples/demo.sql"
    say "./dev stop stops it; README.md has the whole story."
}

version() { cluster_psql "$dir" $database -c "SELECT split_part(current_setting('server_version'), ' ', 1)"; }

status() {
    if ! cluster_runs "$dir" || ! gateway_runs; then
        [ "${1:-}" = --json ] || say "not running; ./dev run starts it"
        return 3
    fi
    if [ "${1:-}" = --json ]; then
        printf '{"gateway": "%s", "admin": "%s", "conninfo": "%s", "database": "%s", "pg_version": "%s"}\n' \
            "$(address gateway)" "$(address admin)" "$(cluster_conninfo "$dir" $database)" $database "$(version)"
        return
    fi
    say "gateway   $(address gateway)"
    say "admin     $(address admin)   (/livez /readyz /metrics)"
    say "database  $(cluster_conninfo "$dir" $database)   (PostgreSQL $(version); ./dev psql)"
    say "logs      $dir/log and $dir/gateway.log"
}

command=$1
shift
case $command in
    run) run "$@" ;;
    stop) gateway_stop; cluster_stop "$dir" ;;
    status) status "$@" ;;
    conninfo) cluster_runs "$dir" || die "not running; ./dev run starts it"; cluster_conninfo "$dir" $database ;;
esac
