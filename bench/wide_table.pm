# What the cases of triggers on tables share: bench.t, an empty table of 11 columns, and bench.seed, the rows to fill it with.
package wide_table;
use strict;
use warnings;

sub setup {
    my ($rows) = @_;
    return qq{
        CREATE TABLE bench.seed AS
            SELECT i::bigint AS id, i % 1000 AS customer, 'name ' || i AS name, md5(i::text) AS reference, 'a note of ordinary length' AS note,
                   (i % 10000) / 100.0 AS amount, 'pending' AS status, i AS counter, now() AS created_at, now() AS updated_at,
                   now() AS seen_at
            FROM generate_series(1, $rows) i;
        CREATE TABLE bench.t (LIKE bench.seed);
        ALTER TABLE bench.t ADD PRIMARY KEY (id);
    };
}

1;
