# One decision of enforce() over 1,100, 11,000 and 110,000 rules: a tenth of them roles with a permission, the others users with
# a role. Half of the requests are allowed. "First": nothing is kept in the backend yet; "again": the same requests.
my $calls = 1000;
open my $file, '<', "$ENV{BENCH_HERE}/rbac.conf" or die "rbac.conf: $!\n";
my $model = join '', <$file>;

sub rules { # how many users; a tenth of that are roles
    my ($users) = @_;
    return "SET session_replication_role = replica; TRUNCATE usher.policy_rules;
        INSERT INTO usher.policy_rules (ptype, v0, v1, v2) SELECT 'p', 'role' || n, 'data' || n / 10, 'read' FROM generate_series(0, $users / 10 - 1) n;
        INSERT INTO usher.policy_rules (ptype, v0, v1) SELECT 'g', 'user' || n, 'role' || n / 10 FROM generate_series(0, $users - 1) n;
        RESET session_replication_role; ANALYZE usher.policy_rules; SELECT usher.enforce('bench', ARRAY['nobody', 'nothing', 'read']);";
}
sub ask { # the second half asks for something that nobody has
    my ($users) = @_;
    return "SELECT count(*) FILTER (WHERE usher.enforce('bench', ARRAY['user' || i, 'data' || i / 100, CASE WHEN n <= $calls / 2 THEN 'read' ELSE 'write' END])) = $calls / 2
        FROM generate_series(1, $calls) n, LATERAL (SELECT n * 7919 % $users AS i) s;";
}
return {
    title    => 'enforce() by the number of rules, RBAC',
    rounds   => 4,
    rows     => $calls,
    setup    => "SELECT usher.define_model('bench', '$model');",
    variants => [
        (map { { name => "$_->[0] rules, first", ours => 1, reset => rules($_->[1]), measure => ask($_->[1]) } }
            ([ '1,100', 1000 ], [ '11,000', 10000 ], [ '110,000', 100000 ])),
        { name => '110,000 rules, again', ours => 1, reset => rules(100000) . ask(100000), measure => ask(100000) },
        { name => 'npm casbin, 110,000 rules', command => "NODE_PATH='$ENV{USHER_NODE}' node $ENV{BENCH_HERE}/casbin.js" },
    ],
    targets => [
        { variant => '110,000 rules, first', against => '1,100 rules, first', ratio_at_most => 1.3 },
        { variant => '110,000 rules, first', against => 'npm casbin, 110,000 rules', times_faster => 100 },
    ],
    teardown => "TRUNCATE usher.policy_rules; SELECT usher.drop_model('bench');",
};
