use audited;
return {
    title    => 'audit of UPDATEs of one row inside the server',
    rows     => 10_000,
    rounds   => 7,
    setup    => audited::setup(10_000),
    reset    => audited::reset(1),
    measure  => q{DO $$ BEGIN FOR i IN 1 .. 10000 LOOP UPDATE bench.t SET counter = counter + 1 WHERE id = i; END LOOP; END $$;},
    variants => audited::variants('UPDATE'),
};
