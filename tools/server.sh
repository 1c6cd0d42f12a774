#!/bin/sh
# The private cluster of ./dev run, with a database and a gateway for each system of examples/, and beside it, if wanted, a database for
# tests that belongs to a role of its own, both called SYSTEM_test:
#   server.sh run [SYSTEM|all] [--port N] [--smtp URL] | stop | mail ADDRESS | status [--system NAME] [--json] | conninfo [--system NAME]
#   server.sh apply|reset|current|upgrade|downgrade [SYSTEM] [--dev|--test|--both] [--to VERSION] | drift [SYSTEM]
# Runs as the unprivileged user, with SRC, BUILD, BINDIR and USHER_INSTANCE from tools/lib.sh.
#
# In the instance's folder, beside the cluster: gateways/NAME.{pid,ready,log}, the same in couriers/, mail/*.eml, and systems/NAME, which is there once the database NAME
# is complete, and holds the sum of the extensions' SQL that it was made with.
set -eu
. "$SRC/tools/cluster.sh"
dir=$USHER_INSTANCE
say() { printf '%s\n' "$*"; }
die() { printf 'dev: %s\n' "$*" >&2; exit 1; }

# --- the systems -----------------------------------------------------------------------------------------------------

# Those that the sources have, the car wash first: the README begins with it.
known_systems() {
    for system_ in carwash $(cd "$SRC/examples" && ls); do
        [ -f "$SRC/examples/$system_/install.sql" ] || continue
        case " ${known_:-} " in *" $system_ "*) continue ;; esac
        known_="${known_:-} $system_"
        say "$system_"
    done
}
# Those that have a database here, in the same order.
made_systems() {
    for system_ in $(known_systems); do [ ! -f "$dir/systems/$system_" ] || say "$system_"; done
}
check_system() { # NAME
    case " $(known_systems | tr '\n' ' ')" in
        *" $1 "*) ;;
        *) die "there is no system \"$1\"; there are: $(known_systems | tr '\n' ' ' | sed 's/ $//')" ;;
    esac
}
# The system that was asked for, or USHER_DATABASE, or the first one that has a database.
chosen_system() { # [NAME]
    name_=${1:-${USHER_DATABASE:-$(made_systems | sed -n 1p)}}
    [ -n "$name_" ] || die "not running; ./dev run starts it"
    check_system "$name_"
    [ -f "$dir/systems/$name_" ] || die "the system $name_ has no database here; ./dev run $name_ makes it"
    say "$name_"
}

# --- the programs of each system: a gateway, and a courier ---------------------------------------------------------------

