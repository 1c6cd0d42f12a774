// Reads a cheap page while a crowd logs in.
//
// node crowd.js GATEWAY PAGE READERS LOGINS SECONDS    prints { reads, logins, slowest_ms }: how often each status came
'use strict';
const http = require('http');

const [gateway, page] = process.argv.slice(2, 4);
const [readers, logins, seconds] = process.argv.slice(4).map(Number);
const until = Date.now() + seconds * 1000;
const seen = { reads: {}, logins: {}, slowest_ms: 0 };

function call(agent, method, path, body) {
  return new Promise((resolve) => {
    const headers = body ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } : {};
    const request = http.request(`${gateway}${path}`, { method, agent, headers }, (answer) => {
      answer.on('end', () => resolve(answer.statusCode));
      answer.resume();
    });
    request.on('error', (error) => resolve(error.code));
    request.end(body);
  });
}

async function repeat(counts, ask) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; Date.now() < until; ++i) {
    const began = Date.now();
    const status = await ask(agent, i);
    counts[status] = (counts[status] || 0) + 1;
    if (counts === seen.reads) seen.slowest_ms = Math.max(seen.slowest_ms, Date.now() - began);
  }
  agent.destroy();
}

const read = (agent) => call(agent, 'GET', page);
const login = (agent, i) => call(agent, 'POST', '/auth/login', JSON.stringify({ identifier: `nobody${i}@example.com`, password: 'wrong horse battery' }));
Promise.all([
  ...Array.from({ length: readers }, () => repeat(seen.reads, read)),
  ...Array.from({ length: logins }, () => repeat(seen.logins, login)),
]).then(() => console.log(JSON.stringify(seen)));
