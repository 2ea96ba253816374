/** The test driver that merchants' QA has: fills and tells facts, for test keys, and never a value. */
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

/** Only known once the setup has run, which is after this file is read. */
const demo = () => demos()[0];

for (const [name, mount] of [
  ['a mounted element', () => '<div id="card"></div><script>cardseal.elements().create("card").mount("#card")</script>'],
  ['<cardseal-card>', () => `<form method="post"><cardseal-card id="card" publishable-key="${demo().publishable_key}"></cardseal-card><button id="pay">Pay</button></form>`],
]) {
  test(`it fills ${name}, tells its facts, and gives no value back`, async ({ page }) => {
    await withPage(page, mount(), async (card) => {
      await expect.poll(() => card.state()).toMatchObject({ ready: true });
      const put = await card.put({ ...GOOD, cvc: '12' });
      await expect(card.number).toHaveValue('4242 4242 4242 4242');
      await expect.poll(() => card.state()).toMatchObject({ empty: false, complete: false, brand: 'visa', error: { code: 'incomplete_cvc' } });
      await card.put({ cvc: '123' });
      await expect.poll(() => card.state()).toMatchObject({ complete: true });
      const facts = await card.state();
      expect(facts.error).toBeUndefined();
      expect(Object.keys(facts).sort()).toEqual(['bin', 'brand', 'brands', 'complete', 'empty', 'error', 'network', 'networks', 'ready'].filter((fact) => fact in facts));
      expect(JSON.stringify([put, facts])).not.toMatch(/4242|1240|123/);
    });
  });
}

test('a form of a live key does not listen, neither on the page nor in the frame', async ({ page }) => {
  const live = 'pk_live_Cardseal0Demo0Publishable0Key000Q2Mpv1';
  // The demo has no live vault: the frame's document is the same for every key, so it is served under a live one here.
  await page.route('**/v1/frame?*', async (route) => {
    const url = route.request().url().replace(live, demo().publishable_key);
    const document = await fetch(url.replace(new URL(url).origin, `http://127.0.0.1:${new URL(url).port}`));
    await route.fulfill({ body: await document.text(), contentType: 'text/html', headers: { 'content-security-policy': document.headers.get('content-security-policy') } });
  });
  const tap = `<script>
    const Channel = MessageChannel;
    window.MessageChannel = function () { const made = new Channel(); window.port = made.port1; return made; };
  </script>`;
  await withPage(page, `${tap}<div id="card"></div><script>Cardseal('${live}').elements().create('card').on('ready', () => (window.ready = true)).mount('#card')</script>`, async (card) => {
    await expect.poll(() => page.evaluate('window.ready')).toBe(true);
    expect(await card.state()).toBe(null);
    await card.put(GOOD);
    await page.evaluate((fields) => port.postMessage({ to: 'frame', type: 'fill', fields }), GOOD);
    // The same port carries what is allowed, later: the fill was read before it.
    await page.evaluate(() => port.postMessage({ to: 'frame', type: 'error', message: 'Carried.' }));
    await expect(card.frame.locator('.message')).toHaveText('Carried.');
    for (const field of ['number', 'expiry', 'cvc']) await expect(card[field]).toHaveValue('');
  });
});

async function withPage(page, body, use) {
  const html = `<!doctype html><html lang="en"><title>A page</title><script src="${demo().vault}/v1/cardseal.js"></script>
<script>window.cardseal = Cardseal('${demo().publishable_key}')</script>${body}</html>`;
  await serve({ '/': html }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await use(card);
  });
}