program_runs() { # gateway|courier SYSTEM
    [ -f "$dir/$1s/$2.pid" ] || return 1
    # the number may be somebody else's by now
    [ "$(readlink "/proc/$(cat "$dir/$1s/$2.pid")/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$dir/root/usher-$1" ]
}
program_stop() { # gateway|courier SYSTEM TENTHS: after so many of a second it is killed
    if program_runs "$1" "$2"; then
        pid=$(cat "$dir/$1s/$2.pid")
        kill -TERM "$pid"
        i=0
        while program_runs "$1" "$2"; do
            i=$((i + 1))
            [ $i -lt "$3" ] || { kill -KILL "$pid"; break; }
            sleep 0.1
        done
    fi
    rm -f "$dir/$1s/$2.pid" "$dir/$1s/$2.ready"
}
program_await() { # gateway|courier SYSTEM: until it has said where it listens
    i=0
    while ! [ -s "$dir/$1s/$2.ready" ]; do
        i=$((i + 1))
        program_runs "$1" "$2" || [ $i -lt 5 ] || { tail -n 20 "$dir/$1s/$2.log" >&2; die "the $1 of $2 did not start"; }
        [ $i -lt 300 ] || { tail -n 20 "$dir/$1s/$2.log" >&2; die "the $1 of $2 does not answer"; }
        sleep 0.1
    done
}
gateway_runs() { program_runs gateway "$1"; } # SYSTEM
gateway_stop() { program_stop gateway "$1" 150; }
courier_runs() { program_runs courier "$1"; }
courier_stop() { program_stop courier "$1" 350; }
gateway_start() { # SYSTEM PORT
    files=$dir/gateways/$1
    rm -f "$files.ready"
    # cluster_conninfo names the superuser; of two settings libpq takes the last. Both ports are those of before, if they are free.
    setsid "$dir/root/usher-gateway" --port "$2" --admin-port "$(cat "$files.admin" 2> /dev/null || echo 8081)" --port-search 100 \
        --ready-file "$files.ready" \
        --database "$(cluster_conninfo "$dir" "$1") user=usher_gateway" \
        >> "$files.log" 2>&1 < /dev/null &
    echo $! > "$files.pid"
    program_await gateway "$1"
    sed -n 's/.*"admin":"[^"]*:\([0-9]*\)".*/\1/p' "$files.ready" > "$files.admin"
}

# Mail goes into files, or to the server that is named.
courier_start() { # SYSTEM [SMTP]
    files=$dir/couriers/$1
    rm -f "$files.ready"
    mkdir -p "$dir/mail"
    case ${2:-} in
        '') way=--mail-sink=$dir/mail tls=required ;;
        smtp://localhost*|smtp://127.*) way=--smtp=$2 tls=none ;;
        *) way=--smtp=$2 tls=required ;;
    esac
    setsid "$dir/root/usher-courier" --admin-port 8282 --port-search 100 --ready-file "$files.ready" "$way" --smtp-tls "$tls" \
        --database "$(cluster_conninfo "$dir" "$1") user=usher_courier" \
        >> "$files.log" 2>&1 < /dev/null &
    echo $! > "$files.pid"
    program_await courier "$1"
}
# The newest message to an address. One that is being made is waited for.
mail_to() { # ADDRESS
    i=0
    while :; do
        found=
        for file in "$dir"/mail/*.eml; do # their names are in the order of time
            [ ! -f "$file" ] || ! sed '/^.$/q' "$file" | grep -qiF "To: $1" || found=$file
        done
        [ -z "$found" ] || break
        i=$((i + 1))
        [ $i -lt 300 ] || die "there is no mail to $1 in $dir/mail"
        sleep 0.1
    done
    tr -d '\r' < "$found"
}

address() { sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p" "$dir/gateways/$1.ready"; } # SYSTEM gateway|admin

# What tokens and metadata name as their issuer is the address that people use. Connections learn it when they begin, so a gateway on a
# new port starts twice.
public_url() { # SYSTEM: as its database has it
    cluster_psql "$dir" postgres -v "name=$1" <<'END'
SELECT split_part(setting, '=', 2) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS setting
WHERE d.datname = :'name' AND s.setrole = 0 AND setting LIKE 'usher.public_url=%'
END
}
serve() { # SYSTEM [PORT]
    ! gateway_runs "$1" || return 0
    say "starting the gateway of $1"
    before=$(public_url "$1")
    port_=${2:-${before##*:}} # the one of last time, unless another is asked for
    gateway_start "$1" "${port_:-8080}" 8>&-
    tries=0
    # somebody else who starts may take the port while ours is free
    while now=$(address "$1" gateway) && [ "$now" != "$before" ]; do
        tries=$((tries + 1))
        [ $tries -lt 10 ] || die "other programs take one port after the other, the last of $now; try again"
        cluster_psql "$dir" postgres -c "ALTER DATABASE $1 SET usher.public_url = '$now'"
        gateway_stop "$1"
        gateway_start "$1" "${now##*:}" 8>&-
        before=$now
    done
}

# --- run -------------------------------------------------------------------------------------------------------------

build() {
    # logs and the sign of success are this instance's: another one may build at the same time
    say "building (log: $dir/build.log, the one before: $dir/build.log.1)"
    [ ! -s "$dir/build.log" ] || mv "$dir/build.log" "$dir/build.log.1" # a second call compiles nothing, and has nothing to say
    files=$(sh "$SRC/tools/build.sh" -n all gateway courier 2> /dev/null | grep -c "'  CXX " || true)
    rm -f "$dir/built"
    { sh "$SRC/tools/build.sh" all gateway courier 2>&1 && : > "$dir/built"; } |
        tee "$dir/build.log" | sh "$SRC/tools/progress.sh" "$files"
    [ -f "$dir/built" ] || { tail -n 40 "$dir/build.log" >&2; die "the build failed"; }
    sh "$SRC/tools/build.sh" install DESTDIR="$dir/root" > "$dir/install.log" 2>&1 ||
        { tail -n 40 "$dir/install.log" >&2; die "make install failed"; }
}

# From the sources of the extensions, into this instance's folder. Gateways of another program than this one end.
install_programs() {
    # under a name of its own, so that a gateway that runs keeps its file; the pages lie beside it
    if ! cmp -s "$BUILD/gateway/usher-gateway" "$dir/root/usher-gateway"; then
        for system in $(made_systems); do gateway_stop "$system"; done
        install -m 0755 "$BUILD/gateway/usher-gateway" "$dir/root/usher-gateway"
    fi
    if ! cmp -s "$BUILD/courier/usher-courier" "$dir/root/usher-courier"; then
        for system in $(made_systems); do courier_stop "$system"; done
        install -m 0755 "$BUILD/courier/usher-courier" "$dir/root/usher-courier"
    fi
    mkdir -p "$dir/root/pages"
    for page in "$BUILD"/gateway/pages/*.*; do
        cmp -s "$page" "$dir/root/pages/${page##*/}" || install -m 0644 "$page" "$dir/root/pages/"
    done
    for system in $(made_systems); do
        ! gateway_runs "$system" || kill -HUP "$(cat "$dir/gateways/$system.pid")"
    done
}

