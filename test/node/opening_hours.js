// Expected instants of opening hours on the days that clocks change, computed by another implementation than ours:
// Temporal (@js-temporal/polyfill) on the zone data of Node. Its output is test/data/opening_hours.tsv, which
// test/t/booking_hours.pl compares with the server:
//     NODE_PATH=$USHER_NODE node test/node/opening_hours.js > test/data/opening_hours.tsv
const { Temporal } = require('@js-temporal/polyfill');

const days = {
  'America/New_York': ['2026-03-07', '2026-03-08', '2026-10-31', '2026-11-01'],
  'Europe/Berlin': ['2026-03-28', '2026-03-29', '2026-10-24', '2026-10-25'],
  'America/Santiago': ['2026-04-04', '2026-04-05', '2026-09-05', '2026-09-06'],
  'Australia/Lord_Howe': ['2026-04-04', '2026-04-05', '2026-10-03', '2026-10-04'],
  'Pacific/Apia': ['2011-04-01', '2011-04-02', '2011-09-23', '2011-09-24', '2011-12-29', '2011-12-30', '2011-12-31'],
  'Africa/Casablanca': ['2026-02-14', '2026-02-15', '2026-03-21', '2026-03-22'],
  'Asia/Kathmandu': ['2026-03-29', '2026-10-25'],
};
const hours = [['00:00', '24:00'], ['01:30', '02:30'], ['13:00', '18:00'], ['22:00', '06:00']];

// RFC 5545 takes the first of two instants for an opening; a closing is the last. What the clocks skip is the end of the gap.
function instant(zone, local, which) {
  const possible = zone.getPossibleInstantsFor(local);
  if (possible.length > 0) return which === 'first' ? possible[0] : possible[possible.length - 1];
  return zone.getNextTransition(zone.getInstantFor(local, { disambiguation: 'earlier' }));
}

function wall(date, time) {
  return time === '24:00' ? date.add({ days: 1 }).toPlainDateTime('00:00') : date.toPlainDateTime(time);
}

const utc = (at) => at.toString({ smallestUnit: 'second' });
console.log('# what\tzone\tdate\topens\tcloses\tfrom\tuntil\tlocal_end');
for (const [name, dates] of Object.entries(days)) {
  const zone = Temporal.TimeZone.from(name);
  for (const text of dates) {
    const date = Temporal.PlainDate.from(text);
    for (const [opens, closes] of hours) {
      const last = closes <= opens ? date.add({ days: 1 }) : date;
      const from = instant(zone, wall(date, opens), 'first');
      const until = instant(zone, wall(last, closes), 'last');
      const isOpen = Temporal.Instant.compare(from, until) < 0;
      console.log(['period', name, text, opens, closes, isOpen ? utc(from) : '-', isOpen ? utc(until) : '-', '-'].join('\t'));
    }
    // a booking of three hours that begins at one o'clock keeps its length, whatever the clocks show at its end
    const start = instant(zone, wall(date, '01:00'), 'first');
    const end = start.add({ hours: 3 });
    const localEnd = end.toZonedDateTimeISO(zone).toPlainDateTime().toString({ smallestUnit: 'second' });
    console.log(['booking', name, text, '01:00', '-', utc(start), utc(end), localEnd].join('\t'));
  }
}
