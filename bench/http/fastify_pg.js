// An alternative to the gateway: fastify and pg.
// node fastify_pg.js CONNINFO-AS-JSON   prints its port
'use strict';
const fastify = require('fastify')({ keepAliveTimeout: 60000 });
const call = require('./call');

fastify.all('/*', async (request, reply) => {
  const answer = await call(request.method, request.raw.url, request.headers, request.body === undefined ? null : JSON.stringify(request.body));
  reply.code(answer.status);
  for (let i = 0; i < answer.headers.length; i += 2) reply.header(answer.headers[i], answer.headers[i + 1]);
  return reply.send(answer.body);
});
fastify.listen({ port: 0, host: '127.0.0.1' }).then(() => console.log(fastify.server.address().port));
