// Asks one page again and again, and tells apart what became of each request.
//
// node drain.js URL CONNECTIONS SECONDS keep|new    prints { answered, refused, lost, others }
//   keep|new  connections are kept alive, or each request has one of its own
//   refused   nobody listened: the client knows that nothing was done, and asks another one
//   lost      somebody took the connection, and no answer came
//   others    answers that are not 200
'use strict';
const http = require('http');

const [url, connections, seconds, kind] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4]), process.argv[5]];
// an agent with maxSockets would keep connections whatever keepAlive says
const agent = kind === 'keep' ? new http.Agent({ keepAlive: true, maxSockets: connections }) : false;
const until = Date.now() + seconds * 1000;
const seen = { answered: 0, refused: 0, lost: {}, others: {} };

function ask() {
  return new Promise((resolve) => {
    const request = http.get(url, { agent }, (answer) => {
      answer.on('end', () => resolve({ status: answer.statusCode }));
      answer.on('error', (error) => resolve({ error: error.code }));
      answer.resume();
    });
    request.on('error', (error) => resolve({ error: error.code }));
  });
}

async function worker() {
  while (Date.now() < until) {
    const { status, error } = await ask();
    if (status === 200) seen.answered += 1;
    else if (status) seen.others[status] = (seen.others[status] || 0) + 1;
    else if (error === 'ECONNREFUSED') {
      seen.refused += 1;
      await new Promise((done) => setTimeout(done, 50));
    } else seen.lost[error] = (seen.lost[error] || 0) + 1;
  }
}

Promise.all(Array.from({ length: connections }, worker)).then(() => {
  if (agent) agent.destroy();
  console.log(JSON.stringify(seen));
});
