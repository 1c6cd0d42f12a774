#!/bin/sh
# Writes reference.md, errors.md and routes.md into a folder: docs.sh FOLDER. Uses a cluster that goes afterwards.
set -eu
. "$SRC/tools/cluster.sh"
out=$1
dir=$BUILD/docs-cluster
mkdir -p "$out" "$dir"
sh "$SRC/tools/build.sh" install DESTDIR="$dir/root" > "$dir/build.log" 2>&1 || { tail -n 40 "$dir/build.log" >&2; exit 1; }
trap 'cluster_stop "$dir"; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cluster_init "$dir"
{ extension_settings "$dir/root"; echo "shared_preload_libraries = 'usher'"; echo "fsync = off"; } | cluster_start "$dir"
cluster_psql "$dir" postgres -f "$SRC/tools/database.sql" > /dev/null
for page in reference errors routes; do
    cluster_psql "$dir" postgres -f "$SRC/tools/$page.sql" > "$out/$page.md"
done
