# make install-gateway and make install-courier, into folders of their own.
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
    ok(IPC::Run::run([ 'make', '-j2', '-C', $build, '-f', "$source/Makefile", "VPATH=$source", "PG_CONFIG=$pg_config", @arguments ], '>&', \$log), $name)
        or diag($log);
}
sub files { return [ sort map { s{^\./}{}r } split /\n/, `cd '$_[0]' && find . -type f` ] }
sub mode_of { return sprintf '%04o', (stat $_[0])[2] & 07777 }

my @programs = qw(gateway courier);
my @targets = map { "install-$_" } @programs;
make('make install-gateway install-courier', @targets, "DESTDIR=$root/own");
my $own = "$root/own/usr/local";
my @pages = map { s{.*/}{}r } grep { -e } glob "$build/gateway/pages/*.* $build/gateway/pages/LICENSE";
cmp_ok(scalar @pages, '>=', 3, 'there are pages');
my @expected = map {
    ("usr/local/bin/usher-$_", "usr/local/etc/usher/$_.json", "usr/local/lib/systemd/system/usher-$_.service", "usr/local/lib/systemd/system/usher-$_\@.service",
        "usr/local/share/man/man8/usher-$_.8")
} @programs;
push @expected, 'usr/local/etc/usher/smtp-password', map { "usr/local/share/usher-gateway/pages/$_" } @pages;
is_deeply(files("$root/own"), [ sort @expected ], 'exactly these files are installed');
is(mode_of("$own/etc/usher/smtp-password"), '0600', 'nobody else reads the password of the SMTP server');

for my $program (@programs)
{
    my $unit = slurp_file("$own/lib/systemd/system/usher-$program.service");
    like($unit, qr{^ExecStart=/usr/local/bin/usher-$program --config /usr/local/etc/usher/$program\.json$}m,
        "the unit of the $program starts the program that is installed, with its options");
    like(slurp_file("$own/lib/systemd/system/usher-$program\@.service"), qr{^ExecStart=/usr/local/bin/usher-$program --config /usr/local/etc/usher/$program-%i\.json$}m,
        '… and that for several of them');
    my @credentials = $unit =~ /^LoadCredential=[^:]*:(.*)$/mg;
    is_deeply([ grep { !-e "$root/own$_" } @credentials ], [], 'and the credentials that it loads are there');
}

# What an administrator has written there stays.
my %kept = map { $_ => slurp_file($_) . "\n" } "$own/etc/usher/gateway.json", "$own/etc/usher/courier.json", "$own/etc/usher/smtp-password";
append_to_file($_, "\n") for keys %kept;
make('once more', @targets, "DESTDIR=$root/own");
is_deeply({ map { $_ => slurp_file($_) } keys %kept }, \%kept, 'options and password that are there stay');

make('prefix=/usr', @targets, "DESTDIR=$root/usr", 'prefix=/usr');
for my $program (@programs)
{
    ok(-f "$root/usr/etc/usher/$program.json", "the $program has its options in /etc");
    is(slurp_file("$root/usr/usr/lib/systemd/system/usher-$program.service"), slurp_file("$source/deploy/usher-$program.service"),
        'and the unit as it is in deploy/');
}

# The page of the manual has each option once.
for my $program (@programs)
{
    my $page = slurp_file("$own/share/man/man8/usher-$program.8");
    my ($help) = run_command([ "$own/bin/usher-$program", '--help' ]);
    my @options = $help =~ /^  --([a-z-]+)/mg;
    cmp_ok(scalar @options, '>', 20, "the $program has options");
    is_deeply([ map { s/\\-/-/gr } $page =~ /^\.It Fl \\&\\-([a-z\\-]+)/mg ], \@options, 'the page of the manual has every option');
}

# The program finds the pages that were installed with it.
{
    my $node = start_cluster('install');
    local $ENV{USHER_GATEWAY} = "$own/bin/usher-gateway";
    my $gateway = start_gateway($node);
    my $answer = http($gateway, 'GET', '/');
    is($answer->{status}, 200, 'the landing page of an installed gateway');
    is($answer->{content}, slurp_file("$source/gateway/pages/index.html"), '… is ours');
    is(stop_gateway($gateway), 0, 'stopped');
}
done_testing();
