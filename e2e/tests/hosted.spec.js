/** The hosted page: redirect out, pay in the vault's frame, back; the merchant's origin loads no card field. */
import { expect, test } from '@playwright/test';
import { CardFields, DECLINED, GOOD, INSUFFICIENT } from '../pages/card-fields.js';
import { Shop, book, demos } from '../pages/shop.js';

/** Orders something and goes to the hosted page. */
async function toHostedPage(page) {
  const shop = new Shop(page);
  await shop.checkout();
  await page.getByRole('button', { name: 'Pay on the payment page' }).click();
  await page.waitForURL(/\/c\/pay\/cs_test_/);
  const card = new CardFields(page);
  await card.ready();
  return { card, submit: page.locator('#submit'), message: page.locator('#message') };
}

test('paid on the hosted page: the order is pending, then paid by the webhook', async ({ page }, info) => {
  const seen = [];
  page.on('console', (message) => { if (message.type() === 'error') seen.push(message.text()); });
  const { card, submit } = await toHostedPage(page);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('$18.00');
  await expect(page.locator('.order')).toContainText('Field notebook');
  await page.screenshot({ path: `screenshots/${info.project.name}-hosted.png`, fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  expect(wide, 'nothing is cut off at the side').toBe(false);
  const before = (await book()).length;
  await card.fill(GOOD);
  await submit.click();
  await page.waitForURL(/\/payment\/success\//);
  expect(page.url()).toMatch(/session_id=cs_test_/);
  await expect(page.locator('#order-status')).toContainText('Paid', { timeout: 20_000 });
  await page.screenshot({ path: `screenshots/${info.project.name}-hosted-done.png`, fullPage: true });
  expect((await book()).length).toBe(before + 1);
  expect(seen).toEqual([]);
});

test('declined, told why, and paid with another card; a double click charges once', async ({ page }, info) => {
  const { card, submit, message } = await toHostedPage(page);
  const before = (await book()).filter((entry) => entry.status !== 'declined').length;
  await card.fill(INSUFFICIENT);
  await submit.click();
  await expect(message).toContainText(/insufficient funds/i);
  await page.screenshot({ path: `screenshots/${info.project.name}-hosted-declined.png`, fullPage: true });
  await card.fill(DECLINED);
  await submit.click();
  await expect(message).toContainText(/declined/i);
  await card.fill(GOOD);
  await submit.dblclick();
  await page.evaluate(() => document.getElementById('submit')?.click());
  await page.waitForURL(/\/payment\/success\//);
  const charged = (await book()).filter((entry) => entry.status !== 'declined');
  expect(charged.length).toBe(before + 1);
  await page.goBack();
  await expect(page.locator('body')).toContainText(/All done|Paid/);
});

test('by keyboard alone', async ({ page }) => {
  const { card } = await toHostedPage(page);
  await page.locator('.back').focus();
  await page.keyboard.press('Tab');
  for (const [field, text] of [[card.number, GOOD.number], [card.expiry, GOOD.expiry], [card.cvc, GOOD.cvc]]) {
    await expect(field).toBeFocused();
    await page.keyboard.type(text);
    if (!(await field.evaluate((input) => input !== document.activeElement))) await page.keyboard.press('Tab');
  }
  await expect(page.locator('#submit')).toBeFocused();
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/payment\/success\//);
});

test('the way back leaves the order as it is; a forged success page grants nothing', async ({ page }) => {
  await toHostedPage(page);
  await page.getByRole('link', { name: /Back to/ }).click();
  await page.waitForURL(/\/checkout\//);
  const order = new URL(page.url()).pathname.split('/').pop();
  await page.goto(`${demos()[0].shop}/payment/success/${order}?session_id=cs_test_forged`);
  await expect(page.locator('#order-status')).toContainText(/Waiting|processing/i);
  const told = await page.evaluate(async (id) => (await fetch(`/order-status/${id}`)).json(), order);
  expect(told.status).toBe('pending');
});

test('what is wrong in a field is said there, and nothing is sent', async ({ page }) => {
  const { card, submit, message } = await toHostedPage(page);
  const before = (await book()).length;
  await card.fill({ number: '4242424242424241', expiry: '1240', cvc: '123' });
  await submit.click();
  await expect.poll(() => card.isInvalid('number')).toBe(true);
  await expect(message).toHaveText('');
  await expect(submit).toBeEnabled();
  expect((await book()).length).toBe(before);
});
