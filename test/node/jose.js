// The other side of test/t/usher_jose.pl: the npm library jose makes tokens, and verifies ours.
//   node jose.js sign    on stdin {claims, secret}: a token, key and public key of every algorithm, as JSON
//   node jose.js verify  on stdin {jwks, issuer, audience, tokens: [{alg, token, secret}]}: what jose says of each
const jose = require('jose');

const asymmetric = ['ES256', 'ES384', 'ES512', 'RS256', 'PS256', 'EdDSA'];
const hmac = ['HS256', 'HS384', 'HS512'];

async function sign({ claims, secret }) {
    const made = [];
    const token = (alg, key, header) => new jose.SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(key);
    for (const alg of asymmetric) {
        const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true, modulusLength: 2048 });
        const kid = `jose-${alg}`;
        made.push({
            alg, kid,
            token: await token(alg, privateKey, { kid, typ: 'at+jwt' }),
            untyped: await token(alg, privateKey, { kid }),
            logout: await token(alg, privateKey, { kid, typ: 'logout+jwt' }),
            nameless: await token(alg, privateKey, { typ: 'JWT' }),
            jwk: { ...await jose.exportJWK(publicKey), kid, alg, use: 'sig' },
            pem: await jose.exportSPKI(publicKey),
            private_pem: await jose.exportPKCS8(privateKey),
        });
    }
    for (const alg of hmac) made.push({ alg, secret, token: await token(alg, Buffer.from(secret), { typ: 'JWT' }) });
    // The public key, which everybody knows, as the secret of an HMAC: the classical forgery.
    const pem = made.find((each) => each.alg === 'RS256').pem;
    const forged = await token('HS256', Buffer.from(pem), { kid: 'jose-RS256' });
    return { made, forged };
}

async function verify({ jwks, issuer, audience, tokens }) {
    const keys = jose.createLocalJWKSet(jwks);
    const said = {};
    for (const { alg, token, secret } of tokens) {
        const key = secret === undefined ? keys : Buffer.from(secret, 'base64url');
        try {
            const { payload, protectedHeader } = await jose.jwtVerify(token, key, { issuer, audience, algorithms: [alg], typ: 'at+jwt', requiredClaims: ['exp', 'iat', 'nbf', 'jti', 'sub'] });
            said[alg] = `ok ${protectedHeader.alg} ${payload.sub}`;
        } catch (error) {
            said[alg] = `${error.code}: ${error.message}`;
        }
    }
    return said;
}

async function main() {
    let input = '';
    for await (const chunk of process.stdin) input += chunk;
    const answer = await { sign, verify }[process.argv[2]](JSON.parse(input));
    process.stdout.write(JSON.stringify(answer));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
