// A worker that takes payments and gives them back: it claims what usher_payment asks for, calls the processor after the
// commit with the key that was committed before, and reports what became of it. It can be killed at any moment: whatever
// it was at is delivered again, with the same key, and the processor charges once.
//
//     DATABASE_URL=postgres://payments_worker@/shop USHER_TOKEN=uak_… PROCESSOR_URL=http://127.0.0.1:4000 SCHEMA=shop node worker.js
//
// The token is an API key, or an access token, of a user with the role payment_worker; the database role has the level
// application, and may do nothing by itself.
'use strict';
const { Client } = require('pg');

const processorUrl = process.env.PROCESSOR_URL;
const timeout = Number(process.env.TIMEOUT_MS || 2000); // of a call; then nobody knows
const visibility = process.env.VISIBILITY || '5 seconds'; // after which another worker takes what this one left
const token = process.env.USHER_TOKEN;
const log = (...words) => console.log(new Date().toISOString(), ...words);

const database = new Client({ connectionString: process.env.DATABASE_URL });
const schema = database.escapeIdentifier(process.env.SCHEMA || 'public');

// Who we are holds for one transaction.
async function transaction(work) {
    await database.query('BEGIN');
    try {
        await database.query('SELECT usher.authenticate($1)', [token]);
        const result = await work();
        await database.query('COMMIT');
        return result;
    } catch (error) {
        await database.query('ROLLBACK');
        throw error;
    }
}

const end = (how, event) => database.query(`SELECT ${schema}.${how}_payment_work($1, $2)`, [event.event_id, event.attempt]);

// What the processor answers, in our words. Only an answer is an answer: everything else is unknown.
async function call(path, body) {
    try {
        const response = await fetch(processorUrl + path, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'idempotency-key': body.provider_key },
            body: JSON.stringify(body),
            signal: AbortSignal.timeout(timeout),
        });
        const answer = await response.json();
        if (response.ok) return { outcome: 'succeeded', answer };
        if (response.status === 402) return { outcome: 'declined', answer };
        return { outcome: 'unknown', answer: null };
    } catch {
        return { outcome: 'unknown', answer: null };
    }
}

async function attempt(payload) {
    const { attempt_id, provider_key, amount_minor, currency } = payload;
    const { outcome, answer } = await call('/charges', { provider_key, amount_minor, currency });
    return {
        outcome,
        report: () => database.query(
            `SELECT status FROM ${schema}.record_payment_result($1, $2, $3, $4, $5, $6, $7)`,
            [attempt_id, outcome, answer?.id, outcome === 'succeeded' ? answer.amount_minor : null, answer, answer?.failure_code,
                answer?.fee_minor]),
    };
}

async function refund(payload) {
    const { id, provider_key, amount_minor, currency, processor_transaction_id } = payload;
    const { outcome, answer } = await call('/refunds', { provider_key, amount_minor, currency, charge: processor_transaction_id });
    return {
        outcome,
        report: () => database.query(
            `SELECT status FROM ${schema}.record_refund_result($1, $2, $3, $4, $5)`,
            [id, outcome, answer?.id, answer, answer?.failure_code]),
    };
}

// The report and the end of the event commit together: whoever dies before it leaves both undone.
async function handle(event) {
    const act = { 'payment.attempt_requested': attempt, 'refund.requested': refund }[event.event];
    if (event.payload.processor === 'manual') { // people give back what people have taken
        await transaction(() => end('complete', event));
        return;
    }
    const done = await act(event.payload);
    log(event.event, event.payload.provider_key, done.outcome);
    try {
        await transaction(async () => {
            await done.report();
            // What nobody knows comes again, with the same key, after a while that grows.
            await end(done.outcome === 'unknown' ? 'fail' : 'complete', event);
        });
    } catch (error) {
        log('could not report', event.event_id, error.code, error.message);
        await transaction(() => end('fail', event));
    }
}

async function main() {
    await database.connect();
    log('ready');
    for (;;) {
        const { rows } = await transaction(() => database.query(`SELECT * FROM ${schema}.claim_payment_work(1, $1)`, [visibility]));
        if (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 100));
        for (const event of rows) await handle(event);
    }
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
