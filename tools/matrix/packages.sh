#!/bin/sh
# ./dev test-long packages [MAJOR...]: builds the Debian packages (of the major of Debian 12, unless others are named), installs them on a
# bare system, and does there what deploy/debian/usher-*.README.Debian say. systemd itself starts the services, in a container without a
# network (systemd-nspawn). The last line is "N passed, N failed".
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$here/tools/lib.sh"
. "$here/tools/matrix/roots.sh"
[ "$(id -u)" -eq 0 ] || die "this needs root, for chroot and mounts"
need mmdebstrap debian-archive-keyring systemd-container lintian
passed=0
failed=0
log=$(mktemp)

ok() { # WHAT COMMAND...
    what=$1
    shift
    if "$@" > "$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok - $what"
    else
        failed=$((failed + 1))
        echo "not ok - $what"
        sed 's/^/# /' "$log" | tail -n 30
    fi
}
says() { # PATTERN COMMAND...
    pattern=$1
    shift
    answer=$("$@" 2>&1) || true
    printf '%s\n' "$answer"
    printf '%s\n' "$answer" | grep -qE "$pattern"
}
not() { ! "$@"; }

halt() {
    [ -z "${leader:-}" ] || inside systemctl poweroff 2> /dev/null || kill "$container" || true
    [ -z "${container:-}" ] || wait "$container" || true
    leader= container=
}
finish() {
    halt
    [ -z "${bare:-}" ] || remove_root "$bare"
    rm -f "$log" "$log.boot"
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- building --------------------------------------------------------------------------------------------------------

# Here, if this is the Debian with that PostgreSQL, else in a Debian that is; USHER_PACKAGES names a folder with packages that are there.
is_ours() { [ "$(. /etc/os-release; echo "$VERSION_CODENAME")" = "$(suite_of "$1")" ]; } # MAJOR
build_packages() { # MAJOR
    if [ -n "${USHER_PACKAGES:-}" ]; then
        packages=$USHER_PACKAGES
    elif is_ours "$1"; then
        "$here/dev" package || return 1
        prepare
        packages=$BUILD/package
    else
        major_root "$1" || return 1
        as_builder "$1" /usher/dev package || return 1
        packages=$ROOTS/$1/usher/build/package
    fi
    ls "$packages"/usher-gateway_*.deb "$packages"/usher-courier_*.deb "$packages/postgresql-$1-usher"_*.deb
}
# But for what only an upload to Debian has, the number of a bug and a maintainer with an address, and for the viewer, which npm has minified only.
run_lintian() {
    lintian --allow-root --fail-on error,warning --suppress-tags "$NOT_OURS" "$packages"/*.changes
}
NOT_OURS=initial-upload-closes-no-bugs,bogus-mail-host,bogus-mail-host-in-debian-changelog,source-is-missing

# --- a system that runs them -----------------------------------------------------------------------------------------

boot() {
    setsid systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe --boot --directory="$ROOTS/$bare" \
        > "$log.boot" 2>&1 < /dev/null &
    container=$!
    soon find_leader && soon inside systemctl is-active multi-user.target
}
find_leader() { # the init of the container is the only child of systemd-nspawn
    leader=$(cat "/proc/$container/task/$container/children" 2>/dev/null | awk '{print $1}')
    [ -n "$leader" ] && [ "$(cat "/proc/$leader/comm")" = systemd ]
}
inside() { # COMMAND...
    nsenter --target "$leader" --mount --pid --net --uts --ipc --root --wd \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root "$@"
}
as() { # USER COMMAND...
    user_=$1
    shift
    inside runuser -u "$user_" -- "$@"
}
sql() { as postgres psql -XqAt -v ON_ERROR_STOP=1 -d app -c "$1"; } # TEXT
# Until the command succeeds, for at most a minute.
soon() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ $tries -lt 120 ] || return 1
        sleep 0.5
    done
}
status_of() { inside curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$1"; } # PORT/PATH

install_packages() { # MAJOR
    make_root "$bare" "$(suite_of "$1")" systemd systemd-sysv curl || return 1
    # as on a machine of its own: PostgreSQL comes with a cluster, and services start with the machine
    rm "$ROOTS/$bare/etc/postgresql-common/createcluster.conf"
    mkdir "$ROOTS/$bare/packages"
    cp "$packages"/*.deb "$ROOTS/$bare/packages"
    in_root "$bare" apt-get -q update
    in_root "$bare" env DEBIAN_FRONTEND=noninteractive sh -c \
        "apt-get -q -y install /packages/usher-gateway_*.deb /packages/usher-courier_*.deb /packages/postgresql-$1-usher_*.deb" || return 1
    rm -f "$ROOTS/$bare/usr/sbin/policy-rc.d"
}
set_up_database() { # MAJOR
    inside sh -c "echo \"shared_preload_libraries = 'usher'\" > /etc/postgresql/$1/main/conf.d/usher.conf" || return 1
    inside systemctl restart "postgresql@$1-main" || return 1
    as postgres createdb app || return 1
    sql 'CREATE EXTENSION usher CASCADE' || return 1
    for extension in $(cd "$here/sql" && ls -d usher_*); do
        sql "CREATE SCHEMA $extension; CREATE EXTENSION $extension SCHEMA $extension CASCADE" || return 1
    done
    for program in gateway courier; do
        sql "CREATE ROLE usher_$program LOGIN; SELECT usher.grant_access('usher_$program', '$program')" || return 1
    done
    sql "ALTER DATABASE app SET courier.sender = 'The Car Wash <post@wash.example>'"
}
# The shipped options name a server that is not here: they are taken without it, and messages become files.
use_folder_for_mail() {
    inside sed -i -e '/"smtp"/s|.*|  "mail_sink": "/var/lib/usher-courier",|' -e '/"smtp_user"/d' \
        -e '/"smtp_password_file"/s|.*|  "drain_timeout_ms": 30000|' /etc/usher/courier.json
}
register() {
    inside curl -sf -H 'content-type: application/json' http://127.0.0.1:8080/auth/register \
        -d '{"email": "ada@example.com", "password": "correct horse battery", "first_name": "Ada", "last_name": "Lovelace"}' &&
        says '^ada@example.com$' sql 'SELECT email FROM usher.users'
}
has_mail() { # ADDRESS
    inside sh -c "cat /var/lib/usher-courier/*.eml" | grep -q "^To: $1"
}
process_of() { inside systemctl show -P MainPID "usher-$1"; } # PROGRAM
same_process() { [ "$pid" = "$(process_of "$1")" ]; } # PROGRAM

# What holds for the gateway as for the courier.
test_shipped() { # PROGRAM
    ok "usher-$1(8) has the options" in_root "$bare" sh -c "zcat /usr/share/man/man8/usher-$1.8.gz | grep -F statement"
    ok "the $1 is neither enabled nor running" says '^disabled inactive$' \
        inside sh -c "echo \$(systemctl is-enabled usher-$1) \$(systemctl is-active usher-$1)"
    ok '… its unit has no mistake' says '^$' inside systemd-analyze verify --man=no "usher-$1.service"
}
test_started() { # PROGRAM ADMIN_PORT
    ok "systemctl enable --now usher-$1" inside systemctl enable --now "usher-$1"
    ok '… readyz says yes: the role of the shipped options, and the user of the unit, are let in by peer authentication' \
        soon says '^200$' status_of "$2/readyz"
    ok '… as that user' says "^usher_$1\$" inside sh -c "stat -c %U /proc/\$(systemctl show -P MainPID usher-$1)"
    ok '… and nobody else gets in as that role' says 'Peer authentication failed' as nobody psql -d app -U "usher_$1" -c 'SELECT 1'
}
test_upgraded() { # PROGRAM ADMIN_PORT OPTION: a number of its options, to be changed
    pid=$(process_of "$1")
    inside sed -i "s/\"$3\": [0-9]*/\"$3\": 7/" "/etc/usher/$1.json"
    ok "an upgrade of usher-$1 installs" inside sh -c "dpkg --install /packages/usher-$1_*.deb"
    ok '… restarts what ran' not same_process "$1"
    ok '… and keeps changed options' inside grep -F "\"$3\": 7" "/etc/usher/$1.json"
    ok '… and is ready again' soon says '^200$' status_of "$2/readyz"
}
test_removed() { # PROGRAM ADMIN_PORT...
    ok "removing usher-$1 stops it" inside apt-get -q -y remove "usher-$1"
    shift
    for port_ in "$@"; do ok "… for good (port $port_)" says '^000$' status_of "$port_/readyz"; done
}
# One more gateway, as usher-gateway@.service says.
set_up_red() {
    inside adduser --quiet --system --group --no-create-home usher_gateway_red || return 1
    as postgres createdb red || return 1
    as postgres psql -XqAt -v ON_ERROR_STOP=1 -d red -c 'CREATE EXTENSION usher CASCADE' -c 'CREATE ROLE usher_gateway_red LOGIN' \
        -c "SELECT usher.grant_access('usher_gateway_red', 'gateway')" || return 1
    sed -e 's/10\.0\.0\.2[01]/127.0.0.1/' -e 's/"port": 8080/"port": 8090/' -e 's/"admin_port": 8081/"admin_port": 8091/' \
        "$here/deploy/gateway-red.json" > "$ROOTS/$bare/etc/usher/gateway-red.json" || return 1
    inside systemctl enable --now usher-gateway@red
}
remove_red() {
    inside systemctl disable usher-gateway@red || return 1
    inside rm /etc/usher/gateway-red.json
}

test_major() { # MAJOR
    echo "--- packages for PostgreSQL $1"
    bare=bare-$1
    remove_root "$bare"
    ok 'the packages build' build_packages "$1"
    ok 'lintian has no error and no warning' run_lintian
    ok 'they install on a bare system, with all that they need' install_packages "$1"
    ok 'the system starts' boot
    [ -n "$leader" ] || return 0
    test_shipped gateway
    test_shipped courier
    ok 'the password of the SMTP server is for root alone' says '^root 600$' inside stat -c '%U %a' /etc/usher/smtp-password
    ok '… and everybody may read the options' says '^/etc/usher/courier.json /etc/usher/gateway.json$' \
        inside sh -c 'echo $(find /etc/usher -type f -perm -o=r | sort)'
    ok 'the extensions are there, and the roles of the programs' set_up_database "$1"

    test_started gateway 8081
    ok 'a request reaches the database' register
    ok 'the pages are there' says '^200$' status_of 8080/
    ok '… and the viewer of the API' says '^200$' status_of 8080/docs/swagger-ui-bundle.js
    ok 'one more gateway has a database, a role and a user of its own' set_up_red
    ok '… and is ready' soon says '^200$' status_of 8091/readyz
    ok '… as that user' says '^usher_gateway_red$' inside sh -c 'stat -c %U /proc/$(systemctl show -P MainPID usher-gateway@red)'
    pid=$(process_of gateway)
    ok 'systemctl reload usher-gateway' inside systemctl reload usher-gateway
    ok '… keeps the process' same_process gateway

    ok 'without a password the courier does not start, and says why' says 'no password in the first line' \
        inside sh -c 'systemctl start usher-courier; systemctl stop usher-courier; systemctl reset-failed; journalctl -q -u usher-courier -o cat'
    use_folder_for_mail
    test_started courier 8082
    ok 'who has registered gets a mail' soon has_mail ada@example.com
    ok '… which nobody else can read' says '^usher_courier 700$' inside stat -c '%U %a' /var/lib/usher-courier
    pid=$(process_of courier)
    ok 'systemctl reload-or-restart usher-courier' inside systemctl reload-or-restart usher-courier
    ok '… is a new process, which has read its options' not same_process courier

    red=$(process_of gateway@red)
    test_upgraded gateway 8081 drain_delay_ms
    pid=$red
    ok '… and has restarted the other one too' not same_process gateway@red
    ok '… which is ready' soon says '^200$' status_of 8091/readyz
    test_upgraded courier 8082 drain_timeout_ms
    ok 'one more gateway is switched off' remove_red
    test_removed gateway 8081 8091
    test_removed courier 8082
    ok 'removing the extensions warns while a cluster preloads them' \
        says "WARNING: the cluster $1/main has usher in shared_preload_libraries" inside apt-get -q -y remove "postgresql-$1-usher"
    ok '… without which it does not start' not inside systemctl restart "postgresql@$1-main"
    ok '… until it is told not to' inside sh -c "rm /etc/postgresql/$1/main/conf.d/usher.conf; systemctl restart postgresql@$1-main"
    ok 'the packages can be purged' inside sh -c "dpkg --purge usher-gateway usher-courier postgresql-$1-usher"
    ok '… and leave nothing' not inside sh -c 'find / -xdev -path /proc -prune -o -path /sys -prune -o -path /packages -prune \
        -o -path "/var/lib/postgresql/*" -prune -o -path "/etc/postgresql/*" -prune -o -path "/var/log/*" -prune -o -name "*usher*" -print | grep .'
    ok 'the server starts after that as well' inside systemctl restart "postgresql@$1-main"
    ok '… and answers' soon says '^t$' as postgres psql -XqAt -d postgres -c 'SELECT true'
    halt
    remove_root "$bare"
    bare=
}

for major in ${*:-$PG_MAJOR}; do test_major "$major"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
