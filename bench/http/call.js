// What the Node servers have in common: the prepared call that the gateway makes too, over a pool of 8.
'use strict';
const { Pool } = require('pg');

const pool = new Pool({ ...JSON.parse(process.argv[2]), max: 8 });
const text = 'SELECT status, headers, body FROM usher.http_request($1, $2, $3, $4, $5, $6)';

// Answers with { status, headers: [name, value, name, value …], body }.
module.exports = async function call(method, url, headers, body) {
  const [path, query] = url.split('?');
  const { rows: [row] } = await pool.query({ name: 'http_request', text, values: [method, path, query || null, headers, body || null, '127.0.0.1'] });
  return { status: row.status, headers: row.headers.filter(([name]) => name !== 'usher-route').flat(), body: row.body || '' };
};
