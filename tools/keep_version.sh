#!/bin/sh
# Keeps the install scripts of a version, as make assembles them, for the upgrade scripts that lead away from it and for their tests;
# beside them what fills a database of that version:
#   keep_version.sh VERSION [COMMIT]
# The sources are those of COMMIT (HEAD unless it is named), under that version number; test/data/VERSION/ is written anew.
set -eu
cd "$(dirname "$0")/.."
version=${1:?keep_version.sh VERSION [COMMIT]}
commit=${2:-HEAD}
case $version in
    *[!0-9.]* | *.*.*.* | .* | *.) echo "keep_version.sh: $version is not a version of three parts" >&2; exit 2 ;;
    *.*.*) ;;
    *) echo "keep_version.sh: $version is not a version of three parts" >&2; exit 2 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive "$commit" sql test/size/load.sql examples/expect.sql examples/carwash | tar -C "$work" -xf -
rm -rf "test/data/$version"
mkdir -p "test/data/$version"
for control in "$work"/sql/*/*.control; do
    extension=$(basename "$control" .control)
    # as the rule in the Makefile does
    while read -r part; do
        cat "$work/sql/$extension/$part"
        echo
    done < "$work/sql/$extension/order" | sed 's/^CREATE OR REPLACE /CREATE /' |
        gzip -9n > "test/data/$version/$extension--$version.sql.gz" # -n: the same bytes each time
    sed "s/@USHER_VERSION@/$version/" "$control" > "test/data/$version/$extension.control"
done
gzip -9n < "$work/test/size/load.sql" > "test/data/$version/load.sql.gz"
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - examples/expect.sql examples/carwash/install.sql \
    examples/carwash/story.sql | gzip -9n > "test/data/$version/examples.tar.gz"
echo "kept in test/data/$version:"
ls "test/data/$version"
