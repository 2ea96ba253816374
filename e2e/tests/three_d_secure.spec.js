/**
 * 3-D Secure on real parts: the shop's page, payments' page in the loader's dialog, the bank's page inside it, and the
 * directory server that tells payments how it went. What a dialog may do by itself is in challenge.spec.js.
 */
import AxeBuilder from '@axe-core/playwright';
import { expect, test } from '@playwright/test';
import { GOOD } from '../pages/card-fields.js';
import { Shop, demos } from '../pages/shop.js';

const card = (number) => ({ ...GOOD, number });
const CHALLENGE = card('4000 0025 0000 3155');
const FRICTIONLESS = card('4000 0000 0000 3014');
const GIVES_UP = card('4000 0000 0000 3089');
const DECLINES_AFTER = card('4000 0084 0000 1629');

// Six programs and three frames deep: on a busy machine that takes its time.
test.describe.configure({ timeout: 150_000 });

/** The bank's page: in payments' frame, in the dialog. */
const bankOf = (page) => page.getByRole('dialog').frameLocator('iframe').frameLocator('iframe');

async function checkout(page, details) {
  const shop = new Shop(page);
  await shop.checkout();
  await shop.payWith(details);
  return shop;
}

test('a card whose issuer is content is paid without a sign of it', async ({ page }) => {
  const shop = new Shop(page);
  await shop.checkout();
  const asked = [];
  page.on('framenavigated', (frame) => asked.push(new URL(frame.url()).pathname));
  await shop.payWith(FRICTIONLESS);
  await shop.expectPaid();
  // The page of payments was there; the bank's question was not.
  expect(asked.some((path) => path.startsWith('/3ds/tds_'))).toBe(true);
  expect(asked.filter((path) => path.startsWith('/3ds/challenge'))).toEqual([]);
  const charge = await chargeOf(shop);
  expect(charge.payment_method_details.card.three_d_secure).toMatchObject({
    authentication_flow: 'frictionless', electronic_commerce_indicator: '05', result: 'authenticated', version: '2.2.0',
    liability_shift: true,
  });
});

test('a challenge that the buyer passes is paid', async ({ page }, info) => {
  const shop = await checkout(page, CHALLENGE);
  const bank = bankOf(page);
  const approve = bank.getByRole('button', { name: 'Approve' });
  await expect(approve).toBeVisible({ timeout: 30_000 });
  await expect(approve).toBeInViewport();
  await expect(bank.getByText('Cardseal demo shop')).toBeVisible();
  await page.screenshot({ path: `screenshots/${info.project.name}-challenge.png` });
  const found = await new AxeBuilder({ page }).analyze();
  expect(found.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.target)])).toEqual([]);
  await approve.click();
  await shop.expectPaid();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  const charge = await chargeOf(shop);
  expect(charge.payment_method_details.card.three_d_secure).toMatchObject({
    authentication_flow: 'challenge', electronic_commerce_indicator: '05', result: 'authenticated', liability_shift: true,
  });
});

test('by keyboard alone', async ({ page }) => {
  const shop = await checkout(page, CHALLENGE);
  const approve = bankOf(page).getByRole('button', { name: 'Approve' });
  await expect(approve).toBeVisible({ timeout: 30_000 });
  for (let press = 0; press < 8 && !(await approve.evaluate((button) => button === document.activeElement)); press++) {
    await page.keyboard.press('Tab');
  }
  await expect(approve).toBeFocused();
  await page.keyboard.press('Enter');
  await shop.expectPaid();
});

for (const [name, leave, words] of [
  ['fails', (page) => bankOf(page).getByRole('button', { name: 'Fail the authentication' }).click(), /unable to authenticate.*another card/i],
  ['cancels at the bank', (page) => bankOf(page).getByRole('button', { name: 'Cancel' }).click(), /unable to authenticate/i],
  ['leaves the dialog', (page) => page.getByRole('button', { name: 'Cancel' }).first().click(), /not been charged/i],
]) {
  test(`a buyer who ${name} is not charged, and another card pays`, async ({ page }, info) => {
    const shop = await checkout(page, CHALLENGE);
    await expect(bankOf(page).getByRole('button', { name: 'Approve' })).toBeVisible({ timeout: 30_000 });
    await leave(page);
    await expect(shop.message).toContainText(words, { timeout: 20_000 });
    await page.screenshot({ path: `screenshots/${info.project.name}-challenge-${name.replaceAll(' ', '-')}.png`, fullPage: true });
    await expect(page.getByRole('dialog')).toHaveCount(0);
    await shop.payWith(GOOD);
    await shop.expectPaid();
  });
}

test('a bank that gives up waiting ends the payment', async ({ page }) => {
  const shop = await checkout(page, GIVES_UP);
  await expect(bankOf(page).getByRole('button', { name: 'Approve' })).toBeVisible({ timeout: 30_000 });
  await expect(shop.message).toContainText(/unable to authenticate/i, { timeout: 20_000 });
});

