#!/bin/sh
# The style of SQL: see tools/sql_style.pl, which `./dev lint` runs as well.
set -eu
cd "$SRC"
# queries.sql has the statements of documents, as they are printed
find sql examples tools -name '*.sql' ! -name queries.sql | sort | xargs perl tools/sql_style.pl
