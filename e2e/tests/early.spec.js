/**
 * The form is ready before the wasm is: in its final look and words it takes keys, focus and every call, and nothing typed or
 * asked for is lost, whether the wasm comes late, or the plain script in its place, or neither.
 */
import { expect, test } from '@playwright/test';
import { CardFields, ENGINE, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

/** A page with a card form whose engine is handled by `route`. */
async function withRoute(page, route, use, options = {}) {
  const [demo] = demos();
  await page.route(ENGINE, route);
  const html = `<!doctype html><html lang="en"><title>A page</title>
<form method="post" action="/paid"><div id="card"></div><button>Pay</button></form>
<script src="${demo.vault}/v1/cardseal.js"></script>
<script>
  window.heard = [];
  window.cardseal = Cardseal('${demo.publishable_key}');
  window.card = cardseal.elements().create('card', ${JSON.stringify(options)});
  card.on('ready', () => heard.push('ready'));
  card.on('change', ({ brand, complete, empty }) => heard.push(complete ? 'complete' : empty ? 'empty' : brand));
  card.on('loaderror', ({ reason }) => heard.push(reason));
  card.mount('#card');
</script></html>`;
  await serve({ '/': html }, async (port) => {
    // What is held back holds the load event back, too.
    await page.goto(`http://localhost:${port}/`, { waitUntil: 'domcontentloaded' });
    const card = new CardFields(page);
    await expect.poll(() => page.evaluate('heard[0]')).toBeTruthy();
    await use(card);
  });
}

/** A page whose wasm arrives when `release` is called. */
async function withSlowWasm(page, use, options) {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const route = async (one) => {
    await held;
    await one.continue();
  };
  await withRoute(page, route, (card) => use(card, release), options);
}

/** The rules are there: this is what they answer. */
const isServed = (page) => expect.poll(() => page.evaluate('heard.at(-1)')).toBe('complete');
const token = (page) => page.evaluate(async () => (await cardseal.createToken(card)).token.id);

test('ready comes before the wasm; what is typed meanwhile survives, with focus and caret, and is formatted', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    expect(await page.evaluate('heard')).toEqual(['ready']);
    await card.expiry.pressSequentially('1240');
    await card.number.pressSequentially('4242424242424');
    // Between the second and the third digit.
    await card.number.evaluate((input) => input.setSelectionRange(2, 2));
    // That something is typed is known without the rules, once.
    expect(await page.evaluate('heard')).toEqual(['ready', 'unknown']);
    await expect(card.number).toHaveValue('4242424242424');
    release();
    await expect(card.number).toHaveValue('4242 4242 4242 4');
    await expect(card.expiry).toHaveValue('12 / 40');
    await expect(card.number).toBeFocused();
    expect(await card.number.evaluate((input) => [input.selectionStart, input.selectionEnd])).toEqual([2, 2]);
    await expect.poll(() => page.evaluate('heard')).toEqual(['ready', 'unknown', 'visa']);
    await card.number.press('End');
    await card.number.pressSequentially('242');
    await card.cvc.pressSequentially('123');
    await isServed(page);
    expect(await token(page)).toMatch(/^tok_/);
  });
});

test('the wasm takes the elements over that are there', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    const body = card.frame.locator('body');
    // A property of the element itself: one made anew would not have it.
    await card.number.evaluate((input) => (input.wasHere = true));
    const before = await body.locator('*').count();
    await card.number.press('4');
    release();
    await expect(card.frame.locator('#number-brand')).toHaveText('Visa');
    expect(await card.number.evaluate((input) => input.wasHere)).toBe(true);
    expect(await body.locator('*').count()).toBe(before);
    await card.number.pressSequentially('2');
    await expect(card.frame.locator('#number-fault')).toBeHidden();
    await card.cvc.focus();
    await expect(card.frame.locator('#number-fault')).toHaveText(/whole card number/);
  });
});

const DRESSED = {
  locale: 'de-AT',
  fields: { name: true, country: true, postalCode: true, saveCard: true },
  words: { save: 'Karte merken' },
  appearance: { theme: 'dark', variables: { borderRadius: '0px', colorPrimary: '#ff8800' }, rules: { '.Input': { borderWidth: '3px' } } },
};

test('at ready the form is as it will be: fields, words and look; the wasm moves nothing and takes no focus', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    const [number, name] = ['#number', '#name'].map((id) => card.frame.locator(id));
    await expect(card.frame.locator('label[for=number]')).toHaveText('Kartennummer');
    await expect(card.frame.locator('.save span')).toHaveText('Karte merken');
    await expect(card.frame.locator('label[for=postal]')).toHaveText('Postleitzahl');
    await expect(card.frame.locator('#country')).toHaveValue('AT');
    await expect(number).toHaveCSS('border-top-width', '3px');
    await name.focus();
    // The focus ring, and the height that the frame has asked for.
    await page.waitForTimeout(400);
    const shot = () => page.screenshot({ caret: 'hide', animations: 'disabled' });
    const boxes = () => card.frame.locator('body *').evaluateAll((all) => all.map((one) => [one.tagName, one.id, JSON.stringify(one.getBoundingClientRect())]));
    const before = [await boxes(), await shot()];
    await name.evaluate((input) => input.addEventListener('blur', () => (input.wasLeft = true)));
    await name.pressSequentially('A');
    const typed = await shot();
    expect(typed.equals(before[1]), 'a screenshot shows a letter').toBe(false);
    release();
    await page.evaluate(() => card.setError('Da.'));
    await expect(card.frame.locator('.message')).toHaveText('Da.');
    await page.evaluate(() => card.setError(null));
    await expect(card.frame.locator('.message')).toBeHidden();
    expect(await boxes()).toEqual(before[0]);
    await expect.poll(async () => (await shot()).equals(typed)).toBe(true);
    expect(await name.evaluate((input) => [input.value, input.wasLeft, document.activeElement === input])).toEqual(['A', undefined, true]);
  }, DRESSED);
});

