/** confirmCardPayment and its kin: a page pays by itself with a client secret, and says what became of it. */
import { expect, test } from '@playwright/test';
import { CardFields, DECLINED, EXPIRED, GOOD, INSUFFICIENT } from '../pages/card-fields.js';
import { call, newIntent, retrieveIntent } from '../pages/payments.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

/** Only known once the setup has run, which is after this file is read. */
const demo = () => demos()[0];
const payments = () => new URL(demo().payments).origin;

test('a good card pays, and the page gets the intent', async ({ page }) => {
  await withCard(page, async (card) => {
    const intent = await newIntent();
    await card.fill(GOOD);
    const { paymentIntent, error } = await confirm(page, intent.client_secret);
    expect(error).toBeUndefined();
    expect(paymentIntent).toMatchObject({ id: intent.id, status: 'succeeded', amount: 1999, currency: 'usd' });
    expect(paymentIntent).not.toHaveProperty('metadata');
    expect((await retrieveIntent(intent.id)).status).toBe('succeeded');
    const again = await page.evaluate((secret) => cardseal.retrievePaymentIntent(secret), intent.client_secret);
    expect(again.paymentIntent.status).toBe('succeeded');
    // What pays is fetched once, under the digest that the loader names, and leaves no tag behind.
    await expect(page.locator('script[src*="payments-"]')).toHaveCount(0);
  });
});

test('billing details go with the card, and the bank compares the address', async ({ page }) => {
  await withCard(page, async (card) => {
    const intent = await newIntent();
    const details = {
      name: 'Jenny Rosen', email: 'jenny@example.com', phone: null,
      address: { line1: '1 Main St', city: 'Springfield', postal_code: '12345', country: 'US' },
    };
    // This card's postal code never matches, if one is compared.
    await card.fill({ ...GOOD, number: '4000000000000036' });
    const { paymentIntent, error } = await page.evaluate(([secret, billing_details]) =>
      cardseal.confirmCardPayment(secret, { payment_method: { card: window.card, billing_details } }), [intent.client_secret, details]);
    expect(error).toBeUndefined();
    expect(paymentIntent.status).toBe('succeeded');
    const { latest_charge: charge } = await call(demo(), `/v1/payment_intents/${intent.id}?expand[]=latest_charge`);
    expect(charge.billing_details).toMatchObject({
      ...details, address: { ...details.address, line2: null, state: null },
    });
    expect(charge.payment_method_details.card.checks).toMatchObject({
      address_line1_check: 'pass', address_postal_code_check: 'fail',
    });
  });
});

for (const [name, card, code, reason] of [
  ['a plain decline', DECLINED, 'card_declined', 'generic_decline'],
  ['insufficient funds', INSUFFICIENT, 'card_declined', 'insufficient_funds'],
  ['an expired card', EXPIRED, 'expired_card', 'expired_card'],
]) {
  test(`${name} is an error with its reason, and the same intent is paid by another card`, async ({ page }) => {
    await withCard(page, async (fields) => {
      const intent = await newIntent();
      await fields.fill(card);
      const { paymentIntent, error } = await confirm(page, intent.client_secret);
      expect(paymentIntent).toBeUndefined();
      expect(error).toMatchObject({ type: 'card_error', code, payment_intent: { id: intent.id, status: 'requires_payment_method' } });
      expect(error.decline_code).toBe(reason);
      expect(error.message).toMatch(/\w/);
      await fields.fill(GOOD);
      expect((await confirm(page, intent.client_secret)).paymentIntent.status).toBe('succeeded');
    });
  });
}

test('what is wrong in a field is an error, and nothing is sent', async ({ page }) => {
  await withCard(page, async (card) => {
    const sent = [];
    page.on('request', (request) => request.url().includes('/confirm') && sent.push(request.url()));
    const intent = await newIntent();
    await card.fill({ ...GOOD, cvc: '1' });
    const { error } = await confirm(page, intent.client_secret);
    expect(error).toMatchObject({ type: 'validation_error', code: 'incomplete_cvc' });
    expect(sent).toEqual([]);
  });
});

test('five calls on a slow line are one confirmation', async ({ page }) => {
  await withCard(page, async (card) => {
    const intent = await newIntent();
    const sent = [];
    await page.route('**/confirm', async (route) => {
      if (route.request().method() === 'POST') sent.push(route.request().headers()['idempotency-key']);
      await new Promise((resolve) => setTimeout(resolve, 700));
      await route.continue();
    });
    await card.fill(GOOD);
    const results = await page.evaluate(
      (secret) => Promise.all(Array.from({ length: 5 }, () => cardseal.confirmCardPayment(secret, { payment_method: { card: window.card } }))),
      intent.client_secret,
    );
    expect(results.map((result) => result.paymentIntent?.status)).toEqual(Array(5).fill('succeeded'));
    expect(sent).toHaveLength(1);
  });
});

