# Crowds of 32 and 100 at all three isolation levels, through the functions and (C-13) by raw SQL: C-13 the last ten units, the last unit
# wanted by 100, C-14 one product in several lines, C-15 adjustments in both directions; one hot product, holds that end while they are
# committed, transfers that cross, two returns of one thing, and a count while goods move. Nothing is promised twice, the log adds up to
# the levels, and no deadlock is logged.
use strict;
use warnings;
use Test::More;
use UsherCrowd;

start_cluster('shop_races', 'max_connections = 200', 'shop._shop_self_check()');
one(<<'SQL');
SET client_min_messages = warning;
CREATE SCHEMA shop;
CREATE EXTENSION usher_shop SCHEMA shop;
CREATE SEQUENCE number;
-- a product with so much of it on the stage; the places are p1 and p2
CREATE FUNCTION stock(called text, quantity bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO stage VALUES (called, (shop.create_product('sku-' || nextval('number'), called, status => 'active')).product_id);
	INSERT INTO stage VALUES ('p1', usher.uuid_v7()), ('p2', usher.uuid_v7()) ON CONFLICT DO NOTHING;
	PERFORM shop.receive_stock(stage(called), stage('p1'), quantity);
END $$;
CREATE FUNCTION reserve(VARIADIC what text[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(r.quantity::text, ' ') FROM shop.reserve_stock((SELECT jsonb_agg(jsonb_build_object('product_id', stage(w), 'location_id', stage('p1'), 'quantity', 1)) FROM unnest(what) AS w)) AS r
$$;
SQL
sub level_of { return one("SELECT on_hand || ' ' || reserved FROM shop.get_stock_level(ARRAY[stage('$_[0]')], stage('" . ($_[1] // 'p1') . "'))") }

for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;
	for my $raw (0, 1)
	{
		my $how = $raw ? 'raw SQL' : 'the functions';
		my $statement = $raw ? q{SELECT answer(format('INSERT INTO shop.stock_reservations (product_id, location_id, quantity) VALUES (%L, %L, 1) RETURNING status', stage('a'), stage('p1')));}
			: q{SELECT answer('SELECT CASE reserve(''a'') WHEN ''1'' THEN ''held'' END');};
		is(crowd(100, "SELECT stock('a', 10)", "$statement\n"), 'UC001 90, held 10', "$level: C-13 by $how, ten of 100 get the last ten");
		is(level_of('a'), '10 10', "$level: C-13 by $how, all of it is reserved");
		is(crowd(100, "SELECT stock('a', 1)", "$statement\n"), 'UC001 99, held 1', "$level: the last unit by $how, one of 100 gets it");
		is(level_of('a'), '1 1', "$level: the last unit by $how, once");
	}

	is(crowd(32, "SELECT stock('a', 2), stock('b', 100)", "SELECT answer('SELECT reserve(''a'', ''b'', ''a'', ''a'')');\n"), 'UC001 32', "$level: C-14, lines of one product are added up");
	is(level_of('a') . ', ' . level_of('b'), '2 0, 100 0', "$level: C-14, nothing is reserved");

	# both orders of lines, so that levels would be taken crosswise
	is(crowd(32, "SELECT stock('a', 20), stock('b', 100)", "SELECT answer(CASE WHEN :client_id % 2 = 0 THEN 'SELECT reserve(''a'', ''b'')' ELSE 'SELECT reserve(''b'', ''a'')' END);\n"), '1 1 20, UC001 12',
		"$level: orders of two products in both ways");
	is(level_of('a') . ', ' . level_of('b'), '20 20, 100 20', "$level: … take both or none");

	my $rounds = $ENV{USHER_LONG} ? 1000 : 40;
	crowd(32, "SELECT stock('a', 100000)", "SELECT answer(format('SELECT ''done'' FROM shop.adjust_stock(%L, %L, %s, ''counted'')', stage('a'), stage('p1'), CASE WHEN :client_id % 2 = 0 THEN 5 ELSE -3 END));\n", '-t', $rounds);
	is(level_of('a'), (100000 + 16 * $rounds * 2) . ' 0', "$level: C-15, 32 clients x $rounds adjustments of +5 and -3");
	is(one("SELECT sum(on_hand_delta) FROM shop.inventory_logs WHERE product_id = stage('a')"), 100000 + 16 * $rounds * 2, "$level: C-15, the log says the same");
	is(one("SELECT count(*) FROM (SELECT on_hand_after - on_hand_delta - lag(on_hand_after) OVER (ORDER BY id) AS gap FROM shop.inventory_logs WHERE product_id = stage('a')) AS x WHERE gap <> 0"), '0', "$level: C-15, balance after balance");

	# One hold, committed, released and expired at once
	is(crowd(32, "SELECT stock('a', 5); INSERT INTO stage SELECT 'r', r.reservation_id FROM shop.reserve_stock(jsonb_build_array(jsonb_build_object('product_id', stage('a'), 'location_id', stage('p1'), 'quantity', 3)), ttl => NULL) AS r",
		"SELECT answer(format('SELECT ''changed'' FROM shop.%s_stock(%L, 1)', CASE WHEN :client_id % 2 = 0 THEN 'commit' ELSE 'release' END, stage('r')));\n"), 'UC003 29, changed 3', "$level: three of a hold of three");
	is(one("SELECT on_hand - (5 - (SELECT committed FROM shop.stock_reservations WHERE id = stage('r'))) || ' ' || reserved FROM shop.stock_levels WHERE product_id = stage('a')"), '0 0', "$level: … committed leaves, released stays");
	is(crowd(32, "SELECT stock('a', 5); INSERT INTO stage SELECT 'r', r.reservation_id FROM shop.reserve_stock(jsonb_build_array(jsonb_build_object('product_id', stage('a'), 'location_id', stage('p1'), 'quantity', 4)), ttl => NULL) AS r; SELECT shop.commit_stock(stage('r'))",
		"SELECT answer(format('SELECT ''back'' FROM shop.%s_stock(%L, 1)', CASE WHEN :client_id % 2 = 0 THEN 'return' ELSE 'recall' END, stage('r')));\n"), 'UC003 28, back 4', "$level: four come back of four, returned or recalled");
	is(one("SELECT on_hand FROM shop.stock_levels WHERE product_id = stage('a')"), '5', "$level: … and are there");

	# Holds that are over give way to whoever wants them, or are committed before: never both
	crowd(32, "SELECT stock('a', 8)", <<'SCRIPT', '-t', 20);
SELECT answer(CASE :client_id % 4 WHEN 0 THEN format('SELECT ''committed'' FROM shop.stock_reservations AS r, LATERAL shop.commit_stock(r.id) WHERE r.product_id = %L AND r.status = ''held'' LIMIT 1', stage('a'))
	WHEN 1 THEN 'SELECT ''expired'' FROM shop.expire_reservations(5)'
	ELSE format('SELECT ''reserved'' FROM shop.reserve_stock(jsonb_build_array(jsonb_build_object(''product_id'', %L::uuid, ''location_id'', %L::uuid, ''quantity'', 2)), ttl => ''3 ms'')', stage('a'), stage('p1')) END);
SCRIPT
	is(one("SELECT string_agg(DISTINCT answer, ' ') FROM outcome WHERE answer NOT IN ('committed', 'expired', 'reserved', 'UC001', 'UC003')"), '', "$level: holds that end are refused for good reasons only");
	cmp_ok(one("SELECT on_hand FROM shop.stock_levels WHERE product_id = stage('a')"), '>=', 0, "$level: … and nothing left that was not there");

	# Transfers that cross, while others reserve at both ends
	crowd(32, "SELECT stock('a', 40); SELECT shop.receive_stock(stage('a'), stage('p2'), 40)", <<'SCRIPT', '-t', 10);
SELECT answer(CASE :client_id % 3 WHEN 0 THEN format('SELECT ''moved'' FROM shop.transfer_stock(%L, %L, %L, 3)', stage('a'), stage('p1'), stage('p2'))
	WHEN 1 THEN format('SELECT ''moved'' FROM shop.transfer_stock(%L, %L, %L, 2)', stage('a'), stage('p2'), stage('p1')) ELSE 'SELECT reserve(''a'')' END);
SCRIPT
	is(one("SELECT sum(on_hand) FROM shop.stock_levels WHERE product_id = stage('a')"), '80', "$level: what is moved is neither lost nor doubled");

	# A count meets movements: the difference is what was missing, whatever moved since
	is(crowd(32, "SELECT stock('a', 100); INSERT INTO stage SELECT 'count', c.count_id FROM shop.start_stock_count(stage('p1')) AS c; SELECT shop.record_count(stage('count'), stage('a'), 97)",
		"SELECT answer(CASE WHEN :client_id < 2 THEN format('SELECT difference::text FROM shop.finish_stock_count(%L)', stage('count')) ELSE format('SELECT ''come'' FROM shop.receive_stock(%L, %L, 1)', stage('a'), stage('p1')) END);\n"),
		'-3 1, UC006 1, come 30', "$level: a count is booked once");
	is(level_of('a'), '127 0', "$level: … beside what came meanwhile");

	# One crossing, one event
	crowd(32, "SELECT stock('a', 32); SELECT shop.set_stock_limits(stage('a'), stage('p1'), 10)", "SELECT answer('SELECT reserve(''a'')');\n");
	is(one("SELECT string_agg(event, ' ' ORDER BY event) FROM usher.events WHERE key = stage('a')::text AND event LIKE 'stock.%'"), 'stock.low stock.out', "$level: low and out are told once");
}

finish();
