// The alternative to the gateway: Node's http module and pg, one prepared call for each request, a pool of 8.
// node node_pg.js CONNINFO-AS-JSON   prints its port
'use strict';
const http = require('http');
const { Pool } = require('pg');

const pool = new Pool({ ...JSON.parse(process.argv[2]), max: 8 });
const text = 'SELECT status, headers, body FROM usher.http_request($1, $2, $3, $4, $5, $6)';

function answer(request, response, body) {
  const url = request.url.split('?');
  pool.query({ name: 'http_request', text, values: [request.method, url[0], url[1] || null, request.headers, body || null, '127.0.0.1'] })
    .then(({ rows: [row] }) => {
      const headers = row.headers.filter(([name]) => name !== 'usher-route').flat();
      response.writeHead(row.status, [...headers, 'Content-Length', Buffer.byteLength(row.body || '')]);
      response.end(row.body);
    })
    .catch(() => { response.writeHead(500); response.end(); });
}

const server = http.createServer({ keepAliveTimeout: 60000 }, (request, response) => {
  let body = '';
  request.on('data', (part) => { body += part; });
  request.on('end', () => answer(request, response, body));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
