#!/bin/sh
# ./dev new-extension NAME: writes the extension of docs/write-an-extension.md, the part in SQL, into the folder NAME.
# usage: new_extension.sh PAGE FOLDER     the folder's last part is the name: a plural, such as "letters"
set -eu
page=$1
folder=$2
name=$(basename "$folder")
case $name in
    *[!a-z0-9_]*|[!a-z]*|??????????????????????????????*) echo "\"$name\" is no name: a-z, 0-9 and _, at most 29 characters" >&2; exit 2 ;;
esac
one=${name%s}
[ "$one" != "$name" ] || one=${name}_item
[ ! -e "$folder" ] || { echo "$folder is there already" >&2; exit 1; }
mkdir -p "$folder/sql" "$folder/expected"
awk -v folder="$folder" -v name="$name" -v one="$one" '
    /^## With a function in C\+\+/ { exit }
    /^<!-- file: notes\// { file = substr($3, 7); gsub("notes", name, file); next }
    /^```/ { writing = file != "" && !writing; if (!writing) file = ""; next }
    writing {
        gsub("notes", "\001"); gsub("Notes", "\002"); gsub("note", one)
        gsub("\001", name); gsub("\002", toupper(substr(name, 1, 1)) substr(name, 2))
        print > (folder "/" file)
    }' "$page"
echo "$folder is an extension: make -C $folder install && make -C $folder installcheck"
