#!/bin/sh
# The style of SQL: see tools/sql_style.pl, which `./dev lint` runs as well. What documents of others print stands in queries.sql as they
# print it.
set -eu
cd "$SRC"
find sql examples tools -name '*.sql' ! -path 'examples/*/queries.sql' | sort | xargs perl tools/sql_style.pl
