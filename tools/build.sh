#!/bin/sh
# make for the other scripts: in $BUILD, from the sources in $SRC, one at a time for one build folder.
# usage: build.sh TARGET [VARIABLE=VALUE...]
set -eu
mkdir -p "$BUILD/logs"
cd "$BUILD"
exec 9> "$BUILD/logs/build.lock"
flock 9
# no exec: the lock lasts as long as this shell, while what make leaves in the background does not keep it
make -j"$JOBS" -f "$SRC/Makefile" VPATH="$SRC" PG_CONFIG="$PG_CONFIG" "$@" 9>&-
