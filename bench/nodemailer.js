// Sends what stands in a table, as an application would that has a queue of its own: npm pg and npm nodemailer with a pool of connections, two
// workers that claim ten messages at a time, for bench/cases/courier_program.pl.
// usage: nodemailer.js SOCKET_FOLDER DATABASE_PORT USER SMTP_PORT
'use strict';
const { Client } = require('pg');
const nodemailer = require('nodemailer');

const [host, database_port, user, port] = process.argv.slice(2);
const transport = nodemailer.createTransport({ pool: true, host: '127.0.0.1', port: Number(port), ignoreTLS: true, maxConnections: 2, maxMessages: Infinity });

async function work() {
    const client = new Client({ host, port: Number(database_port), user, database: 'postgres' });
    await client.connect();
    for (;;) {
        const { rows } = await client.query(`UPDATE bench_mail.outbox SET status = 'claimed', claimed_at = now() WHERE id IN
            (SELECT id FROM bench_mail.outbox WHERE status = 'pending' ORDER BY id LIMIT 10 FOR UPDATE SKIP LOCKED)
            RETURNING id, recipient, subject, body_text, body_html`);
        if (rows.length === 0) break;
        for (const row of rows) {
            await transport.sendMail({
                from: 'The Shop <shop@shop.example>', to: row.recipient, subject: row.subject, text: row.body_text, html: row.body_html,
                messageId: `<${row.id}@shop.example>`, headers: { 'Auto-Submitted': 'auto-generated' },
            });
            await client.query("UPDATE bench_mail.outbox SET status = 'sent', sent_at = now() WHERE id = $1", [row.id]);
        }
    }
    await client.end();
}

Promise.all([work(), work()]).then(() => process.stdin.resume()); // waits: whoever measures reads what it has used
