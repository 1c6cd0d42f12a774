# What the two updated_at cases share: a table of 11 columns, and the same trigger four ways.
package updated_at;
use strict;
use warnings;
use wide_table;

sub setup {
    my ($rows) = @_;
    return wide_table::setup($rows) . q{
        CREATE EXTENSION IF NOT EXISTS moddatetime;
        CREATE FUNCTION bench.touch() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
    };
}

# The same data for each run, and no trigger left by the variant before.
sub reset {
    return q{
        RESET usher.restoring;
        DROP TRIGGER IF EXISTS touch ON bench.t;
        TRUNCATE bench.t;
        INSERT INTO bench.t SELECT * FROM bench.seed;
        VACUUM (FREEZE, ANALYZE) bench.t;
    };
}

sub variants {
    my $trigger = sub { "CREATE TRIGGER touch BEFORE UPDATE ON bench.t FOR EACH ROW EXECUTE FUNCTION $_[0];" };
    return [
        { name => 'no trigger' },
        { name => 'PL/pgSQL', reset => $trigger->('bench.touch()') },
        { name => 'moddatetime (contrib)', reset => $trigger->("moddatetime('updated_at')") },
        # with the setting on, ours returns the row as it is, at once: a C trigger that does nothing
        { name => 'a C trigger that does nothing', reset => $trigger->("usher.set_updated_at('updated_at')") . 'SET usher.restoring = on;' },
        { name => 'usher.set_updated_at()', reset => $trigger->("usher.set_updated_at('updated_at')"), ours => 1 },
    ];
}

sub targets {
    my $ours = 'usher.set_updated_at()';
    return [
        { variant => $ours, against => 'PL/pgSQL', ratio_at_most => 1 },
        { variant => $ours, against => 'moddatetime (contrib)', ratio_at_most => 1 },
        { variant => $ours, against => 'a C trigger that does nothing', ratio_at_most => 1.05 },
    ];
}
1;