# The server, with a background worker for each database. A worker that finds no database looks again in ten seconds only: those that
# are new are named, and the server started again, when they are complete.
start_server() {
    cluster_start "$dir" "library $(cksum < "$dir/root$("$PG_CONFIG" --pkglibdir)/usher.so")" 8>&- <<END
$(extension_settings "$dir/root")
shared_preload_libraries = 'usher'
usher.worker_databases = '$(made_systems | tr '\n' ',' | sed 's/,$//')'
max_worker_processes = 16
log_line_prefix = '%m [%p] %q%u@%d '
END
}

# Of the SQL that databases are made with.
sql_sum() { cat "$dir/root$("$PG_CONFIG" --sharedir)"/extension/usher*--*.sql | cksum; }

# Makes the database, unless it is there; then what install.sql and names.sql make, which may run again.
load_system() { # SYSTEM
    if [ ! -f "$dir/systems/$1" ]; then
        say "making the database $1"
        cluster_psql "$dir" postgres -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1"
    elif [ "$(cat "$dir/systems/$1")" != "$scripts" ]; then
        say "NOTE: the SQL of the extensions has changed since the database $1 was made; ./dev clean makes a new one."
    fi
    for part in install names; do
        [ ! -f "$SRC/examples/$1/$part.sql" ] || cluster_psql "$dir" "$1" -f "$SRC/examples/$1/$part.sql" > /dev/null
    done
    cluster_psql "$dir" "$1" -f "$SRC/tools/gateway_role.sql" > /dev/null
    cluster_psql "$dir" "$1" -f "$SRC/tools/courier_role.sql" > /dev/null
    [ -f "$dir/systems/$1" ] || echo "$scripts" > "$dir/systems/$1"
}

run() {
    port=
    smtp=
    asked=
    while [ $# -gt 0 ]; do
        case $1 in
            --smtp) [ $# -ge 2 ] || die "--smtp needs a URL"; smtp=$2; shift 2 ;;
            --port) [ $# -ge 2 ] || die "--port needs a number"; port=$2; shift 2 ;;
            -*) die "run: unknown option $1" ;;
            *) [ -z "$asked" ] || die "run: one system, or all"; asked=$1; shift ;;
        esac
    done
    case ${asked:=carwash} in
        all) asked=$(known_systems) ;;
        *) check_system "$asked" ;;
    esac
    mkdir -p "$dir/systems" "$dir/gateways" "$dir/couriers"
    exec 8> "$dir/lock"
    flock 8
    build
    install_programs
    scripts=$(sql_sum)

    say "starting PostgreSQL in $dir"
    cluster_init "$dir"
    start_server
    for system in $asked; do load_system "$system"; done
    start_server
    # the others that are here as well: what ran before a stop runs after it
    for system in $(made_systems); do
        case " $(echo $asked) " in *" $system "*) serve "$system" "$port" ;; *) serve "$system" ;; esac
        [ -z "$smtp" ] || courier_stop "$system"
        courier_runs "$system" || courier_start "$system" "$smtp" 8>&-
    done
    status_all
    for system in $asked; do
        cat <<END

