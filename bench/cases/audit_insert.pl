use audited;
my $measure = 'INSERT INTO bench.t SELECT * FROM bench.seed;';
my $floor = q{INSERT INTO bench.log (event_type, action, source, actor_name, resource_type, resource_id, key, new_values)
    SELECT 'row.insert', 'insert', 'trigger', current_user, 'bench.t', resource_id, key, whole FROM bench.ready;};
return {
    title    => 'audit of one INSERT of many rows',
    rows     => 100_000,
    rounds   => 5,
    setup    => audited::setup(100_000),
    reset    => audited::reset(0),
    measure  => $measure,
    variants => audited::variants('INSERT', $measure, $floor),
    targets  => audited::targets(),
};
