#!/bin/sh
# ./dev bench scale [USERS...]: what is asked most, with 10,000, a million and ten million accounts; writes bench/scale/results.md.
# Called by tools/bench.sh, which has started the cluster of $dir. Ten million accounts take 15 GB of disk and half an hour.
set -eu
. "$SRC/tools/cluster.sh"
dir=$1
shift
[ $# -gt 0 ] || set -- 10000 1000000 10000000
rm -rf "$dir/scale"
mkdir -p "$dir/scale"
for users in "$@"; do
    echo "$users accounts: loading" >&2
    cluster_psql "$dir" postgres -c 'CREATE DATABASE scale'
    cluster_psql "$dir" scale -v users="$users" -f "$SRC/bench/scale/users.sql" > "$dir/scale/load.log"
    cluster_psql "$dir" scale -c "SELECT pg_size_pretty(pg_database_size('scale'))" > "$dir/scale/$users.size"
    echo "$users accounts: measuring" >&2
    cluster_psql "$dir" scale -f "$SRC/bench/scale/measure.sql" > "$dir/scale/measure.log"
    cluster_psql "$dir" scale -c 'SELECT number, call, round(ms, 2), round(blocks) FROM scale.found ORDER BY number' > "$dir/scale/$users"
    cluster_psql "$dir" postgres -c 'DROP DATABASE scale'
done
{
    echo '# Scale'
    echo
    echo 'Median time, and blocks of 8 kB that are looked at, of one call in a warm backend, by how many accounts there are, each with a password,'
    echo 'a role and a session. `./dev bench scale` makes this page; [docs/scaling.md](../../docs/scaling.md) reads it.'
    echo
    "$BINDIR/postgres" --version
    echo
    printf '| call |'
    for users in "$@"; do printf ' %s: ms | blocks |' "$users"; done
    printf '\n| --- |'
    for users in "$@"; do printf ' ---: | ---: |'; done
    printf '\n'
    while IFS='|' read -r number call _; do
        printf '| %s |' "$call"
        for users in "$@"; do awk -F'|' -v n="$number" '$1 == n { printf " %s | %s |", $3, $4 }' "$dir/scale/$users"; done
        printf '\n'
    done < "$dir/scale/$1"
    printf '| the database |'
    for users in "$@"; do printf ' %s | |' "$(cat "$dir/scale/$users.size")"; done
    printf '\n'
} > "$dir/scale.md"
