use audited;
return {
    title    => 'audit of UPDATEs of one row, each a statement over the connection and a transaction of its own',
    rows     => 2_000,
    rounds   => 7,
    setup    => audited::setup(2_000),
    reset    => audited::reset(1),
    measure  => join("\n", map { "UPDATE bench.t SET counter = counter + 1 WHERE id = $_;" } 1 .. 2_000),
    variants => audited::variants('UPDATE'),
    targets  => [ { variant => 'usher.enable_audit()', against => 'no audit', ratio_at_most => 1.3 } ],
};
