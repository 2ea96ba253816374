/**
 * The card form where there is no WebAssembly (iOS Lockdown Mode, hardened browsers). What a buyer does there is what the
 * other suites of this project do; here is what is its own: that it is the plain script, under the same policy.
 */
import { expect, test } from '@playwright/test';
import { CardFields, ENGINE, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { Shop, demos } from '../pages/shop.js';

/** A page that says how it went: `window.said` is a token's id, an error's code or why the form did not load. */
const html = () => `<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">
<div id="card"></div><script src="${demos()[0].vault}/v1/cardseal.js"></script>
<script>
  const cardseal = Cardseal('${demos()[0].publishable_key}');
  window.card = cardseal.elements().create('card').on('loaderror', ({ reason }) => (window.said = reason)).mount('#card');
  window.pay = async () => {
    const { token, error } = await cardseal.createToken(card);
    window.said = token?.card.last4 ?? error.code;
  };
</script></html>`;

test('there is none here; the plain script runs under the same policy, and breaks no rule of it', async ({ page }) => {
  const violations = [];
  page.on('console', (message) => violations.push(message.text()));
  page.on('pageerror', (error) => violations.push(String(error)));
  const fetched = [];
  page.on('request', (request) => ENGINE.test(request.url()) && fetched.push(new URL(request.url()).pathname));
  await serve({ '/': html() }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.fill(GOOD);
    expect(await card.frame.locator('body').evaluate(() => typeof WebAssembly)).toBe('undefined');
    await page.evaluate('pay()');
    expect(await page.evaluate('said')).toBe('4242');
    // Number and code have done their work.
    await expect(card.number).toHaveValue('');
    await expect(card.cvc).toHaveValue('');
  });
  expect(violations).toEqual([]);
  // The preload of the wasm comes with the document.
  expect(fetched.filter((path) => path.includes('plain'))).toHaveLength(1);
});

test('a changed script does not run, and the page is told', async ({ page }) => {
  await page.route(/\/v1\/assets\/plain-/, (route) => route.fulfill({ contentType: 'text/javascript', body: 'top.location = "about:blank";' }));
  await serve({ '/': html() }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    await page.waitForFunction('window.said');
    expect(await page.evaluate('said')).toBe('wasm_unavailable');
  });
});

test('from the shop to paid, by keyboard alone', async ({ page }) => {
  const shop = new Shop(page);
  await shop.checkout();
  await shop.card.number.focus();
  for (const [field, keys] of [['number', GOOD.number], ['expiry', GOOD.expiry], ['cvc', GOOD.cvc]]) {
    await expect(shop.card[field]).toBeFocused();
    await page.keyboard.type(keys);
    await page.keyboard.press('Tab');
  }
  await expect(shop.pay).toBeFocused();
  await page.keyboard.press('Enter');
  await shop.expectPaid();
});
