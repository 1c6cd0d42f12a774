#!/bin/sh
# Installs the npm packages of test/node/package.json into $BUILD/node, once for each state of its lock file.
# usage: node.sh [FOLDER TARGET]    the same for another folder with a package.json, into $BUILD/TARGET
#
# They are other people's implementations that usher is tested against. A test finds them with
#   NODE_PATH=$USHER_NODE node script.js      and, in the script,  const jose = require('jose')
# (CommonJS: import statements do not look at NODE_PATH). No package runs a script of its own when it is installed.
set -eu
from=$SRC/${1:-test/node}
to=${2:-node}
mkdir -p "$BUILD/logs"
cd "$BUILD"
exec 9> "$BUILD/logs/node.lock"
flock 9
state=$(cat "$from/package.json" "$from/package-lock.json" | cksum)
[ "$(cat "$to/installed" 2>/dev/null || true)" != "$state" ] || exit 0
rm -rf "$to"
mkdir -p "$to"
cp "$from/package.json" "$from/package-lock.json" "$from/.npmrc" "$to/"
cd "$to"
if ! npm ci --no-progress > "$BUILD/logs/node.log" 2>&1 9>&-; then
    tail -n 30 "$BUILD/logs/node.log" >&2
    echo "npm ci failed" >&2
    exit 1
fi
echo "$state" > installed
