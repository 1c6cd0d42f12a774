#!/bin/sh
# sql/<extension>/order is the list of the files of an extension: each of them once, and nothing else. A file is called by
# what is in it, so that an upgrade script can take over functions whole and leave tables alone.
set -eu
cd "$SRC/sql"
failed=0
complain() { echo "$*"; failed=1; }
for control in */*.control; do
    extension=${control%%/*}
    [ -f "$extension/order" ] || { complain "sql/$extension has no file called order"; continue; }
    files=$(cd "$extension" && find . -name '*.sql' | sed 's|^\./||' | grep -v '^updates/' | sort)
    listed=$(grep -vE '^(#|$)' "$extension/order")
    for file in $files; do
        case $(printf '%s\n' "$listed" | grep -cxF "$file" || true) in
            1) ;;
            0) complain "sql/$extension/order does not list $file" ;;
            *) complain "sql/$extension/order lists $file more than once" ;;
        esac
        case ${file##*/} in
            tables.sql|functions.sql|*_functions.sql|triggers.sql|routes.sql|machine.sql|begin.sql|end.sql) ;;
            registration.sql|watch.sql|subscriptions.sql|rows.sql) ;;
            *) complain "sql/$extension/$file: the name does not say what kind of thing is in it (CONTRIBUTING.md has the list)" ;;
        esac
    done
    for file in $listed; do
        printf '%s\n' "$files" | grep -qxF "$file" || complain "sql/$extension/order lists $file, which is not there"
    done
    [ "$(printf '%s\n' "$listed" | head -n 1)" = begin.sql ] || complain "sql/$extension/order must start with begin.sql"
    [ "$(printf '%s\n' "$listed" | tail -n 1)" = end.sql ] || complain "sql/$extension/order must end with end.sql"
done
exit $failed
