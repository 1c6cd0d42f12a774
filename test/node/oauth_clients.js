// OAuth clients of others, as their documentation has it: openid-client, oauth4webapi and jose.
//
// node oauth_clients.js ISSUER CLIENT_ID CLIENT_SECRET SCOPE AUDIENCE
//   CLIENT_ID, CLIENT_SECRET  an API key that may introspect; SCOPE  one permission of several that it has
//   prints a list of [what, was it so]
'use strict';
const { pathToFileURL } = require('url');

if (!globalThis.crypto) globalThis.crypto = require('crypto').webcrypto; // Node 18
const load = (name) => import(pathToFileURL(require.resolve(name))); // import does not look at NODE_PATH
const [issuer, id, secret, scope, audience] = process.argv.slice(2);
const said = [];
const say = (what, was) => said.push([what, Boolean(was)]);
const fails = (promise) => promise.then(() => undefined, (error) => error);

async function withJose(first) {
  const jose = await load('jose');
  const keys = jose.createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
  const { privateKey } = await jose.generateKeyPair('ES256');
  const foreign = await new jose.SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'foreign', typ: 'at+jwt' }).sign(privateKey);
  say('jose: asked before there is a key', await fails(jose.jwtVerify(foreign, keys)));
  const token = await first();
  const { payload } = await jose.jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt', requiredClaims: ['client_id', 'scope', 'jti', 'sub', 'exp'] });
  say('jose: has not kept an empty set, and verifies', payload.client_id === id && payload.scope === scope);
  say('jose: a token of somebody else is refused', await fails(jose.jwtVerify(foreign, keys)));
}

async function withOpenidClient() {
  const client = await load('openid-client');
  const options = { execute: [client.allowInsecureRequests] };
  let first;
  for (const algorithm of ['oidc', 'oauth2']) {
    for (const [name, authentication] of [['basic', client.ClientSecretBasic(secret)], ['post', client.ClientSecretPost(secret)], ['default', undefined]]) {
      const config = await client.discovery(new URL(issuer), id, secret, authentication, { algorithm, ...options });
      const what = `openid-client, ${algorithm}, ${name}`;
      const tokens = await client.clientCredentialsGrant(config, { scope });
      first = first || tokens.access_token;
      say(`${what}: a token of the scope, with an end`, tokens.scope === scope && tokens.expires_in > 0 && tokens.expires_in <= 86400 && tokens.access_token !== secret);
      const seen = await client.tokenIntrospection(config, tokens.access_token);
      say(`${what}: introspection`, seen.active && seen.client_id === id && seen.scope === scope && seen.iss === issuer && seen.aud === audience);
      await client.tokenRevocation(config, tokens.access_token);
      say(`${what}: a revoked token is not good`, (await client.tokenIntrospection(config, tokens.access_token)).active === false);
      say(`${what}: the client lives on`, (await client.clientCredentialsGrant(config, {})).access_token);
      const refused = await fails(client.clientCredentialsGrant(config, { scope: 'everything:at-once' }));
      say(`${what}: a scope that it has not`, refused && refused.error === 'invalid_scope');
    }
  }
  const config = await client.discovery(new URL(issuer), id, 'uak_000000000000_wrong', client.ClientSecretBasic(), options);
  say('openid-client: a wrong secret', (await fails(client.clientCredentialsGrant(config, {}))).status === 401);
  say('openid-client: … at introspection', await fails(client.tokenIntrospection(config, first)));
}

async function withOauth4webapi() {
  const oauth = await load('oauth4webapi');
  const insecure = { [oauth.allowInsecureRequests]: true };
  const url = new URL(issuer);
  const client = { client_id: id };
  let token;
  for (const algorithm of ['oidc', 'oauth2']) {
    const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm, ...insecure }));
    for (const [name, authentication] of [['basic', oauth.ClientSecretBasic(secret)], ['post', oauth.ClientSecretPost(secret)]]) {
      const what = `oauth4webapi, ${algorithm}, ${name}`;
      const answer = await oauth.clientCredentialsGrantRequest(server, client, authentication, { scope }, insecure);
      const tokens = await oauth.processClientCredentialsResponse(server, client, answer);
      token = tokens.access_token;
      say(`${what}: client credentials`, tokens.scope === scope);
      const request = new Request(`${issuer}/anything`, { headers: { authorization: `Bearer ${token}` } });
      const claims = await oauth.validateJwtAccessToken(server, request, audience, insecure); // RFC 9068
      say(`${what}: a JWT access token`, claims.client_id === id && claims.scope === scope);
      const seen = await oauth.processIntrospectionResponse(server, client, await oauth.introspectionRequest(server, client, authentication, token, insecure));
      say(`${what}: introspection`, seen.active);
      await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, authentication, token, insecure));
      const after = await oauth.processIntrospectionResponse(server, client, await oauth.introspectionRequest(server, client, authentication, token, insecure));
      say(`${what}: revoked`, after.active === false);
    }
  }
  return token;
}

async function main() {
  await withJose(async () => {
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: secret, scope });
    return (await (await fetch(`${issuer}/oauth/token`, { method: 'POST', body })).json()).access_token;
  });
  await withOpenidClient();
  await withOauth4webapi();
  process.stdout.write(JSON.stringify(said));
}

main().catch((error) => {
  console.error(JSON.stringify(said), error);
  process.exit(1);
});