Try $system:
  $(address "$system" gateway)/docs in a browser
  curl $(address "$system" gateway)/openapi.json
  ./dev psql --system $system -c 'SELECT * FROM usher.health()'
END
        sed -n 's/^-- demo: //p' "$SRC/examples/$system/install.sql"
    done
    say "./dev stop stops it; README.md has the whole story of the car wash."
}

# --- status ----------------------------------------------------------------------------------------------------------

version() { cluster_psql "$dir" postgres -c "SELECT split_part(current_setting('server_version'), ' ', 1)"; }
# The same as cluster_conninfo, in the form that libpq and the drivers of other languages know.
database_url() { # SYSTEM
    printf 'postgresql://postgres@/%s?host=%s&port=5432' "$1" "$(sed 's/%/%25/g; s/ /%20/g; s/&/%26/g; s/#/%23/g; s/+/%2B/g' "$dir/sockets")"
}
json_of() { # SYSTEM
    printf '"gateway": "%s", "admin": "%s", "conninfo": "%s", "database_url": "%s", "database": "%s", "pg_version": "%s"' \
        "$(address "$1" gateway)" "$(address "$1" admin)" "$(cluster_conninfo "$dir" "$1")" "$(database_url "$1")" "$1" "$(version)"
}
status_all() {
    for system_ in $(made_systems); do
        say "$system_"
        if gateway_runs "$system_"; then
            say "  gateway   $(address "$system_" gateway)"
            say "  admin     $(address "$system_" admin)   (/livez /readyz /metrics)"
        else
            say "  gateway   not running; ./dev run $system_ starts it"
        fi
        ! courier_runs "$system_" || say "  courier   $(sed -n 's/.*"admin":"\([^"]*\)".*/\1/p' "$dir/couriers/$system_.ready")   (mail: $dir/mail/*.eml; ./dev mail ADDRESS)"
        say "  database  $(cluster_conninfo "$dir" "$system_")   (PostgreSQL $(version); ./dev psql --system $system_)"
        ! exists "${system_}_test" ||
            say "  tests     $(cluster_conninfo "$dir" "${system_}_test" | sed "s/user=postgres/user=${system_}_test/")"
        say "  DATABASE_URL='$(database_url "$system_")'"
    done
    say "logs: $dir/log and $dir/gateways/*.log"
}
status() {
    asked=
    json=
    while [ $# -gt 0 ]; do
        case $1 in
            --json) json=1; shift ;;
            --system) [ $# -ge 2 ] || die "--system needs a name"; asked=$2; shift 2 ;;
            *) die "status: unknown option $1" ;;
        esac
    done
    not_running() {
        [ -n "$json" ] || say "not running; ./dev run starts it"
        exit 3
    }
    if ! cluster_runs "$dir" || [ -z "$(made_systems)" ]; then not_running; fi
    system=$(chosen_system "$asked")
    gateway_runs "$system" || not_running
    if [ -z "$json" ]; then
        status_all
        return
    fi
    # what was asked for, and below it everything that runs
    printf '{%s, "systems": {' "$(json_of "$system")"
    comma=
    for each in $(made_systems); do
        gateway_runs "$each" || continue
        printf '%s"%s": {%s}' "$comma" "$each" "$(json_of "$each")"
        comma=', '
    done
    printf '}}\n'
}

# --- schemas: the commands that other tools for migrations have (docs/upgrade.md) -------------------------------------

exists() { [ -n "$(cluster_psql "$dir" postgres -v "name=$1" -f - <<'END'
SELECT 1 FROM pg_database WHERE datname = :'name'
END
)" ]; }

# Sets system, databases, which of them are meant, and version, from the arguments of a command. Only what is there, with $1 = there.
choose_databases() { # there|any [SYSTEM] [--dev|--test|--both] [--to VERSION]
    only=$1
    shift
    asked=
    which=
    version=
    while [ $# -gt 0 ]; do
        case $1 in
            --dev|--test|--both) which=${1#--}; shift ;;
            --to) [ $# -ge 2 ] || die "--to needs a version"; version=$2; shift 2 ;;
            -*) die "$command: unknown option $1" ;;
            *) [ -z "$asked" ] || die "$command: one system"; asked=$1; shift ;;
        esac
    done
    cluster_runs "$dir" || die "not running; ./dev run starts it"
    system=$(chosen_system "$asked")
    databases=
    for database in "$system" "${system}_test"; do
        case $which,$database in
            dev,*_test|test,"$system") continue ;;
        esac
        if [ "$only" = there ] && ! exists "$database"; then
            [ -z "$which" ] || [ "$which" = both ] || die "there is no database $database; ./dev apply $system --$which makes it"
            continue
        fi
        databases="$databases $database"
    done
}

