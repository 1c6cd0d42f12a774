#!/bin/sh
# How the schemas of two databases differ: drift.sh DEV TEST. As the document does it, with pg_dump and diff; but for the keys that
# pg_dump makes up each time, the months of the audit log, which upkeep makes, and the numbers of tables, which triggers of the audit log
# carry and which are others in each database.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for database in "$1" "$2"; do
    pg_dump -s --exclude-table='usher.audit_logs_2*' "$database" | grep -vE '^\\(un)?restrict ' | sed -E 's/"relation": [0-9]+/"relation": …/' > "$folder/$database"
done
diff "$folder/$1" "$folder/$2"
