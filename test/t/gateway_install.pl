# make install-gateway, into a folder of its own.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my ($source, $build) = @ENV{qw(USHER_SOURCE USHER_BUILD)};
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my $root = PostgreSQL::Test::Utils::tempdir();
sub make
{
    my ($name, @arguments) = @_;
    my $log = '';
    ok(IPC::Run::run([ 'make', '-C', $build, '-f', "$source/Makefile", "VPATH=$source", "PG_CONFIG=$pg_config", 'install-gateway', @arguments ], '>&', \$log), $name)
        or diag($log);
}
sub files { return [ sort map { s{^\./}{}r } split /\n/, `cd '$_[0]' && find . -type f` ] }

make('make install-gateway', "DESTDIR=$root/own");
my @pages = map { s{.*/}{}r } grep { -e } glob "$build/gateway/pages/*.* $build/gateway/pages/LICENSE";
cmp_ok(scalar @pages, '>=', 3, 'there are pages');
is_deeply(files("$root/own"),
    [ sort 'usr/local/bin/usher-gateway', 'usr/local/etc/usher/gateway.json', 'usr/local/lib/systemd/system/usher-gateway.service',
        'usr/local/share/man/man8/usher-gateway.8', map { "usr/local/share/usher-gateway/pages/$_" } @pages ],
    'exactly these files are installed');
my $unit = slurp_file("$root/own/usr/local/lib/systemd/system/usher-gateway.service");
like($unit, qr{^ExecStart=/usr/local/bin/usher-gateway --config /usr/local/etc/usher/gateway\.json$}m, 'the unit starts the program that is installed, with its options');

PostgreSQL::Test::Utils::append_to_file("$root/own/usr/local/etc/usher/gateway.json", "\n");
my $options = slurp_file("$root/own/usr/local/etc/usher/gateway.json");
make('once more', "DESTDIR=$root/own");
is(slurp_file("$root/own/usr/local/etc/usher/gateway.json"), $options, 'options that are there stay');

make('prefix=/usr', "DESTDIR=$root/usr", 'prefix=/usr');
ok(-f "$root/usr/etc/usher/gateway.json", 'has its options in /etc');
is(slurp_file("$root/usr/usr/lib/systemd/system/usher-gateway.service"), slurp_file("$source/deploy/usher-gateway.service"), 'and the unit as it is in deploy/');

# The page of the manual has each option once, and no mistake.
my $page = slurp_file("$root/own/usr/local/share/man/man8/usher-gateway.8");
my ($help) = run_command([ $ENV{USHER_GATEWAY}, '--help' ]);
my @options = $help =~ /^  --([a-z-]+)/mg;
cmp_ok(scalar @options, '>', 40, 'there are options');
is_deeply([ map { s/\\-/-/gr } $page =~ /^\.It Fl \\&\\-([a-z\\-]+)/mg ], \@options, 'the page of the manual has every option');

# The program finds the pages that were installed with it.
{
    my $node = start_cluster('install');
    local $ENV{USHER_GATEWAY} = "$root/own/usr/local/bin/usher-gateway";
    my $gateway = start_gateway($node);
    my $answer = http($gateway, 'GET', '/');
    is($answer->{status}, 200, 'the landing page of an installed gateway');
    is($answer->{content}, slurp_file("$source/gateway/pages/index.html"), '… is ours');
    is(stop_gateway($gateway), 0, 'stopped');
}
done_testing();
