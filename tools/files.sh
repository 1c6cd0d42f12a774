#!/bin/sh
# The files of the checkout, each on a line: those that git knows and those it has not been told to ignore; without git, all but what is
# built. For scripts that copy the sources.
set -eu
cd "$SRC"
if git -c safe.directory="$SRC" rev-parse --is-inside-work-tree > /dev/null 2>&1; then
    git -c safe.directory="$SRC" ls-files --cached --others --exclude-standard | while IFS= read -r file; do
        [ ! -e "$file" ] || printf '%s\n' "$file"
    done
else
    find . -type f -o -type l | sed 's|^\./||' | grep -vE '^(build|\.git|node_modules)/'
fi
