# For cases that measure what clients wait for: commits that wait for the disk, as PostgreSQL ships (the cluster of ./dev bench has
# that off), or not. What is given is the function that runs SQL.
package durable;
use strict;
use warnings;

sub commits {
    my ($run_sql, $on) = @_;
    my $set = join "\n", map { $on ? "ALTER SYSTEM SET $_ = on;" : "ALTER SYSTEM RESET $_;" } qw(fsync synchronous_commit full_page_writes);
    $run_sql->("$set\nCHECKPOINT;\nSELECT pg_reload_conf();\nSELECT pg_sleep(0.5);");
}

1;
