#!/bin/sh
# The style of SQL: see tools/sql_style.pl, which `./dev lint` runs as well.
set -eu
cd "$SRC"
find sql examples tools -name '*.sql' | sort | xargs perl tools/sql_style.pl
