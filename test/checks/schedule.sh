#!/bin/sh
# Every test file is run by somebody, has an expected output, and every expected output has its test.
set -eu
cd "$SRC/test"
bad=0
complain() { echo "$*"; bad=1; }
for file in regress/*.sql; do
    name=$(basename "$file" .sql)
    grep -qx "test: $name" schedule || complain "$file is not in test/schedule"
done
for name in $(sed -n 's/^test: *//p' schedule); do
    [ -f "regress/$name.sql" ] || complain "test/schedule names $name, but there is no regress/$name.sql"
done
for file in regress/*.sql specs/*.spec; do
    name=$(basename "${file%.*}")
    [ -f "expected/$name.out" ] || complain "$file has no expected/$name.out"
done
for file in expected/*.out; do
    name=$(basename "$file" .out | sed 's/_[0-9]$//')
    [ -f "regress/$name.sql" ] || [ -f "specs/$name.spec" ] || complain "$file belongs to no test"
done
# Names begin with what is tested: an extension (usher, booking …), all of them, the gateway, or the project itself.
for file in regress/*.sql specs/*.spec t/*.pl; do
    of=$(basename "$file")
    of=${of%%_*}
    [ "$of" = usher ] || [ "$of" = all ] || [ -d "../sql/usher_$of" ] ||
        { case $file in t/gateway_*|t/project_*) true ;; *) false ;; esac; } ||
        complain "$file: the name does not begin with the extension that it tests"
done
exit $bad
