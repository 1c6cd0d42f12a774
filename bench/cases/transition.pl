# A status that changes in each row, and one that does not: the check alone, as a machine without history, audit and events does it.
my $transitions = q{'{"initial": ["open"], "transitions": [{"from": "open", "to": "done", "action": "finish"}, {"from": "done", "to": "open", "action": "reopen"}]}'};
my @variants;
for my $case ([ 'changes', q{UPDATE bench.t SET status = 'done';} ], [ 'stays', 'UPDATE bench.t SET counter = counter + 1;' ]) {
    my ($what, $statement) = @$case;
    push @variants,
        { name => "no trigger, status $what", measure => $statement },
        { name => "PL/pgSQL with a table, status $what", measure => $statement,
          reset => 'CREATE TRIGGER status BEFORE UPDATE ON bench.t FOR EACH ROW EXECUTE FUNCTION bench.check_status();' },
        { name => "usher.check_transition(), status $what", measure => $statement, ours => 1,
          reset => q{CREATE TRIGGER status BEFORE UPDATE ON bench.t FOR EACH ROW EXECUTE FUNCTION usher.check_transition('bench', 'status', '{}');} };
}
return {
    title => 'status transition checked, one UPDATE of many rows',
    rows  => 50_000,
    setup => qq{
        SELECT usher.define_machine('bench', $transitions);
        CREATE TABLE bench.t (id uuid PRIMARY KEY, name text, status text NOT NULL, counter integer, amount numeric, note text);
        CREATE TABLE bench.transitions (from_status text, to_status text, PRIMARY KEY (from_status, to_status));
        INSERT INTO bench.transitions VALUES ('open', 'done'), ('done', 'open');
        CREATE FUNCTION bench.check_status() RETURNS trigger LANGUAGE plpgsql AS \$\$
        BEGIN
            IF NEW.status IS DISTINCT FROM OLD.status AND NOT EXISTS (SELECT FROM bench.transitions WHERE from_status = OLD.status AND to_status = NEW.status) THEN
                RAISE EXCEPTION 'status cannot change from % to %', OLD.status, NEW.status;
            END IF;
            RETURN NEW;
        END \$\$;
    },
    reset => q{
        DROP TRIGGER IF EXISTS status ON bench.t;
        TRUNCATE bench.t;
        INSERT INTO bench.t SELECT gen_random_uuid(), 'name ' || i, 'open', i, i / 100.0, 'a note of ordinary length' FROM generate_series(1, 50000) i;
        VACUUM (FREEZE, ANALYZE) bench.t;
    },
    variants => \@variants,
    rounds   => 9,
    targets  => [ map { { variant => "usher.check_transition(), status $_", against => "no trigger, status $_", ratio_at_most => 1.25 } } 'changes', 'stays' ],
};