# The extensions of a database to a version, or to the newest: core first, or last when it goes back; all or none. An extension that the
# version does not have is dropped.
update_extensions() { # DATABASE [VERSION]
    cluster_psql "$dir" "$1" -v "version=${2:-}" > "$dir/update.sql" <<'END'
SELECT CASE WHEN :'version' IN ('', e.extversion) OR e.extname = 'usher' OR EXISTS (SELECT FROM pg_extension_update_paths(e.extname) AS p
                WHERE p.source = e.extversion AND p.target = :'version' AND p.path IS NOT NULL)
            THEN format('ALTER EXTENSION %I UPDATE%s;', e.extname, ' TO ' || quote_literal(nullif(:'version', '')))
            ELSE format('DROP EXTENSION %I;', e.extname) END
FROM pg_extension AS e
WHERE e.extname = 'usher' OR e.extname LIKE 'usher\_%'
ORDER BY (e.extname = 'usher') = (string_to_array(e.extversion, '.')::integer[]
    > string_to_array(coalesce(nullif(:'version', ''), e.extversion), '.')::integer[]), e.extname
END
    cluster_psql "$dir" "$1" --single-transaction -c "SET client_min_messages = warning" -f "$dir/update.sql"
}

apply_to() { # DATABASE: makes it where it is missing; what makes the system may run again
    if ! exists "$1"; then
        say "making the database $1"
        cluster_psql "$dir" postgres -c "CREATE DATABASE $1"
    fi
    for part in install names; do
        [ ! -f "$SRC/examples/$system/$part.sql" ] || cluster_psql "$dir" "$1" -f "$SRC/examples/$system/$part.sql" > /dev/null
    done
    update_extensions "$1"
    case $1 in
        *_test)
            # tests connect as a role of their own, and nobody else comes here
            cluster_psql "$dir" "$1" -v "role=$1" > /dev/null <<'END'
SET client_min_messages = warning;
SELECT format('CREATE ROLE %I LOGIN', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
SELECT format('ALTER DATABASE %I OWNER TO %I; REVOKE CONNECT ON DATABASE %1$I FROM PUBLIC', :'role', :'role') \gexec
SELECT usher.grant_access(:'role', 'admin');
END
            ;;
        *) cluster_psql "$dir" "$1" -f "$SRC/tools/gateway_role.sql" > /dev/null ;;
    esac
    cluster_psql "$dir" "$1" -f "$SRC/tools/courier_role.sql" > /dev/null
    say "applied to $1"
}

reset_database() { # DATABASE: drop, make anew, apply
    url=$(public_url "$1")
    if [ "$1" = "$system" ]; then
        gateway_stop "$system"
        courier_stop "$system"
    fi
    cluster_psql "$dir" postgres -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS $1 WITH (FORCE)"
    apply_to "$1"
    # the gateway has the address of before
    [ -z "$url" ] || cluster_psql "$dir" postgres -c "ALTER DATABASE $1 SET usher.public_url = '$url'"
    if [ "$1" = "$system" ]; then
        sql_sum > "$dir/systems/$system"
        serve "$system"
        courier_start "$system" '' 8>&-
    fi
}

