#!/bin/sh
# The upgrade scripts from a version that is kept in test/data to this one, and back: upgrade_scripts.sh VERSION FOLDER. Makes them in
# FOLDER, on a cluster that goes afterwards. Run by ./dev upgrade-scripts, which puts them into sql/.
set -eu
. "$SRC/tools/cluster.sh"
from=$1
out=$2
kept=$SRC/test/data/$from
[ -d "$kept" ] || { echo "dev: $kept is not there; tools/keep_version.sh $from COMMIT makes it" >&2; exit 1; }
to=$(sed -n '/^  "version":/{s/.*: "\(.*\)".*/\1/p;q}' "$SRC/META.json")
dir=$BUILD/upgrade-cluster
rm -rf "$out" "$dir"
mkdir -p "$out" "$dir/old"
trap 'cluster_stop "$dir"; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
sh "$SRC/tools/build.sh" install DESTDIR="$dir/root" > "$dir/build.log" 2>&1 || { tail -n 40 "$dir/build.log" >&2; exit 1; }
for script in "$kept"/*.sql.gz; do gunzip -c "$script" > "$dir/old/$(basename "$script" .gz)"; done
cluster_init "$dir"
{ extension_settings "$dir/root"; echo "shared_preload_libraries = 'usher'"; echo "fsync = off"; } | cluster_start "$dir"
share=$dir/root$("$PG_CONFIG" --sharedir)/extension
# core first
# shellcheck disable=SC2046
PATH="$BINDIR:$PATH" perl "$SRC/tools/upgrade_scripts.pl" "from=$from" "to=$to" "old=$dir/old" "new=$share" "steps=$SRC/sql/%s/updates" \
    "out=$out" "share=$share" "server=$(cluster_conninfo "$dir" postgres | sed 's/ dbname=.*//')" \
    usher $(cd "$SRC/sql" && ls -d usher_*)
