#!/bin/sh
# Tells how far a build is: reads what make prints from standard input, and writes to standard error how many files are compiled and
# about how long the rest will take. On a terminal in one line that changes, else a line now and then.
# usage: make … | progress.sh TOTAL     TOTAL: how many lines "  CXX …" are to come
total=$1
[ "$total" -gt 0 ] || { cat > /dev/null; exit 0; }
started=$(date +%s)
said=$started
done=0
while IFS= read -r line; do
    case $line in "  CXX "*) ;; *) continue ;; esac
    done=$((done + 1))
    now=$(date +%s)
    left='?'
    # a file is named when it begins: the first few say little
    [ $done -lt 6 ] || left=$(((now - started) * (total - done) / done))
    if [ -t 2 ]; then
        printf '\r  %d of %d files, about %s s left ' $done "$total" "$left" >&2
    elif [ $((now - said)) -ge 20 ]; then
        said=$now
        printf '  %d of %d files, about %s s left\n' $done "$total" "$left" >&2
    fi
done
if [ -t 2 ]; then printf '\r%60s\r' '' >&2; fi
