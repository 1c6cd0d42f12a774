use audited;
my $measure = 'UPDATE bench.t SET counter = counter + 1;';
my $floor = q{INSERT INTO bench.log (event_type, action, source, actor_name, resource_type, resource_id, key, old_values, new_values)
    SELECT 'row.update', 'update', 'trigger', current_user, 'bench.t', resource_id, key, old_part, new_part FROM bench.ready;};
return {
    title    => 'audit of one UPDATE of many rows',
    rows     => 100_000,
    rounds   => 5,
    setup    => audited::setup(100_000),
    reset    => audited::reset(1),
    measure  => $measure,
    variants => audited::variants('UPDATE', $measure, $floor),
    targets  => audited::targets(),
};
