// An alternative to the gateway: PostGraphile, whose GraphQL query calls a function that makes the same call.
// node postgraphile.js CONNINFO-AS-JSON   prints its port
'use strict';
const http = require('http');
const { Pool } = require('pg');
const { postgraphile } = require('postgraphile');

const pool = new Pool({ ...JSON.parse(process.argv[2]), max: 8 });
const handler = postgraphile(pool, 'bench', { graphiql: false, disableQueryLog: true, ignoreRBAC: true, dynamicJson: true, watchPg: false });
const server = http.createServer({ keepAliveTimeout: 60000 }, handler);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
