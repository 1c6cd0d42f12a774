// A processor that does what real ones do on bad days, for trying a worker out: it declines, charges and then does not answer,
// fails without having charged, and sends its webhooks late, double and in the wrong order. What it does is said by the last
// two digits of the amount:
//
//     01 declines        02 charges (or refunds), and never answers the first call
//     03 fails at the first call, without charging        04 declines, and finds out later that it had charged
//     others: charges
//
//     PORT=4000 WEBHOOK_URL=http://127.0.0.1:8080/payments/webhooks/fake WEBHOOK_SECRET=whsec_… node processor.js
//
// GET /charges and /refunds tell what it has done, GET /settlement is its report.
'use strict';
const crypto = require('node:crypto');
const http = require('node:http');

const webhookUrl = process.env.WEBHOOK_URL;
const secret = process.env.WEBHOOK_SECRET || '';
const charges = new Map(); // by idempotency key
const refunds = new Map();
let number = 0;
const nextId = (prefix) => `${prefix}_${process.pid}x${++number}`;
const later = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// At least once, until somebody takes it; signed in Stripe's scheme.
async function deliver(event) {
    const body = JSON.stringify(event);
    for (let tries = 0; tries < 100; ++tries) {
        const at = Math.floor(Date.now() / 1000);
        const mac = crypto.createHmac('sha256', secret).update(`${at}.${body}`).digest('hex');
        try {
            const response = await fetch(webhookUrl, {
                method: 'POST',
                headers: { 'content-type': 'application/json', 'stripe-signature': `t=${at},v1=${mac}` },
                body,
                signal: AbortSignal.timeout(5000),
            });
            await response.arrayBuffer();
            if (response.ok) return;
        } catch { /* again */ }
        await later(100);
    }
}

function send(type, object, provider_key) {
    if (!webhookUrl) return;
    const event = {
        id: nextId('evt'), type, created: Math.floor(Date.now() / 1000),
        data: { object: { ...object, metadata: { provider_key } } },
    };
    const copies = Math.random() < 0.4 ? 2 : 1;
    for (let copy = 0; copy < copies; ++copy) later(Math.random() * 400).then(() => deliver(event));
}

function answerOf(charge) {
    if (charge.status === 'failed') return [402, { id: charge.id, status: 'failed', failure_code: 'card_declined' }];
    return [200, { id: charge.id, status: 'succeeded', amount_minor: charge.amount_minor, currency: charge.currency, fee_minor: charge.fee_minor,
        client_secret: 'never to be stored', billing_details: { name: 'Somebody' } }];
}

function charge({ provider_key, amount_minor, currency }) {
    const known = charges.get(provider_key);
    if (known && ++known.calls) return known.fails ? (known.fails = false, run(known)) : answerOf(known);
    const made = { id: nextId('ch'), provider_key, amount_minor, currency, calls: 1, fee_minor: Math.ceil(amount_minor * 3 / 100), status: 'new' };
    charges.set(provider_key, made);
    if (amount_minor % 100 === 3) {
        made.fails = true;
        return [500, { error: 'something went wrong' }];
    }
    const answer = run(made);
    return amount_minor % 100 === 2 ? null : answer;
}

function run(made) {
    const last = made.amount_minor % 100;
    const object = { id: made.id, amount: made.amount_minor, currency: made.currency.toLowerCase() };
    made.status = last === 1 || last === 4 ? 'failed' : 'succeeded';
    // the order is that of chance
    send('payment_intent.processing', object, made.provider_key);
    if (made.status === 'failed') send('payment_intent.payment_failed', { ...object, last_payment_error: { decline_code: 'card_declined' } }, made.provider_key);
    else send('payment_intent.succeeded', { ...object, amount_received: made.amount_minor }, made.provider_key);
    const answer = answerOf(made);
    if (last === 4) {
        made.status = 'succeeded';
        later(500).then(() => send('payment_intent.succeeded', { ...object, amount_received: made.amount_minor }, made.provider_key));
    }
    return answer;
}

function refund({ provider_key, amount_minor, currency, charge: id }) {
    const known = refunds.get(provider_key);
    if (known) return [200, { id: known.id, status: 'succeeded', amount_minor }];
    const made = { id: nextId('re'), provider_key, charge: id, amount_minor, currency };
    refunds.set(provider_key, made);
    send('refund.updated', { id: made.id, payment_intent: id, amount: amount_minor, currency: currency.toLowerCase(), status: 'succeeded' }, provider_key);
    return amount_minor % 100 === 2 ? null : [200, { id: made.id, status: 'succeeded', amount_minor }];
}

const settlement = () => [
    ...[...charges.values()].filter((c) => c.status === 'succeeded')
        .map((c) => ({ type: 'payment', id: c.id, amount_minor: c.amount_minor, currency: c.currency, fee_minor: c.fee_minor })),
    ...[...refunds.values()].map((r) => ({ type: 'refund', id: r.id, amount_minor: r.amount_minor, currency: r.currency })),
];

http.createServer(async (request, response) => {
    const answer = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (request.method === 'GET')
        return answer(200, { '/charges': () => [...charges.values()], '/refunds': () => [...refunds.values()], '/settlement': settlement }[request.url]());
    let text = '';
    for await (const chunk of request) text += chunk;
    const result = { '/charges': charge, '/refunds': refund }[request.url](JSON.parse(text));
    if (result) answer(...result); // else: the connection stays open, and nothing comes
}).listen(Number(process.env.PORT || 0), '127.0.0.1', function () {
    console.log(`listening on ${this.address().port}`);
});
