// Worlds of models, policy rows and requests, with what npm casbin answers: one JSON object per line.
// usage: node casbin.js SEED WORLDS    (WORLDS of each model; 60 requests in each)
const { EnforceContext, newEnforcer, newModelFromString, StringAdapter, Util } = require('casbin');

let state = Number(process.argv[2]) >>> 0;
const worlds = Number(process.argv[3]);
function random() { // mulberry32
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const one = (list) => list[Math.floor(random() * list.length)];
const some = (n, make) => Array.from({ length: Math.floor(random() * (n + 1)) }, make);

const allow = 'some(where (p.eft == allow))';
const users = ['alice', 'bob', 'carol'];
const roles = ['admin', 'editor', 'reader'];
const objects = ['data1', 'data2', 'data3'];
const actions = ['read', 'write'];
const domains = ['north', 'south'];
const effects = ['allow', 'deny'];
const text = (parts) => ({
  toString: () => `[request_definition]\nr = ${parts.r}\n${parts.r2 ? `r2 = ${parts.r2}\n` : ''}\n[policy_definition]\np = ${parts.p}\n${parts.p2 ? `p2 = ${parts.p2}\n` : ''}` +
    (parts.g ? `\n[role_definition]\n${parts.g}\n` : '') + `\n[policy_effect]\ne = ${parts.e || allow}\n${parts.e2 ? `e2 = ${parts.e2}\n` : ''}` +
    `\n[matchers]\nm = ${parts.m}\n${parts.m2 ? `m2 = ${parts.m2}\n` : ''}`,
});
const grouping = (members, groups, domain) => some(6, () => ['g', one(members), one(groups)].concat(domain ? [one(domains)] : []));
// Groups in layers, so that there is no cycle and, where the order of rows counts, one way up only.
const tree = (domain) => [...users.map((u) => [u, one(['editor', 'reader'])]), ['editor', 'admin'], ['reader', 'admin']]
  .filter(() => random() < 0.8).map((g) => ['g', ...g].concat(domain || []));
const member = () => one([...users, ...roles]);
const acl = { ask: () => [one(users), one(objects), one(actions)], rows: () => some(8, () => ['p', one(users), one(objects), one(actions)]) };
const rbac = { ask: acl.ask, rows: () => [...some(8, () => ['p', member(), one(objects), one(actions)]), ...grouping([...users, ...roles], roles)] };
const pattern = (m, keys, patterns) => ({
  model: { r: 'sub, obj, act', p: 'sub, obj, act', m: `r.sub == p.sub && ${m} && regexMatch(r.act, p.act)` },
  ask: () => [one(users), one(keys), one(['GET', 'POST', 'PUT'])],
  rows: () => some(8, () => ['p', one(users), one(patterns), one(['GET', 'POST', '(GET)|(POST)', '.*', '^P', 'T$'])]),
});
const paths = ['/', '/a', '/a/', '/a/b', '/a/b/c', '/a/1/b/1', '/a/1/b/2', '/a/1/b', '/ab', 'a', '', '/a/b?x=1', '/a/1/b/1?x=1&y=2', '/a/1/1/b', '/a.b', '/files/x.txt', '/a/b/'];

const models = {
  'ACL': { model: { r: 'sub, obj, act', p: 'sub, obj, act', m: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act' }, ...acl },
  'ACL with superuser': { model: { r: 'sub, obj, act', p: 'sub, obj, act', m: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act || r.sub == "root"' },
    ...acl, ask: () => [one([...users, 'root']), one(objects), one(actions)] },
  'ACL without users': { model: { r: 'obj, act', p: 'obj, act', m: 'r.obj == p.obj && r.act == p.act' },
    ask: () => [one(objects), one(actions)], rows: () => some(4, () => ['p', one(objects), one(actions)]) },
  'ACL without resources': { model: { r: 'sub, act', p: 'sub, act', m: 'r.sub == p.sub && r.act == p.act' },
    ask: () => [one(users), one(actions)], rows: () => some(4, () => ['p', one(users), one(actions)]) },
  'RBAC': { model: { r: 'sub, obj, act', p: 'sub, obj, act', g: 'g = _, _', m: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' }, ...rbac },
  'RBAC with resource roles': { model: { r: 'sub, obj, act', p: 'sub, obj, act', g: 'g = _, _\ng2 = _, _', m: 'g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act' },
    ask: acl.ask, rows: () => [...some(8, () => ['p', member(), one([...objects, 'group1', 'group2']), one(actions)]), ...grouping([...users, ...roles], roles),
      ...some(5, () => ['g2', one([...objects, 'group1']), one(['group1', 'group2'])])] },
  'RBAC with domains': { model: { r: 'sub, dom, obj, act', p: 'sub, dom, obj, act', g: 'g = _, _, _', m: 'g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act' },
    ask: () => [one(users), one([...domains, 'west']), one(objects), one(actions)],
    rows: () => [...some(10, () => ['p', member(), one(domains), one(objects), one(actions)]), ...grouping([...users, ...roles], roles, true)] },
  'deny-override': { model: { r: 'sub, obj, act', p: 'sub, obj, act, eft', g: 'g = _, _', e: `${allow} && !some(where (p.eft == deny))`, m: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' },
    ask: acl.ask, rows: () => [...some(10, () => ['p', member(), one(objects), one(actions), one(effects)]), ...grouping([...users, ...roles], roles)] },
  'allow unless denied': { model: { r: 'sub, obj, act', p: 'sub, obj, act, eft', g: 'g = _, _', e: '!some(where (p.eft == deny))', m: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' },
    ask: acl.ask, rows: () => [...some(10, () => ['p', member(), one(objects), one(actions), one(effects)]), ...grouping([...users, ...roles], roles)] },
  'priority': { model: { r: 'sub, obj, act', p: 'sub, obj, act, eft', g: 'g = _, _', e: 'priority(p.eft) || deny', m: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' },
    ask: acl.ask, rows: () => [...some(12, () => ['p', member(), one(objects), one(actions), one([...effects, 'other'])]), ...grouping([...users, ...roles], roles)] },
  'explicit priority': { model: { r: 'sub, obj, act', p: 'priority, sub, obj, act, eft', g: 'g = _, _', e: 'priority(p.eft) || deny', m: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' },
    ask: acl.ask, rows: () => [...some(12, () => ['p', one(['1', '2', '10', '100', '-1']), member(), one(objects), one(actions), one(effects)]), ...grouping([...users, ...roles], roles)] },
  'subject priority': { model: { r: 'sub, obj, act', p: 'sub, obj, act, eft', g: 'g = _, _', e: 'subjectPriority(p.eft) || deny', m: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' }, tree: true,
    ask: acl.ask, rows: () => { const groups = tree(); const known = [...new Set(groups.flatMap((g) => g.slice(1)))]; return known.length === 0 ? [] :
      [...some(10, () => ['p', one(known), one(objects), one(actions), one(effects)]), ...groups]; } },
  'keyMatch': pattern('keyMatch(r.obj, p.obj)', paths, ['/a', '/a/*', '/*', '*', '/a/b*', '/a/b', '', '/a/*/c']),
  'keyMatch2': pattern('keyMatch2(r.obj, p.obj)', paths, ['/a', '/a/*', '/*', '*', '/:x', '/a/:x', '/a/:x/b/:y', '/a/:x/b/*', '/:x/b', '/a.b', '/a/:x/']),
  'keyMatch3': pattern('keyMatch3(r.obj, p.obj)', paths, ['/a', '/a/*', '/*', '/{x}', '/a/{x}', '/a/{x}/b/{y}', '/a/{x}/b/*', '/{x}/b', '/a.b']),
  'keyMatch4': pattern('keyMatch4(r.obj, p.obj)', paths, ['/a', '/a/*', '/{x}', '/a/{x}', '/a/{id}/b/{id}', '/a/{x}/b/{y}', '/a/{x}/b', '/a/{id}/{id}/b']),
  'keyMatch5': pattern('keyMatch5(r.obj, p.obj)', paths, ['/a', '/a/*', '/{x}', '/a/{x}', '/a/{x}/b/{y}', '/a/b']),
  'regexMatch': pattern('regexMatch(r.obj, p.obj)', paths, ['^/a$', '/a', '^/a/[0-9]+/b$', '\\\\.txt$', '^$', '^/(a|b)/?', '^/a/\\\\w+$', '/{2}']),
  'globMatch': pattern('globMatch(r.obj, p.obj)', [...paths, '/.a', '/a/.b', '.a', '/a/c', '/b'], ['/a', '/a/*', '/*', '*', '/*/b', '/a/?', '/[ab]', '/[!a]', '/[^a]', '/[a-c]/b', '/a/**', '/**/b', '**', '/a*', '/{a,b}', '/a/{b,c}', '/.*', '/*.txt', '/files/*.{txt,md}']),
  'ipMatch': { model: { r: 'sub, obj, act', p: 'sub, obj, act', m: 'ipMatch(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' },
    ask: () => [one(['192.168.2.1', '192.168.2.255', '192.168.3.1', '10.0.1.2', '10.1.0.1', '127.0.0.1']), one(objects), one(actions)],
    rows: () => [...some(6, () => ['p', one(['192.168.2.0/24', '192.168.2.1', '10.0.0.0/8', '10.0.0.0/16', '0.0.0.0/0', '192.168.2.128/25', '127.0.0.1/32', '192.168.2.77/24']), one(objects), one(actions)])] },
  'ABAC, owner': { model: { r: 'sub, obj, act', p: 'sub, obj, act', m: 'r.sub == r.obj.Owner' },
    ask: () => [one(users), { Owner: one(users), Name: one(objects) }, one(actions)], rows: () => some(2, () => ['p', one(users), one(objects), one(actions)]) },
  'ABAC, attributes': { model: { r: 'sub, obj, act', p: 'sub, obj, act', m: '(r.sub.Age >= 18 && r.sub.Department == r.obj.Department || r.sub.Name == "root") && r.sub.Name != "eve" && r.obj.Level * 2 - 1 < 8 && r.act == p.act' },
    ask: () => [{ Age: one([17, 18, 40]), Department: one(domains), Name: one(['alice', 'eve', 'root']) }, { Department: one(domains), Level: one([1, 4, 5]) }, one(actions)],
    rows: () => some(3, () => ['p', one(users), one(objects), one(actions)]) },
  'ABAC, rules in the policy': { model: { r: 'sub, obj, act', p: 'sub_rule, obj, act', m: 'eval(p.sub_rule) && r.obj == p.obj && r.act == p.act' },
    ask: () => [{ Age: one([16, 18, 30, 70]), Vip: one([true, false]) }, one(objects), one(actions)],
    rows: () => some(6, () => ['p', one(['r.sub.Age > 18', 'r.sub.Age < 60', 'r.sub.Age >= 18 && r.sub.Age <= 30', 'r.sub.Vip == true', '!(r.sub.Age < 18) || r.sub.Vip']), one(objects), one(actions)]) },
  'ABAC, in': { model: { r: 'sub, obj', p: 'sub, obj', m: 'r.sub.Owner == r.obj.Owner && r.sub.Doc in (r.obj.Docs)' },
    ask: () => [{ Owner: one(users), Doc: one(objects) }, { Owner: one(users), Docs: objects.filter(() => random() < 0.5) }], rows: () => some(1, () => ['p', 'x', 'y']) },
  'in, of a list': { model: { r: 'sub, obj, act', p: 'sub, obj, act', m: 'r.sub == p.sub && r.obj == p.obj && r.act in ("read", "list")' },
    ask: () => [one(users), one(objects), one(['read', 'list', 'write'])], rows: acl.rows },
  'not about rows': { model: { r: 'sub, obj, act', p: 'sub, obj, act', m: 'r.sub == "root"' },
    ask: () => [one([...users, 'root']), one(objects), one(actions)], rows: () => one([[], acl.rows()]) },
  'no rows': { model: { r: 'sub, obj, act', p: 'sub, obj, act', m: 'r.sub != p.sub && r.obj != "data1" || r.sub == "bob" && r.obj == p.obj' },
    ask: acl.ask, rows: () => one([[], [], acl.rows().slice(0, 2)]) },
  'longer g rows': { model: { r: 'sub, obj, act', p: 'sub, obj, act', g: 'g = _, _', m: 'g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act' },
    ask: acl.ask, rows: () => [...some(8, () => ['p', member(), one(objects), one(actions)]),
      ...grouping([...users, ...roles], roles).map((row) => row.concat(one([[], ['since'], ['since', '2026-01-01']])))] },
  'domain patterns in g': { model: { r: 'sub, dom, obj, act', p: 'sub, dom, obj, act', g: 'g = _, _, _', m: 'g(r.sub, p.sub, r.dom) && keyMatch(r.dom, p.dom) && r.obj == p.obj && r.act == p.act' },
    domains: true, ask: () => [one(users), one([...domains, 'west', 'northwest']), one(objects), one(actions)],
    rows: () => [...some(10, () => ['p', member(), one([...domains, '*', 'north*']), one(objects), one(actions)]),
      ...some(8, () => ['g', one([...users, ...roles]), one(roles), one([...domains, '*', 'north*', 'south*'])])] },
  'a second context, of seven parts': { model: { r: 'sub, obj', p: 'sub, obj', m: 'r.sub == p.sub && r.obj == p.obj', e2: '!some(where (p.eft == deny))',
    r2: 'sub, dom, obj, act, one, two, three', p2: 'sub, obj, act, eft', m2: 'r2.sub == p2.sub && r2.obj == p2.obj && r2.act == p2.act && r2.three in ("a", "b")' },
    context: '2', ask: () => [one(users), one(domains), one(objects), one(actions), '1', '2', one(['a', 'c'])],
    rows: () => [...some(6, () => ['p', one(users), one(objects)]), ['p2', 'x', 'y', 'z', 'allow'], ...some(10, () => ['p2', one(users), one(objects), one(actions), one(effects)])] },
  'comments, continued lines': { model: { r: 'sub, obj, act # the request', p: 'sub, obj, act ; the policy', m: 'r.sub == p.sub \\\n && r.obj == p.obj \\\n && r.act == p.act # all of it' }, ...acl },
};

// The rows as a policy file, with the liberties that people take.
const value = (text) => one(/^[^",()#]+$/.test(text) ? ['', ' '] : ['']) + (text === '' || /[",]/.test(text) || random() < 0.1 ? `"${text.replace(/"/g, '""')}"` : text);
const policyFile = (rows) => '# policy\n' + rows.map((row) => row.map(value).join(one([',', ', '])) + one(['\n', '\n\n', ' \n'])).join('');

async function main() {
  for (const [name, model] of Object.entries(models)) {
    for (let world = 0; world < worlds; world++) {
      const definition = text(model.model).toString();
      const seen = new Set();
      const rows = model.rows().filter((row) => { // as in a database: no row twice
        const key = JSON.stringify(row);
        return !seen.has(key) && seen.add(key);
      });
      const file = policyFile(rows);
      const enforcer = await newEnforcer(newModelFromString(definition), new StringAdapter(file)); // as from a policy file
      if (model.domains) {
        await enforcer.getRoleManager().addDomainMatchingFunc(Util.keyMatchFunc);
        await enforcer.buildRoleLinks();
      }
      const context = model.context ? [new EnforceContext(...['r', 'p', 'e', 'm'].map((each) => each + model.context))] : [];
      const requests = [];
      for (let i = 0; i < 60; i++) {
        const request = model.ask();
        requests.push({ request: request.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))), allowed: enforcer.enforceSync(...context, ...request) });
      }
      const own = model.domains ? `${definition}g_domains = keyMatch\n` : definition; // which casbin has in its host language
      console.log(JSON.stringify({ name, definition: own, context: model.context || '', rows, file, requests }));
    }
  }
}
main().catch((error) => { console.error(error); process.exit(1); });
