#!/bin/sh
# Who may include whom below extension/ (docs/architecture.md): server headers only in pg/; a feature extension stands on
# kit/, common/ and its own folder; usher knows no feature extension; and each file has a name of its own. No exceptions.
set -eu
cd "$SRC/extension"
server=$("${PG_CONFIG:-pg_config}" --includedir-server)
failed=0
complain() { echo "$*"; failed=1; }

# The folders that the files of a room may include from. Those of pg/ may also include server headers.
rooms_for() { # FILE
    case $1 in
        common/*)   echo common ;;
        pg/*)       echo common pg ;;
        kit/*)      echo common pg kit ;;
        usher/registration/*) echo common pg usher kit ;; # fills the table of kit/core.hpp
        usher/*)    echo common pg usher ;;
        usher_*/*)  echo common kit "${1%%/*}" ;;
        test/*)     echo common pg ;;
        */*)        ;;           # a room that nobody has said anything about
        *)          echo any ;;  # init.cpp puts everything together
    esac
}

includes=$(grep -rnE '^[[:space:]]*#[[:space:]]*include' . --include='*.cpp' --include='*.hpp' --include='*.h' --include='*.c' |
    sed -nE 's|^\./([^:]*:[0-9]+):[[:space:]]*#[[:space:]]*include[[:space:]]*(["<])([^">]+)[">].*|\1 \2 \3|p')
while read -r place quote header; do
    file=${place%:*}
    room=${header%%/*}
    if [ "$quote" = '"' ] && [ -f "$header" ]; then
        allowed=$(rooms_for "$file")
        case " $allowed " in
            *" any "*|*" $room "*) ;;
            *) complain "extension/$place: must not include $header: files of ${file%%/*}/ may include from ${allowed:-nowhere}" ;;
        esac
    elif [ -f "$server/$header" ]; then
        case $file in
            pg/*) ;;
            *) complain "extension/$place: must not include the server header $header: only files of pg/ may" ;;
        esac
    elif [ "$quote" = '"' ] && [ "${file%%/*}" != pg ]; then # in pg/ it may be a header of another major
        complain "extension/$place: there is no extension/$header (an include names the file from extension/ on)"
    fi
done <<END
$includes
END

# x.hpp and x.cpp belong together in one folder; no other file below extension/ is called x.
same=$(find . -name '*.cpp' -o -name '*.hpp' | sed 's|^\./||' | awk -F/ '
    { base = $NF; sub(/\.[ch]pp$/, "", base); folder = $0; sub(/[^\/]*$/, "", folder)
      if (base in first && first[base] != folder) print "two files called " base ": in extension/" first[base] " and in extension/" folder
      first[base] = folder }')
[ -z "$same" ] || complain "$same"
exit $failed
