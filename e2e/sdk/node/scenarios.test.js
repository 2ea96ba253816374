/** What merchants' code does with the official SDK for Node. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import Stripe from 'stripe';

import { bodyOf, booked, card, client, demo, droppingProxy, freshAmount, serve, token } from './cardseal.js';

const stripe = client();

test('pay: create and confirm, then read intent, charge and payment method back', async () => {
  const amount = freshAmount();
  const paid = await stripe.paymentIntents.create({
    amount, currency: 'usd', confirm: true, metadata: { order: 'o-1' }, ...(await card()),
  });
  assert.equal(paid.status, 'succeeded');
  assert.equal(paid.amount_received, amount);
  const read = await stripe.paymentIntents.retrieve(paid.id, { expand: ['latest_charge', 'payment_method'] });
  assert.equal(read.latest_charge.paid, true);
  assert.equal(read.latest_charge.payment_method_details.card.last4, '4242');
  assert.equal(read.payment_method.card.brand, 'visa');
  assert.equal(read.metadata.order, 'o-1');
  const entries = await booked(amount);
  assert.equal(entries.length, 1, JSON.stringify(entries));
});

test('pay in two steps, with a PaymentMethod made first', async () => {
  const method = await stripe.paymentMethods.create({ type: 'card', card: { token: await token() } });
  const intent = await stripe.paymentIntents.create({ amount: freshAmount(), currency: 'eur' });
  assert.equal(intent.status, 'requires_payment_method');
  const paid = await stripe.paymentIntents.confirm(intent.id, { payment_method: method.id });
  assert.equal(paid.status, 'succeeded');
});

test('published test cards: paid by name, again and again, declined, attached, set up', async () => {
  for (let times = 0; times < 2; times += 1) {
    const amount = freshAmount();
    const paid = await stripe.paymentIntents.create({
      amount, currency: 'usd', confirm: true, payment_method: 'pm_card_visa', expand: ['payment_method'],
    });
    assert.equal(paid.status, 'succeeded');
    assert.equal(paid.payment_method.card.last4, '4242');
    assert.notEqual(paid.payment_method.id, 'pm_card_visa');
    assert.equal((await booked(amount)).length, 1);
  }
  const intent = await stripe.paymentIntents.create({ amount: freshAmount(), currency: 'usd' });
  // More often than a grant allows sends: each confirmation has one of its own.
  for (let times = 0; times < 4; times += 1) {
    const declined = stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_chargeDeclined' });
    await assert.rejects(declined, { code: 'card_declined' });
  }
  const paid = await stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_mastercard' });
  assert.equal(paid.status, 'succeeded');

  const method = await stripe.paymentMethods.create({ type: 'card', card: { token: 'tok_amex' } });
  assert.equal(method.card.brand, 'amex');
  const customer = await stripe.customers.create();
  const attached = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
  assert.equal(attached.customer, customer.id);
  assert.equal(attached.card.brand, 'visa');
  const again = await stripe.paymentIntents.create({
    amount: freshAmount(), currency: 'usd', confirm: true, customer: customer.id, payment_method: attached.id,
  });
  assert.equal(again.status, 'succeeded');
  const setup = await stripe.setupIntents.create({
    customer: customer.id, payment_method: 'pm_card_visa', confirm: true,
  });
  assert.equal(setup.status, 'succeeded');
  await assert.rejects(
    stripe.paymentIntents.create({
      amount: 100, currency: 'usd', confirm: true, payment_method: 'pm_card_nobody',
    }),
    { type: 'StripeInvalidRequestError' },
  );
});

/** Looks until it is so, as who has no webhook does. */
async function until(look, isDone) {
  const end = Date.now() + 20_000;
  for (;;) {
    const seen = await look();
    if (isDone(seen)) return seen;
    assert.ok(Date.now() < end, JSON.stringify(seen));
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

test('the aliases of test cards do what Stripe documents', async () => {
  const pay = (alias, more) => stripe.paymentIntents.create({
    amount: freshAmount(), currency: 'usd', confirm: true, payment_method: alias, ...more,
  });
  // The money is there at once; that of another card in two days.
  for (const [alias, status] of [
    ['pm_card_bypassPending', 'available'], ['pm_card_bypassPendingInternational', 'available'], ['pm_card_visa', 'pending'],
  ]) {
    const paid = await pay(alias, { expand: ['latest_charge.balance_transaction'] });
    assert.equal(paid.latest_charge.balance_transaction.status, status, alias);
  }
  for (const [alias, code, reason] of [
    ['pm_card_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_visa_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['pm_card_chargeDeclinedLostCard', 'card_declined', 'lost_card'],
    ['pm_card_chargeDeclinedStolenCard', 'card_declined', 'stolen_card'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card', 'expired_card'],
    ['pm_card_chargeDeclinedIncorrectCvc', 'incorrect_cvc', 'incorrect_cvc'],
    ['pm_card_chargeDeclinedProcessingError', 'processing_error', 'processing_error'],
    ['pm_card_radarBlock', 'card_declined', 'fraudulent'],
  ]) {
    await assert.rejects(pay(alias), { type: 'StripeCardError', code, decline_code: reason }, alias);
  }
  // It is kept, and fails whenever it is charged.
  const customer = await stripe.customers.create();
  const kept = await stripe.paymentMethods.attach('pm_card_chargeCustomerFail', { customer: customer.id });
  await assert.rejects(pay(kept.id, { customer: customer.id }), { code: 'card_declined' });
  // The bank asks the buyer; who is not there cannot be asked.
  const asked = await pay('pm_card_authenticationRequired', { return_url: 'https://shop.example/return' });
  assert.equal(asked.status, 'requires_action');
  await assert.rejects(
    pay('pm_card_authenticationRequired', { off_session: true, error_on_requires_action: true }),
    { code: 'authentication_required' },
  );
  for (const [alias, line1, postal] of [
    ['pm_card_avsFail', 'fail', 'fail'], ['pm_card_avsLine1Fail', 'fail', 'pass'], ['pm_card_avsZipFail', 'pass', 'fail'],
  ]) {
    const method = await stripe.paymentMethods.create({
      type: 'card', card: { token: alias.replace('pm_card_', 'tok_') },
      billing_details: { address: { line1: '1 Main St', postal_code: '12345' } },
    });
    const { latest_charge: charge } = await pay(method.id, { expand: ['latest_charge'] });
    const { checks } = charge.payment_method_details.card;
    assert.deepEqual([checks.address_line1_check, checks.address_postal_code_check], [line1, postal], alias);
  }
  const { latest_charge: risky } = await pay('pm_card_riskLevelElevated', { expand: ['latest_charge'] });
  assert.equal(risky.outcome.risk_level, 'elevated');
  // A question of the holder's bank, and a chargeback.
  for (const [alias, status] of [['pm_card_createDisputeInquiry', 'warning_needs_response'], ['pm_card_createDispute', 'needs_response']]) {
    const paid = await pay(alias);
    const { data } = await until(() => stripe.disputes.list({ payment_intent: paid.id }), ({ data: [first] }) => first);
    assert.equal(data[0].status, status, alias);
  }
});

test('a confirmation that is answered at once, and completed by a worker', async () => {
  const early = { headers: { Prefer: 'respond-async' } };
  const amount = freshAmount();
  const accepted = await stripe.paymentIntents.create({ amount, currency: 'usd', confirm: true, ...(await card()) }, early);
  assert.equal(accepted.lastResponse.statusCode, 202);
  assert.equal(accepted.lastResponse.headers['preference-applied'], 'respond-async');
  assert.equal(accepted.status, 'processing');
  const settled = (id) => until(() => stripe.paymentIntents.retrieve(id), ({ status }) => status !== 'processing');
  assert.equal((await settled(accepted.id)).status, 'succeeded');
  assert.equal((await booked(amount)).length, 1);
  const intent = await stripe.paymentIntents.create({ amount: freshAmount(), currency: 'usd' });
  await stripe.paymentIntents.confirm(intent.id, await card('4000000000009995'), early);
  const declined = await settled(intent.id);
  assert.equal(declined.status, 'requires_payment_method');
  assert.equal(declined.last_payment_error.decline_code, 'insufficient_funds');
  const types = (await stripe.events.list({ limit: 100 })).data
    .filter(({ data }) => data.object.id === accepted.id).map(({ type }) => type);
  assert.deepEqual(types.sort(), ['payment_intent.created', 'payment_intent.processing', 'payment_intent.succeeded']);
});

test('a saved card is changed: metadata and billing details', async () => {
  const customer = await stripe.customers.create();
  const { id } = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
  const changed = await stripe.paymentMethods.update(id, {
    metadata: { of: 'work' }, billing_details: { name: 'Jenny Rosen', address: { postal_code: '12345' } },
  });
  assert.equal(changed.metadata.of, 'work');
  assert.equal(changed.billing_details.address.postal_code, '12345');
  assert.equal((await stripe.paymentMethods.retrieve(id)).billing_details.name, 'Jenny Rosen');
});

test('decline: a StripeCardError, and the intent takes another card', async () => {
  const amount = freshAmount();
  const declined = stripe.paymentIntents.create({
    amount, currency: 'usd', confirm: true, ...(await card('4000000000009995')),
  });
  const error = await declined.then(() => assert.fail('not declined'), (refused) => refused);
  assert.ok(error instanceof Stripe.errors.StripeCardError, String(error));
  assert.equal(error.code, 'card_declined');
  assert.equal(error.decline_code, 'insufficient_funds');
  assert.equal(error.statusCode, 402);
  assert.equal(error.payment_intent.status, 'requires_payment_method');
  assert.equal(error.payment_intent.last_payment_error.code, 'card_declined');
  const paid = await stripe.paymentIntents.confirm(error.payment_intent.id, await card());
  assert.equal(paid.status, 'succeeded');
});

test('fraud: a blocked card is not sent to the acquirer, a risky one is reviewed', async () => {
  const amount = freshAmount();
  const blocked = stripe.paymentIntents.create({
    amount, currency: 'usd', confirm: true, ...(await card('4100000000000019')),
  });
  const error = await blocked.then(() => assert.fail('not blocked'), (refused) => refused);
  assert.ok(error instanceof Stripe.errors.StripeCardError, String(error));
  assert.deepEqual([error.code, error.decline_code], ['card_declined', 'fraudulent']);
  const { outcome } = await stripe.charges.retrieve(error.charge);
  assert.deepEqual([outcome.type, outcome.network_status, outcome.risk_level], ['blocked', 'not_sent_to_network', 'highest']);
  assert.deepEqual(await booked(amount), []);

  const paid = await stripe.paymentIntents.create({
    amount: freshAmount(), currency: 'usd', confirm: true, expand: ['latest_charge.review'],
    ...(await card('4000000000009235')),
  });
  assert.equal(paid.latest_charge.outcome.type, 'manual_review');
  assert.equal(paid.latest_charge.review.open, true);
  const approved = await stripe.reviews.approve(paid.latest_charge.review.id);
  assert.deepEqual([approved.open, approved.closed_reason], [false, 'approved']);

  const mismatch = freshAmount();
  await assert.rejects(
    stripe.paymentIntents.create({ amount: mismatch, currency: 'usd', confirm: true, ...(await card('4000000000000101')) }),
    { decline_code: 'fraudulent' },
  );
  const entries = await booked(mismatch);
  assert.equal(entries.length, 2, JSON.stringify(entries));
  assert.ok(entries.some((entry) => entry.reference === 'reversal'), JSON.stringify(entries));
});

test('capture later: less than was authorised', async () => {
  const amount = freshAmount();
  const held = await stripe.paymentIntents.create({
    amount, currency: 'usd', capture_method: 'manual', confirm: true, ...(await card()),
  });
  assert.equal(held.status, 'requires_capture');
  assert.equal(held.amount_capturable, amount);
  const captured = await stripe.paymentIntents.capture(held.id, { amount_to_capture: amount - 500 });
  assert.equal(captured.status, 'succeeded');
  assert.equal(captured.amount_received, amount - 500);
});

test('cancel an authorisation', async () => {
  const held = await stripe.paymentIntents.create({
    amount: freshAmount(), currency: 'usd', capture_method: 'manual', confirm: true, ...(await card()),
  });
  const canceled = await stripe.paymentIntents.cancel(held.id, { cancellation_reason: 'requested_by_customer' });
  assert.equal(canceled.status, 'canceled');
  assert.equal(canceled.cancellation_reason, 'requested_by_customer');
});

test('refund twice, in parts, and not once more', async () => {
  const amount = freshAmount();
  const paid = await stripe.paymentIntents.create({ amount, currency: 'usd', confirm: true, ...(await card()) });
  const first = await stripe.refunds.create({ payment_intent: paid.id, amount: 4_000 });
  assert.equal(first.status, 'succeeded');
  const second = await stripe.refunds.create({ charge: paid.latest_charge });
  assert.equal(second.amount, amount - 4_000);
  await assert.rejects(stripe.refunds.create({ payment_intent: paid.id }), { code: 'charge_already_refunded' });
  const charge = await stripe.charges.retrieve(paid.latest_charge);
  assert.equal(charge.refunded, true);
  assert.equal(charge.amount_refunded, amount);
});

test('list with auto-paging: each once, newest first', async () => {
  const made = [];
  const run = randomUUID();
  for (let at = 0; at < 5; at += 1) {
    const intent = await stripe.paymentIntents.create({ amount: 100 + at, currency: 'usd', metadata: { run } });
    made.unshift(intent.id);
  }
  const found = [];
  for await (const intent of stripe.paymentIntents.list({ limit: 2 })) {
    if (intent.metadata.run === run) found.push(intent.id);
    if (found.length === made.length) break;
  }
  assert.deepEqual(found, made);
});

test('webhooks: constructEvent on what a local receiver got', async () => {
  const received = [];
  const receiver = await serve(async (incoming, outgoing) => {
    received.push({ body: await bodyOf(incoming), signature: incoming.headers['stripe-signature'] });
    outgoing.writeHead(200).end();
  });
  const endpoint = await stripe.webhookEndpoints.create({
    url: `${receiver.url}/hooks`, enabled_events: ['payment_intent.succeeded'],
  });
  try {
    const paid = await stripe.paymentIntents.create({
      amount: freshAmount(), currency: 'usd', confirm: true, ...(await card()),
    });
    const until = Date.now() + 15_000;
    while (received.length === 0 && Date.now() < until) await new Promise((resolve) => { setTimeout(resolve, 50); });
    assert.ok(received.length > 0, 'no delivery within 15 s');
    const [{ body, signature }] = received;
    const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret);
    assert.equal(event.type, 'payment_intent.succeeded');
    assert.equal(event.data.object.id, paid.id);
    const forged = Buffer.from(body.toString().replace('succeeded', 'Succeeded'));
    assert.throws(
      () => stripe.webhooks.constructEvent(forged, signature, endpoint.secret),
      Stripe.errors.StripeSignatureVerificationError,
    );
    assert.equal((await stripe.events.retrieve(event.id)).id, event.id);
  } finally {
    await stripe.webhookEndpoints.del(endpoint.id);
    await receiver.stop();
  }
});

test('automatic retries: an answer lost after the commit is one charge', async () => {
  const proxy = await droppingProxy();
  const [refunded, amount] = [freshAmount(), freshAmount()];
  proxy.drop(2);
  try {
    const retrying = client(proxy.url, { maxNetworkRetries: 3 });
    const paid = await retrying.paymentIntents.create({ amount, currency: 'usd', confirm: true, ...(await card()) });
    assert.equal(paid.status, 'succeeded');
    assert.equal(proxy.seen.length, 3);
    assert.equal(new Set(proxy.seen.map(({ key }) => key)).size, 1, 'the SDK retries under one key');
    assert.ok(proxy.seen[0].key, 'the SDK sends a key of its own');
    assert.equal(proxy.seen[2].headers['idempotent-replayed'], 'true');
    proxy.drop(1);
    const back = await retrying.refunds.create({ payment_intent: paid.id, amount: refunded });
    assert.equal(back.status, 'succeeded');
    assert.equal(proxy.seen.length, 5);
  } finally {
    await proxy.stop();
  }
  assert.equal((await booked(amount)).length, 1);
  assert.equal((await booked(refunded)).length, 1);
});

test('idempotency keys: replayed, and refused for another request', async () => {
  const idempotencyKey = randomUUID();
  const amount = freshAmount();
  const wanted = { amount, currency: 'usd', confirm: true, ...(await card()) };
  const first = await stripe.paymentIntents.create(wanted, { idempotencyKey });
  const again = await stripe.paymentIntents.create(wanted, { idempotencyKey });
  assert.equal(again.id, first.id);
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
  assert.equal((await booked(amount)).length, 1);
  await assert.rejects(
    stripe.paymentIntents.create({ ...wanted, amount: amount + 1 }, { idempotencyKey }),
    Stripe.errors.StripeIdempotencyError,
  );
});

test('bad input: the errors that the SDK has classes for', async () => {
  const refused = (promise) => promise.then(() => assert.fail('not refused'), (error) => error);
  const unknown = await refused(stripe.paymentIntents.retrieve('pi_nobodys'));
  assert.ok(unknown instanceof Stripe.errors.StripeInvalidRequestError);
  assert.deepEqual([unknown.statusCode, unknown.code], [404, 'resource_missing']);
  const parameter = await refused(stripe.paymentIntents.create({ amount: 100, currency: 'usd', colour: 'red' }));
  assert.deepEqual([parameter.code, parameter.param], ['parameter_unknown', 'colour']);
  const stranger = client(demo.payments, {}, `sk_test_${'0'.repeat(38)}`);
  const nobody = await refused(stranger.paymentIntents.list());
  assert.ok(nobody instanceof Stripe.errors.StripeAuthenticationError, String(nobody));
  const raw = { number: '4242424242424242', exp_month: 12, exp_year: 2040, cvc: '123' };
  const card = await refused(stripe.paymentMethods.create({ type: 'card', card: raw }));
  assert.equal(card.type, 'StripeInvalidRequestError');
  assert.ok(!card.message.includes('4242'), 'no error repeats a card number');
});
