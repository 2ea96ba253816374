/** One payment, from the shop to paid, on real parts. */
import { expect, test } from '@playwright/test';
import { GOOD } from '../pages/card-fields.js';
import { Shop, book, demos } from '../pages/shop.js';

test('a card typed into the iframe is charged and the order is paid', async ({ page }, info) => {
  const shop = new Shop(page);
  await shop.checkout();
  await page.screenshot({ path: `screenshots/${info.project.name}-checkout.png`, fullPage: true });
  const before = (await book()).length;
  await shop.card.fill({ number: '4242 4242 4242 4242', expiry: '12/40', cvc: '123' });
  await expect(shop.card.number).toHaveValue('4242 4242 4242 4242');
  await expect(shop.card.expiry).toHaveValue('12 / 40');
  await expect(shop.card.frame.locator('body')).toContainText('Visa');
  await page.screenshot({ path: `screenshots/${info.project.name}-filled.png`, fullPage: true });
  await shop.pay.click();
  await shop.expectPaid();
  await page.screenshot({ path: `screenshots/${info.project.name}-paid.png`, fullPage: true });
  expect((await book()).length).toBe(before + 1);
});

test('the card goes to the vault and to nobody else', async ({ page }) => {
  // A test number that nothing else uses; the vault's range rule takes it.
  const digits = canary();
  const requests = [];
  page.on('request', (request) => requests.push(request));
  const responses = [];
  page.on('response', (response) => responses.push(response));
  const shop = new Shop(page);
  await shop.checkout();
  await shop.card.fill({ ...GOOD, number: digits });
  // The page itself never sees a digit: not in its DOM, not in what it can read of the frame.
  expect(await page.content()).not.toContain(digits.slice(0, 12));
  expect(await shop.card.iframe.evaluate((frame) => frame.contentDocument === null)).toBe(true);
  await shop.pay.click();
  await shop.expectPaid();

  const vault = new URL(shop.demo.vault).origin;
  const tokenised = requests.filter((r) => r.method() === 'POST' && new URL(r.url()).pathname === '/v1/tokens');
  expect(tokenised.map((r) => new URL(r.url()).origin)).toEqual([vault]);
  // Sealed, the digits do not even show in the one request that carries them.
  for (const request of requests) {
    const text = request.url() + JSON.stringify(await request.allHeaders()) + (request.postData() ?? '');
    expect(text, request.url()).not.toContain(digits);
    expect(text, request.url()).not.toContain(btoa(digits).slice(0, 18));
  }
  for (const response of responses) {
    const body = await response.text().catch(() => '');
    expect(body, response.url()).not.toContain(digits);
  }
});

test('one click more does not charge twice', async ({ page }) => {
  const shop = new Shop(page);
  await shop.checkout();
  const before = (await book()).length;
  await shop.card.fill(GOOD);
  await shop.pay.dblclick();
  await page.evaluate(() => document.querySelector('#pay')?.click());
  await shop.expectPaid();
  expect((await book()).length).toBe(before + 1);
});

test('by keyboard alone', async ({ page }) => {
  const shop = new Shop(page);
  await shop.checkout();
  await shop.card.number.focus();
  await page.keyboard.type(GOOD.number);
  await page.keyboard.press('Tab');
  await expect(shop.card.expiry).toBeFocused();
  await page.keyboard.type(GOOD.expiry);
  await page.keyboard.press('Tab');
  await expect(shop.card.cvc).toBeFocused();
  await page.keyboard.press('Shift+Tab');
  await expect(shop.card.expiry).toBeFocused();
  await page.keyboard.press('Tab');
  await page.keyboard.type(GOOD.cvc);
  await page.keyboard.press('Tab');
  await expect(shop.pay).toBeFocused();
  await page.keyboard.press('Enter');
  await shop.expectPaid();
});

test('what somebody else ordered is as absent as what nobody did', async ({ page, browser }) => {
  const shop = new Shop(page);
  await shop.checkout();
  const other = await browser.newContext();
  for (const path of [`/checkout/${shop.orderId()}`, `/order-status/${shop.orderId()}`]) {
    const answer = await other.request.get(shop.demo.shop.replace('shop.localhost', '127.0.0.1') + path);
    expect(answer.status()).toBe(404);
  }
  await other.close();
});

test('two demos run side by side', async ({ page }) => {
  const [one, two] = demos();
  const before = [(await book(one)).length, (await book(two)).length];
  const second = new Shop(page, two);
  await second.checkout();
  await second.payWith(GOOD);
  await second.expectPaid();
  expect([(await book(one)).length, (await book(two)).length]).toEqual([before[0], before[1] + 1]);
});

function canary() {
  let body = '424242';
  while (body.length < 15) body += Math.floor(Math.random() * 10);
  const sum = [...body].reverse().reduce((total, c, i) => {
    const d = Number(c) * (i % 2 === 0 ? 2 : 1);
    return total + (d > 9 ? d - 9 : d);
  }, 0);
  return body + ((10 - (sum % 10)) % 10);
}
