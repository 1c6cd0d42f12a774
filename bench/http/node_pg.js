// An alternative to the gateway: Node's http module and pg.
// node node_pg.js CONNINFO-AS-JSON   prints its port
'use strict';
const http = require('http');
const call = require('./call');

const server = http.createServer({ keepAliveTimeout: 60000 }, (request, response) => {
  let body = '';
  request.on('data', (part) => { body += part; });
  request.on('end', () => {
    call(request.method, request.url, request.headers, body)
      .then((answer) => {
        response.writeHead(answer.status, [...answer.headers, 'Content-Length', Buffer.byteLength(answer.body)]);
        response.end(answer.body);
      })
      .catch(() => { response.writeHead(500); response.end(); });
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
