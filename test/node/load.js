// Mixed load: each worker writes rows with ids of its own and reads rows that were acknowledged before.
//
// node load.js GATEWAY CONNECTIONS SECONDS    prints { statuses, wrong, errors, acknowledged }
//   wrong   answers that nobody should get: other statuses than the expected ones and 503, or an acknowledged row missing
'use strict';
const http = require('http');

const [gateway, connections, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
const until = Date.now() + seconds * 1000;
const seen = { statuses: {}, wrong: [], errors: [], acknowledged: [] };

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
  if (!expected.includes(answer.status)) seen.wrong.push(`${what}: ${answer.status} ${answer.body.slice(0, 200)}`);
}

async function worker(number) {
  const mine = [];
  let unsure = null; // a write that was answered 503: it may have been done
  for (let i = 0; Date.now() < until; ++i) {
    try {
      if (i % 3 === 0) {
        const id = unsure === null ? number * 1000000 + i : unsure;
        const answer = await call('POST', '/notes', { id });
        judge(`write ${id}`, answer, unsure === null ? [201] : [201, 409]);
        if (answer.status === 201 || answer.status === 409) {
          mine.push(id);
          seen.acknowledged.push(id);
          unsure = null;
        } else {
          unsure = id;
        }
      } else if (mine.length > 0) {
        const id = mine[Math.floor(Math.random() * mine.length)];
        const answer = await call('GET', `/notes/${id}`);
        judge(`read ${id}`, answer, [200]);
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

Promise.all(Array.from({ length: connections }, (_, i) => worker(i + 1))).then(() => {
  agent.destroy();
  console.log(JSON.stringify(seen));
});
