// Signs a body as the processor would, by the npm packages stripe and standardwebhooks.
// usage: webhooks.js stripe|standard SECRET ID UNIX_SECONDS < body    prints the headers as JSON
'use strict';
const [scheme, secret, id, seconds] = process.argv.slice(2);
const body = require('node:fs').readFileSync(0, 'utf8');
if (scheme === 'stripe') {
    const Stripe = require('stripe');
    const header = new Stripe('sk_test_nothing').webhooks.generateTestHeaderString({ payload: body, secret, timestamp: Number(seconds) });
    console.log(JSON.stringify({ 'stripe-signature': header }));
} else {
    const { Webhook } = require('standardwebhooks');
    const signature = new Webhook(secret).sign(id, new Date(Number(seconds) * 1000), body);
    console.log(JSON.stringify({ 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signature }));
}
