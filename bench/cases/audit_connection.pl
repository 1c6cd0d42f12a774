# One client that updates one row in each transaction and picks the table, and with it the way of auditing, at random each time: what
# the application waits for. The median time of a transaction is compared, within a round. Below it stands what the backend's
# processor does for the same statements, without the way to the client and back that every statement has to pay for. The client
# waits for its commit, as PostgreSQL ships; without that wait, which hides much of the work, the same is measured again.
use audited;
use durable;
use File::Basename;
use File::Temp qw(tempdir);

my $rows = 20_000;
my $rounds = $ENV{BENCH_ROUNDS} || 7;
my @kinds = (
    { name => 'no audit', table => 'none' },
    { name => 'PL/pgSQL, row', table => 'by_row', trigger => 'FOR EACH ROW EXECUTE FUNCTION bench.audit_row()' },
    { name => 'PL/pgSQL, statement', table => 'by_statement',
      trigger => 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION bench.audit_statement()' },
    { name => 'usher.enable_audit()', table => 'audited', ours => 1 },
);

sub tables {
    my $sql = '';
    for my $kind (@kinds) {
        my $table = "bench.t_$kind->{table}";
        $sql .= "CREATE TABLE $table (LIKE bench.seed) WITH (fillfactor = 60); INSERT INTO $table SELECT * FROM bench.seed;"
            . "ALTER TABLE $table ADD PRIMARY KEY (id);";
        $sql .= "CREATE TRIGGER audit AFTER UPDATE ON $table $kind->{trigger};" if $kind->{trigger};
        $sql .= "SELECT usher.enable_audit('$table');" if $kind->{ours};
    }
    return $sql;
}

# Median time in us of a transaction of each kind, from the log of one client.
sub client_round {
    my ($run_sql, $seconds) = @_;
    $run_sql->('TRUNCATE bench.log, usher.audit_logs, usher.audit_seals;' . join '', map { "VACUUM (ANALYZE) bench.t_$_->{table};" } @kinds);
    my $dir = tempdir(CLEANUP => 1);
    my @files;
    for my $i (0 .. $#kinds) {
        open my $fh, '>', "$dir/$i.sql" or die "$dir: $!";
        print $fh "\\set id random(1, $rows)\nUPDATE bench.t_$kinds[$i]{table} SET counter = counter + 1 WHERE id = :id;\n";
        close $fh or die $!;
        push @files, '-f', "$dir/$i.sql";
    }
    my @command = (dirname($ENV{BENCH_PSQL}) . '/pgbench', '-n', '-M', 'prepared', '-c', 1, '-T', $seconds, '-l', '--log-prefix', "$dir/log",
        @files, $ENV{BENCH_CONNINFO});
    open my $pgbench, '-|', @command or die "pgbench: $!";
    my @output = <$pgbench>;
    close $pgbench or die "pgbench failed: @output";
    my @times = map { [] } @kinds;
    for my $log (glob "$dir/log.*") {
        open my $fh, '<', $log or die "$log: $!";
        while (my $line = <$fh>) {
            my (undef, undef, $time, $file) = split ' ', $line;
            push @{ $times[$file] }, $time;
        }
    }
    return map { main::median(@$_) } @times;
}

sub client {
    my ($run_sql) = @_;
    $run_sql->(tables());
    client_round($run_sql, 2); # warms caches
    durable::commits($run_sql, 1);
    my @lines = client_part($run_sql, 'commits on disk');
    durable::commits($run_sql, 0);
    return (@lines, client_part($run_sql, 'commits not awaited'));
}

sub client_part {
    my ($run_sql, $commits) = @_;
    my @times = map { [] } @kinds;
    for (1 .. $rounds) {
        my @medians = client_round($run_sql, 3);
        push @{ $times[$_] }, $medians[$_] for 0 .. $#kinds;
    }
    my @lines = ("The client's time, $commits: $rounds rounds of 3 s with one client of pgbench, prepared statements, a transaction each;",
        'median time of a transaction', '', '| variant | time | ratio (quartiles) | added (quartiles) |', '| --- | --- | --- | --- |');
    my $reached;
    for my $i (0 .. $#kinds) {
        my @x = @{ $times[$i] };
        my @ratio = map { $x[$_] / $times[0][$_] } 0 .. $#x;
        my @added = map { ($x[$_] - $times[0][$_]) * 1000 } 0 .. $#x;
        $reached = main::median(@ratio) if $kinds[$i]{ours};
        push @lines, sprintf('| %s | %s | ', $kinds[$i]{ours} ? "**$kinds[$i]{name}**" : $kinds[$i]{name}, main::duration(1000 * main::median(@x)))
            . ($i == 0 ? '1 | |' : sprintf('%.2f (%.2f-%.2f) | %s (%s to %s) |', main::median(@ratio), main::quantile(0.25, @ratio),
                main::quantile(0.75, @ratio), map { main::duration($_) } main::median(@added), main::quantile(0.25, @added), main::quantile(0.75, @added)));
    }
    return (@lines, '', sprintf('Target: time of the client with "usher.enable_audit()", %s, at most 1.30 of "no audit": %.2f, %s.', $commits, $reached,
        $reached <= 1.3 ? 'met' : '**missed**'), '');
}

return {
    title    => 'audit of UPDATEs of one row, each a statement over the connection and a transaction of its own',
    rows     => 2_000,
    rounds   => 7,
    setup    => audited::setup($rows),
    reset    => audited::reset(1),
    measure  => join("\n", map { "UPDATE bench.t SET counter = counter + 1 WHERE id = $_;" } 1 .. 2_000),
    variants => audited::variants('UPDATE'),
    notes    => \&client,
};
