// Mixed load: each worker writes rows with ids of its own and reads rows that were acknowledged before.
//
// node load.js GATEWAY CONNECTIONS[+READERS] SECONDS [STATUS...]    prints { statuses, wrong, errors, acknowledged, silences }
//   wrong     answers that nobody should get: other statuses than the expected ones, 503 and STATUS, or an acknowledged row missing
//   silences  [kind, from, to] where for half a second or more no write, or no read, was answered as expected; in seconds since 1970
// READERS are further connections that only read, what the others have written. SIGTERM ends it before its time.
'use strict';
const http = require('http');

const [gateway, seconds] = [process.argv[2], Number(process.argv[4])];
const [connections, readers = 0] = process.argv[3].split('+').map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: connections + readers });
const tolerated = process.argv.slice(5).map(Number);
let until = Date.now() + seconds * 1000;
process.on('SIGTERM', () => { until = 0; });
const seen = { statuses: {}, wrong: [], errors: [], acknowledged: [], silences: [] };
const last = { write: Date.now(), read: Date.now() };

function answered(kind) {
  const now = Date.now();
  if (now - last[kind] >= 500) seen.silences.push([kind, last[kind] / 1000, now / 1000]);
  last[kind] = now;
}

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = text ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) } : {};
    const request = http.request(`${gateway}${path}`, { method, agent, headers }, (answer) => {
      let got = '';
      answer.on('data', (part) => { got += part; });
      answer.on('end', () => resolve({ status: answer.statusCode, body: got, headers: answer.headers }));
    });
    request.on('error', reject);
    request.end(text);
  });
}

function judge(what, answer, expected) {
  seen.statuses[answer.status] = (seen.statuses[answer.status] || 0) + 1;
  if (answer.status === 503 && answer.headers['retry-after']) return;
  if (tolerated.includes(answer.status)) return;
  if (!expected.includes(answer.status)) seen.wrong.push(`${what}: ${answer.status} ${answer.body.slice(0, 200)}`);
}

async function worker(number) {
  const mine = [];
  let unsure = null; // a write that was answered 503: it may have been done
  for (let i = 0; Date.now() < until; ++i) {
    try {
      if (number > connections) {
        mine[0] = seen.acknowledged[Math.floor(Math.random() * seen.acknowledged.length)];
        if (mine[0] === undefined) mine.length = 0;
      }
      if (i % 3 === 0 && number <= connections) {
        const id = unsure === null ? number * 1000000 + i : unsure;
        const answer = await call('POST', '/notes', { id });
        judge(`write ${id}`, answer, unsure === null ? [201] : [201, 409]);
        if (answer.status === 201 || answer.status === 409) {
          mine.push(id);
          seen.acknowledged.push(id);
          answered('write');
          unsure = null;
        } else {
          unsure = id;
        }
      } else if (mine.length > 0) {
        const id = mine[Math.floor(Math.random() * mine.length)];
        const answer = await call('GET', `/notes/${id}`);
        judge(`read ${id}`, answer, [200]);
        if (answer.status === 200) answered('read');
        if (answer.status === 200 && JSON.parse(answer.body).id !== id) seen.wrong.push(`read ${id}: got ${answer.body}`);
      } else {
        judge('me', await call('GET', '/auth/me'), [401]);
      }
    } catch (error) {
      seen.errors.push(`${error.code || error.message}`);
      await new Promise((done) => setTimeout(done, 20));
    }
    if (i % 3 === 2) await new Promise((done) => setTimeout(done, 5));
  }
}

Promise.all(Array.from({ length: connections + readers }, (_, i) => worker(i + 1))).then(() => {
  agent.destroy();
  console.log(JSON.stringify(seen));
});
