use updated_at;
return {
    title    => 'updated_at kept by a trigger, one UPDATE of many rows',
    rows     => 100_000,
    setup    => updated_at::setup(100_000),
    reset    => updated_at::reset(),
    measure  => 'UPDATE bench.t SET counter = counter + 1;',
    variants => updated_at::variants(),
    targets  => updated_at::targets(),
};