test('an answer that is lost on the way is asked for again, under the same key, and charged once', async ({ page }) => {
  await withCard(page, async (card) => {
    const intent = await newIntent();
    const keys = [];
    await page.route('**/confirm', async (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      keys.push(route.request().headers()['idempotency-key']);
      // The first reaches payments, and its answer nobody.
      if (keys.length > 1) return route.continue();
      await route.fetch();
      return route.abort();
    });
    await card.fill(GOOD);
    const { paymentIntent } = await confirm(page, intent.client_secret);
    expect(paymentIntent.status).toBe('succeeded');
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
    expect((await retrieveIntent(intent.id)).amount_received).toBe(1999);
  });
});

test('when nobody answers the outcome is unknown, and not called a failure', async ({ page }) => {
  test.setTimeout(90_000);
  await withCard(page, async (card) => {
    const intent = await newIntent();
    await page.route('**/confirm', (route) => (route.request().method() === 'POST' ? route.abort() : route.continue()));
    await card.fill(GOOD);
    const { error } = await confirm(page, intent.client_secret);
    expect(error).toMatchObject({ type: 'api_connection_error', code: 'outcome_unknown' });
  });
});

test('a signal ends the wait, offline is said before anything is sent, and a wrong secret is refused', async ({ page, context }) => {
  await withCard(page, async (card) => {
    const intent = await newIntent();
    await card.fill(GOOD);
    const aborted = await page.evaluate(
      (secret) => cardseal.confirmCardPayment(secret, { payment_method: { card: window.card } }, { signal: AbortSignal.abort() }),
      intent.client_secret,
    );
    expect(aborted.error.code).toBe('aborted');
    const wrong = await page.evaluate((secret) => cardseal.retrievePaymentIntent(secret), `${intent.client_secret}x`);
    expect(wrong.error).toMatchObject({ type: 'invalid_request_error', code: 'resource_missing' });
    expect(await page.evaluate(() => cardseal.retrievePaymentIntent('nonsense').catch((error) => error.message))).toContain('not a client secret');
    await context.setOffline(true);
    expect((await confirm(page, intent.client_secret)).error.code).toMatch(/^(offline|network)$/);
    await context.setOffline(false);
    expect((await retrieveIntent(intent.id)).status).toBe('requires_payment_method');
    expect((await confirm(page, intent.client_secret)).paymentIntent.status).toBe('succeeded');
  });
});

test('the part that pays is not run when it is not the one that was built', async ({ page }) => {
  await page.route('**/assets/payments-*.js', async (route) => {
    const { pathname } = new URL(route.request().url());
    const built = await fetch(`http://127.0.0.1:${new URL(demo().vault).port}${pathname}`);
    expect(built.ok).toBe(true);
    const headers = { 'access-control-allow-origin': '*', 'content-type': 'text/javascript' };
    await route.fulfill({ headers, body: `${await built.text()}\nwindow.tampered = true;` });
  });
  await withCard(page, async () => {
    const { error } = await page.evaluate(() => cardseal.retrievePaymentIntent('pi_1_secret_1'));
    expect(error).toMatchObject({ type: 'api_connection_error', code: 'blocked' });
    expect(await page.evaluate('window.tampered')).toBeUndefined();
  });
});

test('a page that requires Trusted Types pays, when its policy names cardseal', async ({ page }) => {
  const policy = `script-src 'unsafe-inline' ${demo().vault}; connect-src ${demo().vault} ${payments()}; frame-src ${demo().vault} ${payments()}; require-trusted-types-for 'script'; trusted-types cardseal`;
  await withCard(page, async (card) => {
    const intent = await newIntent();
    await card.fill(GOOD);
    expect((await confirm(page, intent.client_secret)).paymentIntent.status).toBe('succeeded');
  }, policy);
});

const confirm = (page, secret) =>
  page.evaluate((clientSecret) => cardseal.confirmCardPayment(clientSecret, { payment_method: { card: window.card } }), secret);

/** A page of a merchant's with a card form, under `policy` when one is given. */
async function withCard(page, use, policy = '') {
  const html = `<!doctype html><html lang="en"><meta http-equiv="Content-Security-Policy" content="${policy}"><title>A page</title>
<div id="card"></div><button id="pay">Pay</button>
<script src="${demo().vault}/v1/cardseal.js"></script>
<script>
  window.cardseal = Cardseal('${demo().publishable_key}');
  window.card = cardseal.elements().create('card').mount('#card');
</script></html>`;
  await serve({ '/': html }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await use(card);
  });
}
