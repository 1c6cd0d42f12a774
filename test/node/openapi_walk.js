// Calls every operation of the OpenAPI document once, through Prism as a validating proxy, with values made from the
// document itself. One JSON line for each operation: what was answered, and what Prism found wrong with it.
//
// node openapi_walk.js PROXY SCENARIO    SCENARIO: a JSON file with { document, token, values, requests, order_first, order_last }
//   values    by the name of a parameter or property
//   requests  by operationId: { token, body, query, path }, over what the document says
'use strict';
const fs = require('fs');

const [proxy, scenarioFile] = process.argv.slice(2);
const scenario = JSON.parse(fs.readFileSync(scenarioFile, 'utf8'));
const { document, values, requests } = scenario;

function resolve(node) {
  if (!node || !node.$ref) return node;
  return node.$ref.slice(2).split('/').reduce((at, key) => at[key], document);
}

function sample(schema, name) {
  if (name in values) return values[name];
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (schema.enum) return schema.enum[0];
  switch (type) {
    case 'boolean': return false;
    case 'integer': case 'number': return Math.max(1, schema.minimum || 1);
    case 'array': return [];
    case 'object': return {};
    case 'string':
      switch (schema.format) {
        case 'uuid': return '00000000-0000-7000-8000-000000000001';
        case 'date-time': return '2030-01-01T00:00:00Z';
        case 'date': return '2030-01-01';
        case 'duration': return 'PT1H';
        default: return 'text';
      }
    default: return {};
  }
}

function build(path, method, operation) {
  const over = requests[operation.operationId] || {};
  const query = new URLSearchParams();
  const headers = { Authorization: `Bearer ${over.token || scenario.token}` };
  let target = path;
  for (const parameter of (operation.parameters || []).map(resolve)) {
    const given = { ...(over.path || {}), ...(over.query || {}) }[parameter.name];
    if (given === undefined && !parameter.required) continue;
    const value = given === undefined ? sample(parameter.schema, parameter.name) : given;
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, encodeURIComponent(text));
    else if (parameter.in === 'query') query.append(parameter.name, text);
    else headers[parameter.name] = text;
  }
  let body;
  const content = operation.requestBody && operation.requestBody.content;
  if (content) {
    const type = Object.keys(content)[0];
    const schema = content[type].schema;
    const object = {};
    for (const name of schema.required || []) object[name] = sample(schema.properties[name], name);
    Object.assign(object, over.body || {});
    headers['Content-Type'] = type;
    body = type === 'application/json' ? JSON.stringify(object) : new URLSearchParams(object).toString();
  }
  const text = query.toString();
  return [`${proxy}${target}${text ? `?${text}` : ''}`, { method: method.toUpperCase(), headers, body }];
}

async function main() {
  const operations = [];
  for (const [path, item] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(item)) operations.push([path, method, operation]);
  const rank = { get: 0, post: 1, put: 2, patch: 3, delete: 4 };
  const last = (o) => scenario.order_last.indexOf(o[2].operationId);
  const first = (o) => (scenario.order_first.includes(o[2].operationId) ? 0 : 1);
  operations.sort((a, b) => first(a) - first(b) || last(a) - last(b) || rank[a[1]] - rank[b[1]] || (a[0] < b[0] ? -1 : 1));
  for (const [path, method, operation] of operations) {
    const [url, options] = build(path, method, operation);
    const answer = await fetch(url, options);
    const text = await answer.text();
    const violations = JSON.parse(answer.headers.get('sl-violations') || '[]');
    console.log(JSON.stringify({ operation: operation.operationId, status: answer.status, violations, text: text.slice(0, 300) }));
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