# Versions of a database; the head is that of the sources.
current() { # DATABASE
    head=$(sed -n '/^  "version":/{s/.*: "\(.*\)".*/\1/p;q}' "$SRC/META.json")
    cluster_psql "$dir" "$1" -F ' ' -v "database=$1" -v "head=$head" <<'END'
SELECT :'database', e.extname, e.extversion, CASE WHEN e.extversion = :'head' THEN '(head)' ELSE '(head is ' || :'head' || ')' END
FROM pg_extension AS e WHERE e.extname = 'usher' OR e.extname LIKE 'usher\_%' ORDER BY e.extname
END
}

previous_version() { # DATABASE
    cluster_psql "$dir" "$1" <<'END'
SELECT p.target FROM pg_extension AS e CROSS JOIN LATERAL pg_extension_update_paths('usher') AS p
WHERE e.extname = 'usher' AND p.source = e.extversion AND p.path = p.source || '--' || p.target
    AND string_to_array(p.target, '.')::integer[] < string_to_array(p.source, '.')::integer[]
ORDER BY string_to_array(p.target, '.')::integer[] DESC LIMIT 1
END
}

# What a database is: the objects of the extensions, and what pg_dump says of everything else. Not its comments, the keys that it makes up
# each time, the months of logs, the numbers of tables, which triggers carry, and what the role for tests may.
definitions() { # DATABASE
    for extension in $(cluster_psql "$dir" "$1" -c "SELECT extname FROM pg_extension WHERE extname = 'usher' OR extname LIKE 'usher\_%' ORDER BY 1"); do
        cluster_psql "$dir" "$1" -v "extension=$extension" -f "$SRC/tools/describe.sql" | grep -v '"kind": "dependency"'
    done
    "$BINDIR/pg_dump" -s --exclude-table='*.*_logs_2*' "$(cluster_conninfo "$dir" "$1")" |
        grep -vE "^\\\\(un)?restrict |^--|^$|(TO|FROM) ${system}_test;" | sed -E 's/"relation": [0-9]+/"relation": …/'
}
drift() { # of the two databases of a system
    for database in "$system" "${system}_test"; do
        exists "$database" || die "there is no database $database; ./dev apply $system makes it"
        definitions "$database" > "$dir/$database.definitions"
    done
    if diff "$dir/$system.definitions" "$dir/${system}_test.definitions"; then
        say "$system and ${system}_test are the same"
    else
        die "$system and ${system}_test differ"
    fi
}

command=$1
shift
case $command in
    run) run "$@" ;;
    apply|reset)
        choose_databases any "$@"
        mkdir -p "$dir/gateways"
        exec 8> "$dir/lock"
        flock 8
        build
        install_programs
        start_server
        for database in $databases; do
            case $command in apply) apply_to "$database" ;; reset) reset_database "$database" ;; esac
        done ;;
    current|upgrade|downgrade)
        choose_databases there "$@"
        for database in $databases; do
            case $command in
                upgrade) update_extensions "$database" "$version" ;;
                downgrade)
                    to=${version:-$(previous_version "$database")}
                    [ -n "$to" ] || die "$database: no script leads back from its version"
                    update_extensions "$database" "$to" ;;
            esac
            current "$database"
        done ;;
    drift)
        choose_databases any "$@"
        drift ;;
    stop)
        for system in $(made_systems); do gateway_stop "$system"; courier_stop "$system"; done
        cluster_stop "$dir" ;;
    status) status "$@" ;;
    mail) [ $# -eq 1 ] || die "mail: whose? ./dev mail ADDRESS"; mail_to "$1" ;;
    conninfo)
        cluster_runs "$dir" || die "not running; ./dev run starts it"
        system=$(chosen_system "${2:-}")
        cluster_conninfo "$dir" "$system" ;;
esac
