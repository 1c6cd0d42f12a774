#!/bin/sh
# Every event that the sources of an extension publish is declared by it (publishes in its registration.sql): an undeclared
# name may be published by anybody. Events of machines are compared by test/t/all_catalog.pl, in a database.
set -eu
cd "$SRC"
failed=0
for registration in sql/usher/registration/registration.sql sql/usher_*/registration.sql; do
    extension=${registration#sql/}
    extension=${extension%%/*}
    declared=$(perl -0777 -ne 'print join "\n", map { split /[\s,]+/ } /publishes\s*=>\s*.\{([^}]*)\}/g' "$registration" | sort -u)
    # what is handed to publish(), and what is named for what somebody asked for and gets by mail
    published=$(find "sql/$extension" "extension/$extension" -name '*.sql' -o -name '*.cpp' -o -name '*.hpp' | xargs perl -0777 -ne '
        s/COMMENT ON.*?;\n//gs;
        print "$1\n" while /\bpublish\(\s*["\x27]([a-z_]+(?:\.[a-z_]+)+)["\x27]/g;
        print "$1\n" while /["\x27]([a-z_]+\.[a-z_]+_requested)["\x27]/g;' | sort -u)
    for event in $published; do
        case $event in # what another one is asked for, and this one follows
            *_requested) [ "$extension" = usher ] || ! grep -q "[{,[:space:]]$event[},]" sql/usher/registration/registration.sql || continue ;;
        esac
        if ! printf '%s\n' "$declared" | grep -qxF "$event"; then
            echo "$registration: publishes does not name $event, which $extension publishes"
            failed=1
        fi
    done
    [ -n "$published" ] || [ "$extension" != usher ] || { echo 'nothing found: the patterns of this check are out of date'; failed=1; }
done
exit $failed
