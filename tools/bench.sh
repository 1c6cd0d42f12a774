#!/bin/sh
# ./dev bench [CASE...]: a cluster of its own with the settings below, the cases of bench/cases/, and a results page.
set -eu
. "$SRC/tools/cluster.sh"
dir=$BUILD/bench
mkdir -p "$dir"
sh "$SRC/tools/build.sh" all > "$dir/build.log" 2>&1 && sh "$SRC/tools/build.sh" install DESTDIR="$dir/root" >> "$dir/build.log" 2>&1 ||
    { tail -n 40 "$dir/build.log" >&2; exit 1; }
sh "$SRC/tools/node.sh" # some of the alternatives are npm packages
trap 'cluster_stop "$dir"; rm -rf "$dir/data" "$dir/root"' EXIT
trap 'exit 130' INT TERM
cluster_init "$dir"
# No disk, no background work, no parallel plans: what is compared is the work of one backend.
cluster_start "$dir" <<END
$(extension_settings "$dir/root")
shared_preload_libraries = 'usher'
shared_buffers = 512MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
max_wal_size = 8GB
min_wal_size = 2GB
checkpoint_timeout = 1h
END
if [ "${1:-}" = http ]; then # not one backend, but whole servers beside each other
    for program in wrk node; do
        command -v $program > /dev/null || { echo "bench http needs $program" >&2; exit 1; }
    done
    sh "$SRC/tools/build.sh" gateway >> "$dir/build.log" 2>&1 || { tail -n 40 "$dir/build.log" >&2; exit 1; }
    sh "$SRC/tools/node.sh" bench/http bench-node
    NODE_PATH=$BUILD/bench-node/node_modules PATH=$BINDIR:$PATH \
        perl "$SRC/bench/http/load.pl" "$(cluster_conninfo "$dir" postgres)" "$BUILD/gateway/usher-gateway" "$dir/http.md"
    exit
fi
if [ "${1:-}" = scale ]; then
    shift
    sh "$SRC/bench/scale/scale.sh" "$dir" "$@"
    exit
fi
rm -f "$dir/results.md"
BENCH_PSQL=$BINDIR/psql BUILD=$BUILD SRC=$SRC JOBS=$JOBS USHER_NODE=$BUILD/node/node_modules BENCH_CONNINFO=$(cluster_conninfo "$dir" postgres) \
    perl "$SRC/bench/bench.pl" --out "$dir/results.md" "$@"
