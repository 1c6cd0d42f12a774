// What usher-courier is tested against: an SMTP server (npm smtp-server; what it gets is read by npm mailparser), an HTTP
// server that hears webhooks (npm standardwebhooks) and is an issuer of tokens (npm jose).
// usage: courier.js FOLDER   prints the ports as JSON; what arrives is added to FOLDER/mail.jsonl and FOLDER/http.jsonl
//
// What the SMTP server does is told by the recipient: ok…, grey… (451 once), later… (451 always), nobody… (550), relay… (550
// for want of a login), refused… (554 after DATA), dies… (takes the message, and is gone before it says so, once).
// FOLDER/tls.crt and tls.key are its own; on its second port it wants STARTTLS and a login.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const { SMTPServer } = require('smtp-server');
const { simpleParser } = require('mailparser');
const { Webhook } = require('standardwebhooks');

const folder = process.argv[2];
const add = (file, row) => fs.appendFileSync(`${folder}/${file}.jsonl`, JSON.stringify(row) + '\n');
const seen = new Map();
const times = (what) => { seen.set(what, (seen.get(what) ?? 0) + 1); return seen.get(what); };
const refusal = (code, message) => Object.assign(new Error(message), { responseCode: code });

function smtp(options) {
    const server = new SMTPServer({
        disableReverseLookup: true, logger: false, size: 1 << 20, ...options,
        onRcptTo({ address }, session, done) {
            if (address.startsWith('grey') && times(address) === 1) return done(refusal(451, '4.7.1 Greylisted, try again'));
            if (address.startsWith('later')) return done(refusal(451, '4.3.0 Not now'));
            if (address.startsWith('nobody')) return done(refusal(550, '5.1.1 No such user'));
            if (address.startsWith('relay')) return done(refusal(550, '5.7.1 Relay access denied'));
            return done();
        },
        onData(stream, session, done) {
            const parts = [];
            stream.on('data', (part) => parts.push(part));
            stream.on('end', async () => {
                const raw = Buffer.concat(parts).toString('utf8');
                const to = session.envelope.rcptTo[0].address;
                const mail = await simpleParser(raw);
                const dies = to.startsWith('dies') && times(to) === 1;
                add('mail', {
                    envelope_from: session.envelope.mailFrom.address, envelope_to: to, secure: session.secure, user: session.user ?? null,
                    message_id: mail.messageId, from: mail.from.value[0], to: mail.to.value[0], subject: mail.subject, text: mail.text,
                    html: mail.html || null, headers: mail.headerLines.map((each) => each.key), date: mail.date, died: dies,
                    longest: Math.max(...raw.split('\r\n').map((line) => line.length)), ascii: /^[\x00-\x7f]*$/.test(raw),
                    connection: session.id,
                });
                if (dies) {
                    for (const connection of server.connections) if (connection.session.id === session.id) connection._socket.destroy();
                    return;
                }
                done(to.startsWith('refused') ? refusal(554, '5.6.0 Content refused') : null, 'taken');
            });
        },
    });
    server.on('error', () => {}); // clients that are killed
    return server;
}

const certificate = { cert: fs.readFileSync(`${folder}/tls.crt`), key: fs.readFileSync(`${folder}/tls.key`) };
const open = smtp({ disabledCommands: ['AUTH', 'STARTTLS'] });
const closed = smtp({
    ...certificate,
    onAuth({ username, password }, session, done) {
        return username === 'shop' && password === 'correct horse' ? done(null, { user: username }) : done(refusal(535, '5.7.8 Wrong password'));
    },
});

const web = http.createServer((request, answer) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
        const body = Buffer.concat(parts).toString('utf8');
        const settings = JSON.parse(fs.readFileSync(`${folder}/web.json`, 'utf8'));
        const secrets = settings.secrets ?? [];
        const verified = secrets.map((secret) => {
            try { return Boolean(new Webhook(secret).verify(body, request.headers)); } catch { return false; }
        });
        const status = settings.status?.[request.url] ?? 200;
        add('http', { method: request.method, url: request.url, headers: request.headers, body, verified, status });
        if (request.url === '/slow') return;
        if (request.url === '/dies') { request.socket.destroy(); return; }
        if (request.url === '/redirect') { answer.writeHead(302, { location: '/never' }).end(); return; }
        if (request.url === '/big') { answer.end('x'.repeat(2 << 20)); return; }
        if (request.url === '/bytes') { answer.end(Buffer.from([0xff, 0x00, 0x01])); return; }
        const document = settings.documents?.[request.url];
        answer.writeHead(status, { 'content-type': 'application/json', ...(settings.headers ?? {}) });
        answer.end(document === undefined ? JSON.stringify({ heard: request.url }) : JSON.stringify(document));
    });
});

const listen = (server) => new Promise((resolve) => {
    const real = server.server ?? server;
    server.listen(0, '127.0.0.1', () => resolve(real.address().port));
});
Promise.all([open, closed, web].map(listen)).then(([smtp_port, smtps_port, web_port]) => {
    console.log(JSON.stringify({ smtp: smtp_port, smtp_tls: smtps_port, web: web_port }));
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
