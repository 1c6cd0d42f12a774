# docs/scaling.md: every table that grows by use is in its list with what ends it, and that is true of the catalog: partitions, settings, tables.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$ENV{USHER_SOURCE}/docs/scaling.md");
my ($list) = $page =~ /<!-- grows -->\n(.*?)<!-- grows: end -->/s or die 'docs/scaling.md has no list';
my (%ended, %unknown_setting);
for (grep { /^\| `/ } split /\n/, $list)
{
	my ($tables, undef, $end) = /^\| (.*?) \| (.*?) \| (.*) \|$/ or die "not a row: $_";
	my ($extension, $rest) = $tables =~ /^`(\w+)`: (.*)$/ or die "no extension: $_";
	$ended{"$extension $_"} = $end for $rest =~ /`(\w+)`/g;
}
# What does not grow by use, table by table: a new one has to be put here or there.
my %still = (
	usher => 'database_roles decisions extension_access extension_errors extension_events extension_hooks extension_settings extensions issuer_key_sources machines password_blocklist
		permissions personal_columns policy_models policy_rules rate_limit_policies role_closure role_graph role_management role_parents role_permissions role_presets roles routes
		self_checks server_secrets signing_keys subscriptions token_issuers upkeep_failures _audit_dump _schema_objects _watched_columns',
	usher_booking => 'location_exceptions location_hours location_services location_staff locations services staff_hours staff_skills',
	usher_courier => 'message_rules message_templates webhook_keys webhooks',
	usher_payment => 'payment_webhook_secrets',
	usher_shop => '_inventory_dump service_materials tax_rates',
	usher_loyalty => 'earning_rules loyalty_ads loyalty_offers loyalty_rewards loyalty_segments loyalty_tiers referral_programs');
my %still_there = map { my $e = $_; map { ("$e $_" => 1) } split ' ', $still{$e} } keys %still;

my $node = PostgreSQL::Test::Cluster->new('scaling');
$node->init;
$node->start;
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE; CREATE SCHEMA pay; CREATE EXTENSION usher_payment SCHEMA pay;
CREATE SCHEMA shop; CREATE EXTENSION usher_shop SCHEMA shop; CREATE SCHEMA club; CREATE EXTENSION usher_loyalty SCHEMA club;
CREATE SCHEMA courier; CREATE EXTENSION usher_courier SCHEMA courier;
SQL
my %kind = map { /^(.*) (.)$/ } split /\n/, $node->safe_psql('postgres', q{
	SELECT e.extname || ' ' || c.relname || ' ' || c.relkind::text FROM pg_class AS c
		JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' JOIN pg_extension AS e ON e.oid = d.refobjid
	WHERE e.extname IN ('usher', 'usher_booking', 'usher_payment', 'usher_shop', 'usher_loyalty', 'usher_courier') AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE '%\_inval'});
cmp_ok(scalar(keys %kind), '>', 100, 'there are tables');
is_deeply([ grep { !$ended{$_} && !$still_there{$_} } sort keys %kind ], [], 'every table that grows is in the list of docs/scaling.md');
is_deeply([ grep { !$kind{$_} } sort(keys %ended, keys %still_there) ], [], '… and what is listed is there');
is_deeply([ grep { $ended{$_} && $still_there{$_} } sort keys %kind ], [], '… once');
is_deeply([ grep { ($kind{$_} eq 'p') != ($ended{$_} =~ /partition a month/) } sort grep { $kind{$_} } keys %ended ], [], 'those that are partitioned are said to be');
my %setting = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', q{SELECT name FROM pg_settings WHERE name LIKE 'usher.%' UNION SELECT s.name FROM usher.extension_settings AS s});
my %named = map { $_ => 1 } map { /`((?:usher|payment|shop|booking|loyalty|courier)\.\w+)`/g } values %ended;
is_deeply([ grep { !/^usher\.erase_user/ && !$setting{$_} } sort keys %named ], [], 'the settings that end them are there');
cmp_ok(scalar(keys %named), '>', 6, '… several');

# The sources' sizes of machines
like($page, qr/8 CPU, 32 GB.*16 CPU, 64 GB.*32 CPU, 128 GB/, 'sizes of machines: 8 CPU and 32 GB, 16 and 64, 32 and 128');
my %column = map { my ($name, @cells) = map { s/^\s+|\s+$//gr } split /\|/, substr $_, 1; ($name => \@cells) } $page =~ /^\| `?\w.*\| *$/mg;
my $bytes = sub { my ($n, $unit) = $_[0] =~ /^([\d.]+) (MB|GB)$/ or return 0; return $n * ($unit eq 'GB' ? 1024 : 1) };
for my $size (0 .. 2)
{
	my ($buffers, $work, $connections, $pool) = map { $column{$_}[$size] } '`shared_buffers`', '`work_mem`', '`max_connections`', '`pool_size` of all gateways together';
	my $memory = (32, 64, 128)[$size] * 1024;
	cmp_ok($bytes->($buffers) + $connections * ($bytes->($work) + 8 + 10), '<=', $memory / 2 , "… its buffers and connections leave half of the memory of $memory MB to files");
	cmp_ok($pool + 3 + 10, '<=', $connections, '… and its pool leaves connections for others');
}
my $settings = join ', ', map { "$_ = '" . ($column{"`$_`"}[0]) . "'" } qw(work_mem maintenance_work_mem max_wal_size effective_cache_size);
ok($node->safe_psql('postgres', join ';', map { "ALTER SYSTEM SET $_" =~ s/(\d) ([MG]B)/$1$2/r } split /, /, $settings) eq '', '… the server takes them');
done_testing();
