use updated_at;
return {
    title   => 'updated_at kept by a trigger, statements of one row inside the server',
    rows    => 20_000,
    setup   => updated_at::setup(20_000),
    reset   => updated_at::reset(),
    measure => q{DO $$ BEGIN FOR i IN 1 .. 20000 LOOP UPDATE bench.t SET counter = counter + 1 WHERE id = i; END LOOP; END $$;},
    variants => updated_at::variants(),
};
