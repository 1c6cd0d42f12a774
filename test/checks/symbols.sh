#!/bin/sh
# All libraries of a backend share one namespace: ours exports what PostgreSQL looks up by name, and nothing else.
set -eu
library=$BUILD/usher.so
others=$(nm -D --defined-only "$library" | awk '{ print $3 }' |
    grep -vE '^(usher_[a-z0-9_]+|pg_finfo_usher_[a-z0-9_]+|_PG_init|Pg_magic_func)$' || true)
if [ -n "$others" ]; then
    echo "exported without need:"
    echo "$others" | c++filt
    exit 1
fi
# the list must not be empty because of a typing error above
nm -D --defined-only "$library" | grep -q ' Pg_magic_func$'
