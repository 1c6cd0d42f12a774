#!/bin/sh
# While one build of a folder runs, another one waits: two would write each other's files.
set -eu
folder=$(mktemp -d)
trap 'wait; rm -rf "$folder"' EXIT
BUILD=$folder sh "$SRC/tools/build.sh" --eval='pause:; @touch begun; sleep 1' pause > "$folder/log" 2>&1 &
i=0
while ! [ -e "$folder/begun" ]; do
    i=$((i + 1))
    [ $i -lt 300 ] || { cat "$folder/log"; exit 1; }
    sleep 0.1
done
! flock --nonblock "$folder/logs/build.lock" true || { echo "a build runs, and its folder is not locked"; exit 1; }
