-- Wall time and instants: gaps, repeated hours, days of 23 and 25 hours, a day that never was.
-- Expected instants come from another implementation (Python's zoneinfo, searching minute by minute), not from
-- PostgreSQL.
SET TimeZone = 'Asia/Tokyo'; -- the session's zone must not matter
SET client_min_messages = warning;
SET DateStyle = ISO;
SET IntervalStyle = postgres;

CREATE TEMP TABLE expected (zone text, local timestamp, first_instant timestamptz, last_instant timestamptz);
INSERT INTO expected VALUES
    ('America/New_York', '2026-03-08 01:45', '2026-03-08 06:45Z', '2026-03-08 06:45Z'),
    ('America/New_York', '2026-03-08 02:00', '2026-03-08 07:00Z', '2026-03-08 07:00Z'),
    ('America/New_York', '2026-03-08 02:30', '2026-03-08 07:00Z', '2026-03-08 07:00Z'),
    ('America/New_York', '2026-03-08 03:00', '2026-03-08 07:00Z', '2026-03-08 07:00Z'),
    ('America/New_York', '2026-03-08 03:15', '2026-03-08 07:15Z', '2026-03-08 07:15Z'),
    ('America/New_York', '2026-11-01 00:45', '2026-11-01 04:45Z', '2026-11-01 04:45Z'),
    ('America/New_York', '2026-11-01 01:00', '2026-11-01 05:00Z', '2026-11-01 06:00Z'),
    ('America/New_York', '2026-11-01 01:30', '2026-11-01 05:30Z', '2026-11-01 06:30Z'),
    ('America/New_York', '2026-11-01 02:00', '2026-11-01 07:00Z', '2026-11-01 07:00Z'),
    ('America/New_York', '2026-11-01 02:15', '2026-11-01 07:15Z', '2026-11-01 07:15Z'),
    ('Europe/Berlin', '2026-03-29 01:45', '2026-03-29 00:45Z', '2026-03-29 00:45Z'),
    ('Europe/Berlin', '2026-03-29 02:00', '2026-03-29 01:00Z', '2026-03-29 01:00Z'),
    ('Europe/Berlin', '2026-03-29 02:30', '2026-03-29 01:00Z', '2026-03-29 01:00Z'),
    ('Europe/Berlin', '2026-03-29 03:00', '2026-03-29 01:00Z', '2026-03-29 01:00Z'),
    ('Europe/Berlin', '2026-03-29 03:15', '2026-03-29 01:15Z', '2026-03-29 01:15Z'),
    ('Europe/Berlin', '2026-10-25 01:45', '2026-10-24 23:45Z', '2026-10-24 23:45Z'),
    ('Europe/Berlin', '2026-10-25 02:00', '2026-10-25 00:00Z', '2026-10-25 01:00Z'),
    ('Europe/Berlin', '2026-10-25 02:30', '2026-10-25 00:30Z', '2026-10-25 01:30Z'),
    ('Europe/Berlin', '2026-10-25 03:00', '2026-10-25 02:00Z', '2026-10-25 02:00Z'),
    ('Europe/Berlin', '2026-10-25 03:15', '2026-10-25 02:15Z', '2026-10-25 02:15Z'),
    ('America/Santiago', '2026-04-04 22:45', '2026-04-05 01:45Z', '2026-04-05 01:45Z'),
    ('America/Santiago', '2026-04-04 23:00', '2026-04-05 02:00Z', '2026-04-05 03:00Z'),
    ('America/Santiago', '2026-04-04 23:30', '2026-04-05 02:30Z', '2026-04-05 03:30Z'),
    ('America/Santiago', '2026-04-05 00:00', '2026-04-05 04:00Z', '2026-04-05 04:00Z'),
    ('America/Santiago', '2026-04-05 00:15', '2026-04-05 04:15Z', '2026-04-05 04:15Z'),
    ('America/Santiago', '2026-09-05 23:45', '2026-09-06 03:45Z', '2026-09-06 03:45Z'),
    ('America/Santiago', '2026-09-06 00:00', '2026-09-06 04:00Z', '2026-09-06 04:00Z'),
    ('America/Santiago', '2026-09-06 00:30', '2026-09-06 04:00Z', '2026-09-06 04:00Z'),
    ('America/Santiago', '2026-09-06 01:00', '2026-09-06 04:00Z', '2026-09-06 04:00Z'),
    ('America/Santiago', '2026-09-06 01:15', '2026-09-06 04:15Z', '2026-09-06 04:15Z'),
    ('Australia/Lord_Howe', '2026-04-05 01:15', '2026-04-04 14:15Z', '2026-04-04 14:15Z'),
    ('Australia/Lord_Howe', '2026-04-05 01:30', '2026-04-04 14:30Z', '2026-04-04 15:00Z'),
    ('Australia/Lord_Howe', '2026-04-05 01:45', '2026-04-04 14:45Z', '2026-04-04 15:15Z'),
    ('Australia/Lord_Howe', '2026-04-05 02:00', '2026-04-04 15:30Z', '2026-04-04 15:30Z'),
    ('Australia/Lord_Howe', '2026-04-05 02:15', '2026-04-04 15:45Z', '2026-04-04 15:45Z'),
    ('Australia/Lord_Howe', '2026-10-04 01:45', '2026-10-03 15:15Z', '2026-10-03 15:15Z'),
    ('Australia/Lord_Howe', '2026-10-04 02:00', '2026-10-03 15:30Z', '2026-10-03 15:30Z'),
    ('Australia/Lord_Howe', '2026-10-04 02:15', '2026-10-03 15:30Z', '2026-10-03 15:30Z'),
    ('Australia/Lord_Howe', '2026-10-04 02:30', '2026-10-03 15:30Z', '2026-10-03 15:30Z'),
    ('Australia/Lord_Howe', '2026-10-04 02:45', '2026-10-03 15:45Z', '2026-10-03 15:45Z'),
    ('Pacific/Apia', '2011-04-02 02:45', '2011-04-02 12:45Z', '2011-04-02 12:45Z'),
    ('Pacific/Apia', '2011-04-02 03:00', '2011-04-02 13:00Z', '2011-04-02 14:00Z'),
    ('Pacific/Apia', '2011-04-02 03:30', '2011-04-02 13:30Z', '2011-04-02 14:30Z'),
    ('Pacific/Apia', '2011-04-02 04:00', '2011-04-02 15:00Z', '2011-04-02 15:00Z'),
    ('Pacific/Apia', '2011-04-02 04:15', '2011-04-02 15:15Z', '2011-04-02 15:15Z'),
    ('Pacific/Apia', '2011-09-24 02:45', '2011-09-24 13:45Z', '2011-09-24 13:45Z'),
    ('Pacific/Apia', '2011-09-24 03:00', '2011-09-24 14:00Z', '2011-09-24 14:00Z'),
    ('Pacific/Apia', '2011-09-24 03:30', '2011-09-24 14:00Z', '2011-09-24 14:00Z'),
    ('Pacific/Apia', '2011-09-24 04:00', '2011-09-24 14:00Z', '2011-09-24 14:00Z'),
    ('Pacific/Apia', '2011-09-24 04:15', '2011-09-24 14:15Z', '2011-09-24 14:15Z'),
    ('Pacific/Apia', '2011-12-29 23:45', '2011-12-30 09:45Z', '2011-12-30 09:45Z'),
    ('Pacific/Apia', '2011-12-30 00:00', '2011-12-30 10:00Z', '2011-12-30 10:00Z'),
    ('Pacific/Apia', '2011-12-30 12:00', '2011-12-30 10:00Z', '2011-12-30 10:00Z'),
    ('Pacific/Apia', '2011-12-31 00:00', '2011-12-30 10:00Z', '2011-12-30 10:00Z'),
    ('Pacific/Apia', '2011-12-31 00:15', '2011-12-30 10:15Z', '2011-12-30 10:15Z'),
    ('Africa/Casablanca', '2026-02-15 01:45', '2026-02-15 00:45Z', '2026-02-15 00:45Z'),
    ('Africa/Casablanca', '2026-02-15 02:00', '2026-02-15 01:00Z', '2026-02-15 02:00Z'),
    ('Africa/Casablanca', '2026-02-15 02:30', '2026-02-15 01:30Z', '2026-02-15 02:30Z'),
    ('Africa/Casablanca', '2026-02-15 03:00', '2026-02-15 03:00Z', '2026-02-15 03:00Z'),
    ('Africa/Casablanca', '2026-02-15 03:15', '2026-02-15 03:15Z', '2026-02-15 03:15Z'),
    ('Africa/Casablanca', '2026-03-22 01:45', '2026-03-22 01:45Z', '2026-03-22 01:45Z'),
    ('Africa/Casablanca', '2026-03-22 02:00', '2026-03-22 02:00Z', '2026-03-22 02:00Z'),
    ('Africa/Casablanca', '2026-03-22 02:30', '2026-03-22 02:00Z', '2026-03-22 02:00Z'),
    ('Africa/Casablanca', '2026-03-22 03:00', '2026-03-22 02:00Z', '2026-03-22 02:00Z'),
    ('Africa/Casablanca', '2026-03-22 03:15', '2026-03-22 02:15Z', '2026-03-22 02:15Z'),
    ('Asia/Kathmandu', '2026-03-29 06:30', '2026-03-29 00:45Z', '2026-03-29 00:45Z'),
    ('Asia/Kathmandu', '2026-03-29 06:45', '2026-03-29 01:00Z', '2026-03-29 01:00Z'),
    ('Asia/Kathmandu', '2026-03-29 07:00', '2026-03-29 01:15Z', '2026-03-29 01:15Z'),
    ('Asia/Kathmandu', '2026-10-25 06:30', '2026-10-25 00:45Z', '2026-10-25 00:45Z'),
    ('Asia/Kathmandu', '2026-10-25 06:45', '2026-10-25 01:00Z', '2026-10-25 01:00Z'),
    ('Asia/Kathmandu', '2026-10-25 07:00', '2026-10-25 01:15Z', '2026-10-25 01:15Z')
;
SELECT count(*) AS cases, count(DISTINCT zone) AS zones,
       count(*) FILTER (WHERE first_instant <> last_instant) > 5 AS has_repeated
FROM expected;
SELECT zone, local, first_instant, wash._local_to_instant(local, zone, 'first') AS first_got,
    last_instant, wash._local_to_instant(local, zone, 'last') AS last_got
FROM expected
WHERE wash._local_to_instant(local, zone, 'first') <> first_instant
    OR wash._local_to_instant(local, zone, 'last') <> last_instant
ORDER BY zone, local;

-- Length of opening periods on the days the clocks change
BEGIN;
SELECT id AS ny
FROM wash.create_location('DST', '1 Road', 'New York', 'NY', '10001', time_zone => 'America/New_York') \gset
SELECT wash.set_location_hours(:'ny', '{7}', '[["00:00", "24:00"]]') AS written;
SELECT wash.set_location_hours(:'ny', '{6}', '[["22:00", "06:00"]]') AS overnight;
SELECT p.opens_at AT TIME ZONE 'UTC' AS opens, p.closes_at - p.opens_at AS length
FROM wash._open_periods(:'ny', '2026-03-07 12:00Z', '2026-03-09 12:00Z') AS p ORDER BY p.opens_at;
SELECT p.opens_at AT TIME ZONE 'UTC' AS opens, p.closes_at - p.opens_at AS length
FROM wash._open_periods(:'ny', '2026-10-31 12:00Z', '2026-11-02 12:00Z') AS p ORDER BY p.opens_at;
-- opens in the gap, closes in the repeated hour
SELECT wash.set_location_hours(:'ny', '{7}', '[["01:30", "02:30"]]') AS written;
SELECT wash.set_location_hours(:'ny', '{6}', '[]') AS closed;
SELECT p.opens_at AT TIME ZONE 'UTC' AS opens, p.closes_at AT TIME ZONE 'UTC' AS closes
FROM wash._open_periods(:'ny', '2026-03-08 00:00Z', '2026-03-09 00:00Z') AS p;
SELECT p.opens_at AT TIME ZONE 'UTC' AS opens, p.closes_at AT TIME ZONE 'UTC' AS closes
FROM wash._open_periods(:'ny', '2026-11-01 00:00Z', '2026-11-02 00:00Z') AS p;
-- an exception replaces the weekly hours of its date, and only of that
SELECT wash.set_location_exception(:'ny', '2026-11-01', '[{"opens": "09:00", "closes": "10:00"}]',
                                   'marathon') AS affected;
SELECT p.opens_at AT TIME ZONE 'UTC' AS opens, p.closes_at AT TIME ZONE 'UTC' AS closes
FROM wash._open_periods(:'ny', '2026-10-25 00:00Z', '2026-11-09 00:00Z') AS p ORDER BY p.opens_at;
-- hours that hold for a time only
SELECT wash.set_location_hours(:'ny', '{1}', '[["10:00", "11:00"]]', '[2027-01-01,2027-01-12)') AS written;
SELECT p.opens_at AT TIME ZONE 'UTC' AS opens
FROM wash._open_periods(:'ny', '2026-12-25 00:00Z', '2027-02-01 00:00Z') AS p
WHERE extract(isodow FROM p.opens_at AT TIME ZONE 'America/New_York') = 1 ORDER BY p.opens_at;
-- the JSON form of other systems
SELECT wash.import_location_hours(
    :'ny', '{"monday": {"open": "08:00", "close": "18:00"}, "tue": [["08:00", "12:00"], ["13:00", "17:00"]], '
           '"sunday": "closed"}') AS written;
SELECT weekday, opens, closes
FROM wash.location_hours WHERE location_id = :'ny' AND upper_inf(valid) ORDER BY weekday, opens;
ROLLBACK;

-- Bad input
\set VERBOSITY sqlstate
SELECT wash._parse_periods('{}');
SELECT wash._parse_periods(NULL);
SELECT wash._parse_periods('[["08:00"]]');
SELECT wash._parse_periods('[["25:00", "26:00"]]');
SELECT wash._parse_periods('[["8", "9"]]');
SELECT wash._parse_periods('[null]');
SELECT wash._parse_periods((SELECT jsonb_agg(jsonb_build_array('08:00', '09:00')) FROM generate_series(1, 49)));
SELECT wash.create_location('Mars', '1 Road', 'Olympus', 'OM', '1', time_zone => 'Mars/Olympus');
SELECT wash.create_location('Mars', '1 Road', 'Olympus', 'OM', '1', time_zone => 'EST5EDT4,M3.2.0,M11.1.0');
SELECT wash.set_location_hours('00000000-0000-0000-0000-000000000000', '{1}', '[]');
SELECT wash.set_location_hours(NULL, '{1}', '[]');
