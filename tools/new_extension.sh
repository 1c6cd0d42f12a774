#!/bin/sh
# ./dev new-extension NAME: writes the extension of docs/write-an-extension.md, the part in SQL, into the folder NAME.
# usage: new_extension.sh PAGE FOLDER [CLASS [ONE]]     the folder's last part is the name: a plural, such as "letters"
#        CLASS   the class of its error codes, else one that follows from the name
#        ONE     the singular, else what the rule below makes of the name
set -eu
page=$1
folder=$2
name=$(basename "$folder")
refuse() { echo "$*" >&2; exit 2; }
case $name in
    *[!a-z0-9_]*|[!a-z]*|??????????????????????????????*) refuse "\"$name\" is no name: a-z, 0-9 and _, at most 29 characters" ;;
esac
case $name in
    *?ies)           one=${name%ies}y ;;
    *sses|*xes)      one=${name%es} ;;
    *?s)             one=${name%s} ;;
    *)               one=${name}_item ;;
esac
one=${4:-$one}
case $one in
    *[!a-z0-9_]*|[!a-z]*|"$name") refuse "\"$one\" is no singular of $name: a-z, 0-9 and _, and another word" ;;
esac

# Two characters, each extension its own: from I to Z, without those that PostgreSQL (P0, XX) and usher (U) begin theirs with, then
# a letter or a digit. The sum of the name chooses, so that a name always has the same.
first=IJKLMNOQRSTVWYZ
second=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ
sum=$(printf %s "$name" | cksum | cut -d ' ' -f 1)
nth() { printf %s "$1" | cut -c $(($2 + 1)); }
class=${3:-$(nth $first $((sum % 15)))$(nth $second $((sum / 15 % 36)))}
case $class in
    P0|XX|[!I-Z]?|?[!0-9A-Z]|???*|?|'') refuse "\"$class\" is no class of errors: a letter from I to Z, then a letter or a digit, and not P0 or XX" ;;
esac
! grep -rqF --include='*.sql' "error_class => '$class'" "$(dirname "$page")/../sql" || refuse "the class of errors $class is one of usher's own"

[ ! -e "$folder" ] || { echo "$folder is there already" >&2; exit 1; }
mkdir -p "$folder/sql" "$folder/expected"
awk -v folder="$folder" -v name="$name" -v one="$one" -v class="$class" '
    /^## With a function in C\+\+/ { exit }
    /^<!-- file: notes\// { file = substr($3, 7); gsub("notes", name, file); next }
    /^```/ { writing = file != "" && !writing; if (!writing) file = ""; next }
    writing {
        gsub("notes", "\001"); gsub("Notes", "\002"); gsub("note", one)
        gsub("\001", name); gsub("\002", toupper(substr(name, 1, 1)) substr(name, 2))
        gsub("UN001", class "001"); gsub("\047UN\047", "\047" class "\047")
        print > (folder "/" file)
    }' "$page"
echo "$folder is an extension: make -C $folder install && make -C $folder installcheck"
echo "One of its $name is called $one, and its errors have the class $class: ${class}001. Another class and another singular:"
echo "./dev new-extension $name CLASS SINGULAR, or replace them in $folder/$name--1.0.sql. No other extension of a database may have the class."
