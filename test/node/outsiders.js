// HTTP servers that mean no good, for test/t/courier_outsiders.pl.
// usage: outsiders.js FOLDER   prints its ports as JSON; what is heard is added to FOLDER/http.jsonl
//
// web: on 127.0.0.1, and on 127.0.0.2 under the same port, as the inside that nobody may reach. raw: answers that are slow, endless or
// none, by path. good, other, old, self, early: HTTPS with the certificate FOLDER/<name>.crt; weak: with good's, and TLS 1.1 at most.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');

const folder = process.argv[2];
const heard = (where, url) => fs.appendFileSync(`${folder}/http.jsonl`, JSON.stringify({ where, url }) + '\n');
const says = (where) => (request, answer) => {
    heard(where, request.url);
    const to = /^\/to\?(.*)/.exec(request.url);
    if (to) return answer.writeHead(307, { location: decodeURIComponent(to[1]), connection: 'close' }).end();
    return answer.writeHead(200, { connection: 'close' }).end(where);
};

const head = 'HTTP/1.1 200 OK\r\n';
const forever = (socket, every, what) => {
    const timer = setInterval(() => socket.write(what), every);
    socket.on('close', () => clearInterval(timer));
};
const flood = (socket, what) => { // as fast as it is taken
    const more = () => { while (!socket.destroyed && socket.write(what)) ; };
    socket.on('drain', more);
    more();
};
const kilobyte = 'x'.repeat(1024);
const ways = {
    '/slow-body': (socket) => { socket.write(`${head}Content-Length: 1000\r\n\r\n`); forever(socket, 100, 'x'); },
    '/slow-head': (socket) => { socket.write(`${head}X-Slow: `); forever(socket, 100, 'x'); },
    '/slow-fields': (socket) => { socket.write(head); forever(socket, 100, 'X-Slow: x\r\n'); },
    '/slow-status': (socket) => { socket.write('HTTP/1.1 200 '); forever(socket, 100, 'x'); },
    '/silent': () => {},
    '/continues': (socket) => forever(socket, 100, 'HTTP/1.1 100 Continue\r\n\r\n'),
    '/endless-body': (socket) => { socket.write(`${head}\r\n`); flood(socket, kilobyte); },
    '/endless-chunks': (socket) => { socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`); flood(socket, `400\r\n${kilobyte}\r\n`); },
    '/endless-chunk': (socket) => { socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n`); flood(socket, kilobyte); },
    '/endless-head': (socket) => { socket.write(`${head}X-Endless: `); flood(socket, kilobyte); },
    '/endless-fields': (socket) => { socket.write(head); flood(socket, 'X-Endless: x\r\n'); },
    '/endless-continue': (socket) => flood(socket, 'HTTP/1.1 100 Continue\r\nX-More: x\r\n\r\n'),
    '/endless-trailer': (socket) => { socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n`); flood(socket, 'X-Endless: x\r\n'); },
    '/large-length': (socket) => socket.write(`${head}Content-Length: 99999999999\r\n\r\nx`),
    '/short': (socket) => socket.end(`${head}Content-Length: 1000\r\n\r\nx`),
    '/no-http': (socket) => socket.end('220 mail.example ESMTP\r\n'),
    '/bad-chunk': (socket) => socket.end(`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n`),
};
const raw = net.createServer((socket) => {
    socket.on('error', () => {}); // who is cut off
    socket.once('data', (bytes) => {
        const path = bytes.toString('latin1').split(' ')[1];
        heard('raw', path);
        ways[path](socket);
    });
});

const read = (name) => ({ cert: fs.readFileSync(`${folder}/${name}.crt`), key: fs.readFileSync(`${folder}/${name}.key`) });
const servers = { web: http.createServer(says('web')), raw };
for (const name of ['good', 'other', 'old', 'early', 'self']) servers[name] = https.createServer(read(name), says(name));
servers.weak = https.createServer({ ...read('good'), minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' }, says('weak'));

const listen = (server, port, address) => new Promise((done) => server.listen(port, address, () => done(server.address().port)));
(async () => {
    const ports = {};
    for (const name of Object.keys(servers)) {
        servers[name].on('error', () => {}).on('tlsClientError', () => {});
        ports[name] = await listen(servers[name], 0, '127.0.0.1');
    }
    await listen(http.createServer(says('inside')), ports.web, '127.0.0.2');
    console.log(JSON.stringify(ports));
})();
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