test('the country that is picked before the wasm arrives is the one that counts', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    await card.frame.locator('#country').selectOption('GB');
    await card.frame.locator('#postal').fill('1010');
    release();
    await card.fill(GOOD);
    await card.frame.locator('#name').fill('A. Buyer');
    // Austria has four digits, the United Kingdom has not. Said when the field is left, once the rules are there.
    await expect(async () => {
      await card.frame.locator('#postal').focus();
      await card.frame.locator('#postal').blur();
      await expect(card.frame.locator('#postal-fault')).not.toBeEmpty({ timeout: 500 });
    }).toPass();
    await page.evaluate(() => card.update({ disabled: false }));
    await expect(card.frame.locator('#country')).toHaveValue('GB');
    await card.frame.locator('#postal').fill('SW1A 1AA');
    await isServed(page);
  }, { ...DRESSED, locale: 'en-AT' });
});

test('every call before the wasm arrives has its effect: at once, or when it has', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    await page.evaluate(() => card.focus());
    await expect(card.number).toBeFocused();
    await page.keyboard.type('4242');
    await page.evaluate(() => card.clear());
    await expect(card.number).toHaveValue('');
    expect(await page.evaluate('heard')).toEqual(['ready', 'unknown', 'empty']);
    await page.evaluate(() => card.blur());
    await expect(card.number).not.toBeFocused();
    await page.evaluate(() => card.update({ disabled: true, appearance: { variables: { colorText: '#ff0000' } } }));
    await expect(card.number).toBeDisabled();
    await expect(card.number).toHaveCSS('color', 'rgb(255, 0, 0)');
    await page.evaluate(() => card.update({ disabled: false }));
    await expect(card.number).toBeEnabled();
    await page.evaluate(() => card.setError('Later.'));
    await card.number.pressSequentially(GOOD.number);
    await card.expiry.pressSequentially(GOOD.expiry);
    // A call under way takes the place of what was said before it.
    const asked = page.evaluate(async () => (await cardseal.createToken(card)).error.code);
    await page.evaluate(() => card.setError('Last.'));
    release();
    expect(await asked).toBe('incomplete_cvc');
    await expect(card.frame.locator('.message')).toHaveText('Last.');
    await expect(card.number).toHaveValue('4242 4242 4242 4242');
    await expect(card.cvc).toBeFocused();
  });
});

test('a token asked for before the wasm arrives comes when it has', async ({ page }) => {
  await withSlowWasm(page, async (card, release) => {
    await card.number.pressSequentially('4242424242424242');
    await card.expiry.pressSequentially('1240');
    await card.cvc.pressSequentially('123');
    const asked = token(page);
    release();
    expect(await asked).toMatch(/^tok_/);
  });
});

test('a wasm that does not come: the plain script takes the form over, with what was typed and asked for', async ({ page }) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const route = async (one) => {
    await held;
    await (one.request().url().endsWith('.wasm') ? one.abort() : one.continue());
  };
  await withRoute(page, route, async (card) => {
    await card.number.pressSequentially(GOOD.number);
    await card.expiry.pressSequentially(GOOD.expiry);
    await card.cvc.pressSequentially(GOOD.cvc);
    const asked = token(page);
    release();
    expect(await asked).toMatch(/^tok_/);
    await expect(card.number).toHaveValue('');
    expect(await page.evaluate('heard.includes("complete")')).toBe(true);
  });
});

test('neither comes: loaderror after ready, what was asked for is answered, and mounting again may help', async ({ page }) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const route = async (one) => {
    await held;
    await one.abort();
  };
  await withRoute(page, route, async (card) => {
    expect(await page.evaluate('heard')).toEqual(['ready']);
    await card.number.pressSequentially('4242');
    const asked = page.evaluate(async () => (await cardseal.createToken(card)).error);
    release();
    const reason = await card.frame.locator('body').evaluate(() => (typeof WebAssembly === 'undefined' ? 'wasm_unavailable' : 'blocked'));
    expect(await asked).toMatchObject({ type: 'api_connection_error', code: reason });
    expect(await page.evaluate('heard')).toEqual(['ready', 'unknown', reason]);
    expect(await page.evaluate(async () => (await cardseal.createToken(card)).error.code)).toBe(reason);
    await page.unroute(ENGINE);
    await page.evaluate(() => void card.mount('#card'));
    await card.fill(GOOD);
    expect(await token(page)).toMatch(/^tok_/);
  });
});

test('a form without script whose card is typed before the wasm arrives is not sent without the card', async ({ page }) => {
  const [demo] = demos();
  await page.route(ENGINE, () => {});
  const html = `<!doctype html><html lang="en"><title>A page</title><script src="${demo.vault}/v1/cardseal.js"></script>
<form method="post" action="/paid"><cardseal-card id="card" publishable-key="${demo.publishable_key}"></cardseal-card><button>Pay</button></form>`;
  await serve({ '/': html, '/paid': 'paid' }, async (port) => {
    await page.goto(`http://localhost:${port}/`, { waitUntil: 'domcontentloaded' });
    const card = new CardFields(page);
    await card.number.pressSequentially('4242424242424242');
    await page.waitForTimeout(300);
    const sent = [];
    page.on('request', (request) => request.method() === 'POST' && sent.push(request.url()));
    await page.getByRole('button').click();
    await page.waitForTimeout(500);
    expect(sent).toEqual([]);
    // An empty one that is not required is left out, as at any time.
    await card.number.fill('');
    await page.waitForTimeout(300);
    expect(new URL(page.url()).pathname).toBe('/');
  });
});
