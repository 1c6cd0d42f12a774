// CPU time of one decision of npm casbin over 110,000 rules, in ns: the roles and users of bench/cases/enforce_rules.pl.
// The rules are put into the model directly: adding them one by one compares each with all others.
const { newEnforcer, newModelFromString } = require('casbin');
const { readFileSync } = require('fs');

const roles = 10000;
const users = 100000;

async function main() {
  const enforcer = await newEnforcer(newModelFromString(readFileSync(`${__dirname}/rbac.conf`, 'utf8')));
  const sections = enforcer.getModel().model;
  sections.get('p').get('p').policy = Array.from({ length: roles }, (_, i) => [`role${i}`, `data${Math.floor(i / 10)}`, 'read']);
  sections.get('g').get('g').policy = Array.from({ length: users }, (_, i) => [`user${i}`, `role${Math.floor(i / 10)}`]);
  await enforcer.buildRoleLinks();
  const ask = (i) => enforcer.enforceSync(`user${i}`, `data${Math.floor(i / 100)}`, 'read');
  for (let i = 0; i < 3; i++) ask(50000 + i);
  const calls = 20;
  const before = process.cpuUsage();
  for (let i = 0; i < calls; i++) {
    if (!ask(i * 5000 + 17)) throw new Error('a request that must be allowed was refused');
    if (enforcer.enforceSync(`user${i}`, 'data999', 'write')) throw new Error('a request that must be refused was allowed');
  }
  const used = process.cpuUsage(before);
  console.log((((used.user + used.system) * 1000) / (2 * calls)).toFixed(0));
}
main();
