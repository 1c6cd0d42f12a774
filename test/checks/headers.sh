#!/bin/sh
# A header of the gateway or the courier includes what it names of ours: each compiles when it comes first. Their sources are compiled
# together, where what one has included serves the next. Headers of others are compiled once, for all; and nothing is, as long as
# no header has changed since all was well.
set -eu
well=$BUILD/headers.well
if [ -e "$well" ] && [ -z "$(find "$SRC/gateway" "$SRC/extension/common" "$SRC/extension/usher/http" "$0" -name '*.[hs]*' -newer "$well")" ]; then
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$SRC/gateway"
headers=$(ls ./*.hpp courier/*.hpp | sed 's|^\./||' | grep -v '^http\.hpp$') # which is for cpp-httplib, and stands alone
server=$("${PG_CONFIG:-pg_config}" --includedir)
# what they and what they include of ../extension take from elsewhere
grep -hE '^#include <' $headers ../extension/common/*.hpp ../extension/usher/http/route.hpp | grep -v httplib | sort -u > "$work/others.hpp"
compile() { ${CXX:-g++} -std=c++20 -pthread -w -DUSHER_VERSION='""' -I. -I../extension -isystem "$server" "$@"; }
compile -x c++-header -o "$work/others.hpp.gch" "$work/others.hpp"
failed=0
for header in $headers; do
    echo "#include \"$header\"" > "$work/one.cpp"
    compile -fsyntax-only -include "$work/others.hpp" "$work/one.cpp" 2> "$work/errors" ||
        { echo "gateway/$header does not stand alone:"; grep -m 3 'error:' "$work/errors" || cat "$work/errors"; failed=1; }
done
[ $failed -ne 0 ] || touch "$well"
exit $failed