test('a card that is declined after its challenge is declined', async ({ page }) => {
  const shop = await checkout(page, DECLINES_AFTER);
  await bankOf(page).getByRole('button', { name: 'Approve' }).click();
  await expect(shop.message).toContainText(/declined/i, { timeout: 20_000 });
});

test('the order is paid when the bank’s answer comes after the buyer has closed the page', async ({ page, context }) => {
  const shop = await checkout(page, CHALLENGE);
  await expect(bankOf(page).getByRole('button', { name: 'Approve' })).toBeVisible({ timeout: 30_000 });
  const bank = page.frames().find((frame) => new URL(frame.url()).pathname.startsWith('/3ds/challenge/')).url();
  const order = page.url();
  await page.close();
  // The buyer approves in the bank's app: nothing of the shop's page is left.
  const approved = await fetch(bank, { method: 'POST', body: new URLSearchParams({ answer: 'pass' }) });
  expect(approved.status).toBe(200);
  const later = await context.newPage();
  await expect(async () => {
    await later.goto(order);
    await expect(later.locator('#order-status')).toContainText(/paid/i, { timeout: 500 });
  }).toPass({ timeout: 20_000 });
  void shop;
});

test('a page that is reloaded during the challenge goes on with it', async ({ page }) => {
  const shop = await checkout(page, CHALLENGE);
  await expect(bankOf(page).getByRole('button', { name: 'Approve' })).toBeVisible({ timeout: 30_000 });
  await page.reload();
  await bankOf(page).getByRole('button', { name: 'Approve' }).click();
  await shop.expectPaid();
});

for (const [button, result] of [['Approve', 'succeeded'], ['Fail the authentication', 'failed']]) {
  test(`by redirect: ${button} comes back with ${result}`, async ({ page }, info) => {
    const demo = demos()[0];
    const returnUrl = `${demo.shop}/?back=1`;
    const intent = await payByApi(demo, '4000002760003184', { return_url: returnUrl });
    expect(intent).toMatchObject({ status: 'requires_action', next_action: { type: 'redirect_to_url' } });
    await page.goto(intent.next_action.redirect_to_url.url);
    const bank = page.frameLocator('iframe');
    await expect(bank.getByRole('button', { name: button })).toBeVisible({ timeout: 30_000 });
    await page.screenshot({ path: `screenshots/${info.project.name}-challenge-redirect.png` });
    await bank.getByRole('button', { name: button }).click();
    await page.waitForURL(/redirect_status=/);
    const back = new URL(page.url()).searchParams;
    expect(Object.fromEntries(back)).toEqual({
      back: '1', payment_intent: intent.id, payment_intent_client_secret: intent.client_secret, redirect_status: result,
    });
    const now = await api(demo, `/v1/payment_intents/${intent.id}`);
    expect(now.status).toBe(result === 'succeeded' ? 'succeeded' : 'requires_payment_method');
  });
}

test('another page cannot frame the payment’s page', async ({ page }) => {
  const demo = demos()[0];
  const intent = await payByApi(demo, '4000002760003184', {});
  const { url } = intent.next_action.use_stripe_sdk;
  for (const origin of ['http://evil.localhost', '']) {
    const answer = await fetch(`${url}?${new URLSearchParams({ origin })}`);
    expect(answer.status).toBe(404);
  }
  const answer = await fetch(`${url}?${new URLSearchParams({ origin: new URL(demo.shop).origin })}`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-security-policy')).toContain(`frame-ancestors ${new URL(demo.shop).origin}`);
  await page.goto(`${url}?${new URLSearchParams({ origin: '*' })}`);
  await expect(page.getByRole('alert')).toContainText('not registered');
});

async function api(demo, path, fields) {
  const options = { headers: { authorization: `Bearer ${demo.secret_key}` } };
  if (fields) Object.assign(options, { method: 'POST', body: new URLSearchParams(fields) });
  return (await fetch(demo.payments + path, options)).json();
}

/** A confirmed payment of a card that a server may hold: the vault's tests' way. */
async function payByApi(demo, number, more) {
  const answer = await fetch(`${demo.vault_private}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${demo.vault_key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ card: { number, exp_month: 12, exp_year: 2040, cvc: '123' } }),
  });
  const token = await answer.json();
  return api(demo, '/v1/payment_intents', {
    amount: '2500', currency: 'usd', confirm: 'true', 'payment_method_data[type]': 'card',
    'payment_method_data[card][token]': token.id, ...more,
  });
}

/** The charge of the shop's order. */
async function chargeOf(shop) {
  const list = await api(shop.demo, '/v1/payment_intents?limit=10&expand[]=data.latest_charge');
  return list.data.find((intent) => intent.metadata.order_id === shop.orderId()).latest_charge;
}
