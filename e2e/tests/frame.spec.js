/** The frame's walls: its headers, who may embed it, and what a page is told when it may not. */
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { Shop, demos } from '../pages/shop.js';

test('the document is served under a strict policy', async ({ page }) => {
  const violations = [];
  page.on('console', (message) => /content security policy|trusted type/i.test(message.text()) && violations.push(message.text()));
  const documents = [];
  page.on('response', (response) => new URL(response.url()).pathname === '/v1/frame' && documents.push(response));
  const shop = new Shop(page);
  await shop.checkout();
  await shop.payWith(GOOD);
  await shop.expectPaid();
  expect(violations).toEqual([]);
  const headers = await documents[0].allHeaders();
  const policy = headers['content-security-policy'];
  expect(policy).toContain("default-src 'none'");
  expect(policy).toMatch(/script-src ('sha256-[^']+' )+'wasm-unsafe-eval'(;|$)/);
  expect(policy).toMatch(/style-src 'sha256-[^']+'/);
  expect(policy).toContain("connect-src 'self'");
  expect(policy).toContain(`frame-ancestors ${new URL(shop.demo.shop).origin};`);
  expect(policy).toContain("require-trusted-types-for 'script'");
  expect(policy).not.toMatch(/unsafe-inline|'unsafe-eval'|\*/);
  expect(headers['strict-transport-security']).toBe('max-age=63072000; includeSubDomains; preload');
  expect(headers['x-content-type-options']).toBe('nosniff');
  // Before the document is here the browser asks for what it will start.
  expect(headers.link).toMatch(/^<assets\/checkout-wasm-[0-9a-f]+\.wasm>; rel=preload; as=fetch; type="application\/wasm"; crossorigin$/);
  expect(await page.context().cookies(shop.demo.vault)).toEqual([]);
});

test('the script for browsers without WebAssembly is fetched by no other', async ({ page }) => {
  const fetched = [];
  page.on('request', (request) => fetched.push(new URL(request.url()).pathname));
  const shop = new Shop(page);
  await shop.checkout();
  await shop.card.fill(GOOD);
  // Once: what the header asked for is what the script takes.
  expect(fetched.filter((path) => path.includes('/checkout-wasm-'))).toHaveLength(1);
  expect(fetched.filter((path) => path.includes('/plain-'))).toEqual([]);
});

test('an origin that is not registered is refused, and the page is told', async ({ page }) => {
  const [demo] = demos();
  await serve({ '/': snippet(demo) }, async (port) => {
    await page.goto(`http://evil.localhost:${port}/`);
    await expect(page.locator('#said')).toContainText('origin_not_allowed', { timeout: 20_000 });
    await expect(new CardFields(page).number).toHaveCount(0);
  });
});

test('the snippet works in an empty page on any localhost port', async ({ page }) => {
  const [demo] = demos();
  await serve({ '/': snippet(demo) }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await expect(page.locator('#said')).toContainText(/^tok_/);
  });
});

test('the network goes away before Pay, and comes back', async ({ page, context }) => {
  const shop = new Shop(page);
  await shop.checkout();
  await shop.card.fill(GOOD);
  await context.setOffline(true);
  await shop.pay.click();
  await expect(shop.message).not.toBeEmpty();
  await expect(shop.pay).toBeEnabled();
  await context.setOffline(false);
  await shop.payWith(GOOD);
  await shop.expectPaid();
});

function snippet(demo) {
  return `<!doctype html><title>A page</title>
<div id="card"></div><button id="pay">Pay</button><p id="said"></p>
<script src="${demo.vault}/v1/cardseal.js"></script>
<script>
  const said = document.querySelector('#said');
  const cardseal = Cardseal('${demo.publishable_key}');
  const card = cardseal.elements().create('card');
  card.on('loaderror', (event) => { said.textContent = event.reason; });
  card.mount('#card');
  document.querySelector('#pay').addEventListener('click', async () => {
    const { token, error } = await cardseal.createToken(card);
    said.textContent = token ? token.id : error.code;
  });
</script>`;
}
