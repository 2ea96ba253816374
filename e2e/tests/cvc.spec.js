/** A saved card is paid with, and the buyer types its security code again: the element `cvc`. */
import { expect, test } from '@playwright/test';
import { CardFields } from '../pages/card-fields.js';
import { call, newIntent, retrieveIntent, savedCard } from '../pages/payments.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

/** Only known once the setup has run, which is after this file is read. */
const demo = () => demos()[0];

/** What the acquirer said of the security code. */
async function cvcCheck(id) {
  const { latest_charge } = await retrieveIntent(id);
  const charge = await call(demo(), `/v1/charges/${latest_charge}`);
  return charge.payment_method_details.card.checks.cvc_check;
}

/** Confirms in the page, with the security code that was typed. */
const confirm = (page, secret, method) =>
  page.evaluate(
    ([secret, method]) => cardseal.confirmCardPayment(secret, { payment_method: method, payment_method_options: { card: { cvc: window.cvc } } }),
    [secret, method],
  );

test('a saved card is paid with its security code typed again', async ({ page }, info) => {
  const { customer, method } = await savedCard();
  const before = await newIntent({ customer, payment_method: method, confirm: 'true' });
  expect(before.status).toBe('succeeded');
  expect(await cvcCheck(before.id)).toBe('unchecked');

  await withCvc(page, async (fields) => {
    await expect(fields.number).toHaveCount(0);
    const intent = await newIntent({ customer });
    await fields.cvc.pressSequentially('12');
    expect((await confirm(page, intent.client_secret, method)).error).toMatchObject({ type: 'validation_error', code: 'incomplete_cvc' });
    await fields.cvc.pressSequentially('3');
    await expect.poll(() => page.evaluate('facts')).toMatchObject({ elementType: 'cvc', complete: true });
    await page.screenshot({ path: `screenshots/cvc-${info.project.name}.png` });
    const { paymentIntent, error } = await confirm(page, intent.client_secret, method);
    expect(error).toBeUndefined();
    expect(paymentIntent.status).toBe('succeeded');
    expect(await cvcCheck(intent.id)).toBe('pass');
    // It went with the token.
    await expect(fields.cvc).toHaveValue('');
  });
});

test('its token is of a security code and nothing else', async ({ page }) => {
  const { customer, method } = await savedCard();
  await withCvc(page, async (fields) => {
    const create = async () => {
      await fields.cvc.fill('');
      await fields.cvc.pressSequentially('123');
      return page.evaluate(() => cardseal.createToken('cvc_update', window.cvc));
    };
    const { token } = await create();
    expect(token).toMatchObject({ object: 'token', type: 'cvc_update' });
    expect(token.card).toBeUndefined();
    // The server may confirm with it, once.
    const intent = await newIntent({ customer, payment_method: method });
    const options = new URLSearchParams({ 'payment_method_options[card][cvc_token]': token.id });
    expect((await call(demo(), `/v1/payment_intents/${intent.id}/confirm`, options)).status).toBe('succeeded');
    expect(await cvcCheck(intent.id)).toBe('pass');
    const direct = { confirm: 'true', 'payment_method_options[card][cvc_token]': (await create()).token.id };
    const atOnce = await newIntent({ customer, payment_method: method, ...direct });
    expect([atOnce.status, await cvcCheck(atOnce.id)]).toEqual(['succeeded', 'pass']);
    const other = await newIntent({ customer, payment_method: method });
    await expect(call(demo(), `/v1/payment_intents/${other.id}/confirm`, options)).rejects.toThrow(/already been used/);
    // No card can be made of one.
    const alone = new URLSearchParams({ type: 'card', 'card[token]': (await create()).token.id });
    await expect(call(demo(), '/v1/payment_methods', alone)).rejects.toThrow(/security code alone/);
  });
});

test('a code that is too short for the saved card is refused, and the buyer tries again', async ({ page }) => {
  const { customer, method } = await savedCard('378282246310005');
  await withCvc(page, async (fields) => {
    const intent = await newIntent({ customer });
    await fields.cvc.pressSequentially('123');
    expect((await confirm(page, intent.client_secret, method)).error).toMatchObject({ type: 'card_error', code: 'invalid_cvc' });
    await fields.cvc.pressSequentially('1234');
    expect((await confirm(page, intent.client_secret, method)).paymentIntent.status).toBe('succeeded');
  });
});

async function withCvc(page, use) {
  const html = `<!doctype html><html lang="en"><title>A page</title><p>Visa 4242</p><div id="card"></div>
<script src="${demo().vault}/v1/cardseal.js"></script>
<script>
  window.cardseal = Cardseal('${demo().publishable_key}');
  window.cvc = cardseal.elements().create('cvc').on('change', (facts) => (window.facts = facts)).mount('#card');
</script></html>`;
  await serve({ '/': html }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const fields = new CardFields(page);
    await fields.cvc.waitFor();
    await use(fields);
  });
}
