/** The form is in the document from its first byte: it takes keys while the wasm is on its way, and nothing typed is lost. */
import { expect, test } from '@playwright/test';
import { CardFields, ENGINE } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

/** A page whose wasm arrives when `release` is called. */
async function withSlowWasm(page, use) {
  const [demo] = demos();
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route(ENGINE, async (route) => {
    await held;
    await route.continue();
  });
  const html = `<!doctype html><html lang="en"><title>A page</title><div id="card"></div>
<script src="${demo.vault}/v1/cardseal.js"></script>
<script>
  window.heard = [];
  window.cardseal = Cardseal('${demo.publishable_key}');
  window.card = cardseal.elements().create('card');
  card.on('ready', () => heard.push('ready'));
  card.on('change', ({ brand, complete }) => heard.push(complete ? 'complete' : brand));
  card.mount('#card');
</script></html>`;
  await serve({ '/': html }, async (port) => {
    // What is held back holds the load event back, too.
    await page.goto(`http://localhost:${port}/`, { waitUntil: 'domcontentloaded' });
    const card = new CardFields(page);
    await card.ready();
    await use(card, release);
  });
}

const isReady = (page) => expect.poll(() => page.evaluate('heard.includes("ready")')).toBe(true);

test('what is typed before the wasm arrives survives, with focus and caret, and is formatted', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    await card.expiry.pressSequentially('1240');
    await card.number.pressSequentially('4242424242424');
    // Between the second and the third digit.
    await card.number.evaluate((input) => input.setSelectionRange(2, 2));
    expect(await page.evaluate('heard')).toEqual([]);
    await expect(card.number).toHaveValue('4242424242424');
    release();
    await isReady(page);
    await expect(card.number).toHaveValue('4242 4242 4242 4');
    await expect(card.expiry).toHaveValue('12 / 40');
    await expect(card.number).toBeFocused();
    expect(await card.number.evaluate((input) => [input.selectionStart, input.selectionEnd])).toEqual([2, 2]);
    await expect.poll(() => page.evaluate('heard')).toContain('visa');
    await card.number.press('End');
    await card.number.pressSequentially('242');
    await card.cvc.pressSequentially('123');
    await expect.poll(() => page.evaluate('heard.at(-1)')).toBe('complete');
    expect(await page.evaluate(async () => (await cardseal.createToken(card)).token.id)).toMatch(/^tok_/);
  });
});

test('the wasm takes the elements over that are there', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    const body = card.frame.locator('body');
    // A property of the element itself: one made anew would not have it.
    await card.number.evaluate((input) => (input.wasHere = true));
    const before = await body.locator('*').count();
    release();
    await isReady(page);
    expect(await card.number.evaluate((input) => input.wasHere)).toBe(true);
    expect(await body.locator('*').count()).toBe(before);
    await card.number.pressSequentially('42');
    await expect(card.frame.locator('#number-brand')).toHaveText('Visa');
    await expect(card.frame.locator('#number-fault')).toBeHidden();
    await card.cvc.focus();
    await expect(card.frame.locator('#number-fault')).toHaveText(/whole card number/);
  });
});

test('a token asked for before the wasm arrives comes when it has', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    await card.number.pressSequentially('4242424242424242');
    await card.expiry.pressSequentially('1240');
    await card.cvc.pressSequentially('123');
    const token = page.evaluate(async () => (await cardseal.createToken(card)).token.id);
    release();
    expect(await token).toMatch(/^tok_/);
  });
});
