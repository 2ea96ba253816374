/** Deliveries as merchants verify them: by `stripe` and by `standardwebhooks`, under one secret. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import Stripe from 'stripe';

import { bodyOf, client, freshAmount, serve } from './cardseal.js';

const stripe = client();
const STANDARD = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];

/** A receiver that keeps what arrives: `next()` waits for the next delivery. */
async function receiver() {
  const received = [];
  const server = await serve(async (incoming, outgoing) => {
    received.push({ body: await bodyOf(incoming), headers: incoming.headers });
    outgoing.writeHead(200).end();
  });
  const next = async () => {
    const until = Date.now() + 15_000;
    while (received.length === 0 && Date.now() < until) await new Promise((resolve) => { setTimeout(resolve, 50); });
    assert.ok(received.length > 0, 'no delivery within 15 s');
    return received.shift();
  };
  return { ...server, next };
}

/** Fails unless both libraries take the delivery for genuine under `secret`. */
function verified({ body, headers }, secret) {
  const event = stripe.webhooks.constructEvent(body, headers['stripe-signature'], secret);
  const standard = new Webhook(secret).verify(body, Object.fromEntries(STANDARD.map((name) => [name, headers[name]])));
  assert.deepEqual(standard, JSON.parse(body.toString()));
  assert.equal(headers['webhook-id'], event.id);
  return event;
}

test('one delivery, two libraries, one secret; forgeries fail in both', async () => {
  const shop = await receiver();
  const endpoint = await stripe.webhookEndpoints.create({
    url: `${shop.url}/hooks`, enabled_events: ['payment_intent.created'],
  });
  try {
    const intent = await stripe.paymentIntents.create({ amount: freshAmount(), currency: 'usd' });
    const delivery = await shop.next();
    assert.equal(verified(delivery, endpoint.secret).data.object.id, intent.id);
    const forged = { ...delivery, body: Buffer.from(delivery.body.toString().replace('usd', 'eur')) };
    assert.throws(() => stripe.webhooks.constructEvent(forged.body, forged.headers['stripe-signature'], endpoint.secret));
    assert.throws(() => new Webhook(endpoint.secret).verify(forged.body, forged.headers));
    const stranger = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    assert.throws(() => verified(delivery, stranger), Stripe.errors.StripeSignatureVerificationError);
    assert.throws(() => new Webhook(stranger).verify(delivery.body, delivery.headers));
  } finally {
    await stripe.webhookEndpoints.del(endpoint.id);
    await shop.stop();
  }
});

test('a rolled secret: both verify for as long as they overlap', async () => {
  const shop = await receiver();
  const endpoint = await stripe.webhookEndpoints.create({
    url: `${shop.url}/hooks`, enabled_events: ['payment_intent.created'],
  });
  try {
    const rolled = await stripe.rawRequest('POST', `/v1/webhook_endpoints/${endpoint.id}/roll_secret`, {});
    assert.notEqual(rolled.secret, endpoint.secret);
    await stripe.paymentIntents.create({ amount: freshAmount(), currency: 'usd' });
    const delivery = await shop.next();
    verified(delivery, endpoint.secret);
    const event = verified(delivery, rolled.secret);
    await stripe.rawRequest('POST', `/v1/events/${event.id}/retry`, { webhook_endpoint: endpoint.id });
    const again = await shop.next();
    assert.equal(verified(again, rolled.secret).id, event.id, 'sent once more under the same id');
    assert.deepEqual(again.body, delivery.body);
  } finally {
    await stripe.webhookEndpoints.del(endpoint.id);
    await shop.stop();
  }
});
