/** The holder's name, the postal code and the checkbox as fields of a split form, each in a frame of its own. */
import { expect, test } from '@playwright/test';
import AxeBuilder from '@axe-core/playwright';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { drive } from '../pages/driver.js';
import { withForm } from '../pages/form.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';
import { SplitFields } from '../pages/split-fields.js';

const PLACES = { cardNumber: '#number', cardExpiry: '#expiry', cardCvc: '#cvc', cardName: '#name', postalCode: '#postal', saveCard: '#save' };
const ADA = { ...GOOD, name: 'Ada Lovelace', postal: '94107' };

/**
 * A page with six fields, `options` to each by its type, `group` to all; `heard` holds what they said as `type:event`, `last`
 * each one's last `change`.
 */
const html = (group, options) => `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page</title><link rel="icon" href="data:,"><style>body { margin: 16px } .place { margin: 8px }</style>
<main><h1>Pay</h1><input id="before" aria-label="Before">
${Object.values(PLACES).map((place) => `<div class="place" id="${place.slice(1)}"></div>`).join('')}
<input id="after" aria-label="After"></main>
<script src="${demos()[0].vault}/v1/cardseal.js"></script>
<script>
  window.cardseal = Cardseal('${demos()[0].publishable_key}');
  window.places = ${JSON.stringify(PLACES)};
  window.heard = [];
  window.last = {};
  window.group = cardseal.elements(${JSON.stringify(group)});
  window.fields = {};
  const options = ${JSON.stringify(options)};
  for (const [type, place] of Object.entries(places)) {
    const field = (fields[type] = group.create(type, options[type]));
    for (const event of ['ready', 'change', 'focus', 'blur', 'escape', 'submit', 'loaderror']) {
      field.on(event, (detail) => {
        heard.push(detail.elementType + ':' + event);
        if (event == 'change') last[type] = detail;
      });
    }
    field.mount(place);
  }
  window.pay = (type = 'cardNumber', data) => cardseal.createToken(fields[type], data);
</script></html>`;

async function withFields(page, { group = {}, ...options }, use) {
  await serve({ '/': html(group, options) }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    await expect.poll(() => page.evaluate(`heard.filter((one) => one.endsWith(':ready')).length`)).toBe(6);
    await use(new SplitFields(page));
  });
}

const pay = (page, ...given) => page.evaluate((given) => window.pay(...given), given);
const changeOf = (page, type) => page.evaluate((type) => window.last[type], type);

test('they are labelled, hinted and described for people, browsers and assistive technology', async ({ page }, info) => {
  await withFields(page, { postalCode: { country: 'GB' } }, async (card) => {
    await expect(card.name).toHaveAccessibleName('Name on card');
    await expect(card.postal).toHaveAccessibleName('Postcode');
    await expect(card.save).toHaveAccessibleName('Save this card for future payments');
    expect(await card.name.getAttribute('autocomplete')).toBe('cc-name');
    expect(await card.postal.getAttribute('autocomplete')).toBe('postal-code');
    for (const input of [card.name, card.postal]) expect(await input.getAttribute('inputmode')).toBe('text');
    await expect(card.save).not.toBeChecked();
    // What the buyer agrees to stands beside the box and is part of it.
    await card.frames.save.getByText('Save this card for future payments').click();
    await expect(card.save).toBeChecked();
    const box = await card.save.boundingBox();
    expect(Math.min(box.width, box.height)).toBeGreaterThanOrEqual(24);
    for (const [field, title] of [['name', 'Secure card name form'], ['postal', 'Secure postal code form'], ['save', 'Secure save card form']]) {
      await expect(page.locator(`#${field} iframe`)).toHaveAttribute('title', title);
      await expect(card.frames[field].getByRole('form', { name: /^(Name on card|Postcode|Save this card)/ })).toHaveCount(1);
    }
    await card.fill({ name: '4242', postal: '94107' });
    await page.locator('#after').focus();
    await expect.poll(() => card.isInvalid('postal')).toBe(true);
    await page.screenshot({ path: `screenshots/split-extras-${info.project.name}.png` });
    const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze();
    expect(violations.map(({ id, nodes }) => [id, ...nodes.map(({ target }) => target.join(' '))])).toEqual([]);
  });
});

test('what is missing or wrong is said at its field, which gets the focus, in tab order', async ({ page }) => {
  await withFields(page, { postalCode: { country: 'US' } }, async (card) => {
    await card.fill(GOOD);
    expect((await pay(page)).error).toMatchObject({ type: 'validation_error', code: 'incomplete_name', message: 'Enter the name as it is on the card.' });
    await expect(card.name).toBeFocused();
    expect(await card.isInvalid('name')).toBe(true);
    expect(await card.errorOf('name')).toBe('Enter the name as it is on the card.');
    expect((await changeOf(page, 'cardName')).error.code).toBe('incomplete_name');
    expect((await changeOf(page, 'postalCode')).error.code).toBe('incomplete_postal_code');
    expect((await changeOf(page, 'cardNumber')).error).toBeUndefined();
    // A number is no name.
    await card.name.fill('4242 4242 4242 4242');
    await card.name.blur();
    await expect.poll(async () => (await changeOf(page, 'cardName')).error.code).toBe('invalid_name');
    await card.name.fill('Ada Lovelace');
    await expect.poll(() => card.isInvalid('name')).toBe(false);
    expect(await changeOf(page, 'cardName')).toMatchObject({ empty: false, complete: true });
    await card.postal.fill('SW1A 1AA');
    expect((await pay(page, 'saveCard')).error.code).toBe('invalid_postal_code');
    await expect(card.postal).toBeFocused();
    expect(await card.errorOf('postal')).toBe('Enter a valid postal code.');
    // The country is the page's to say, of this field or of all.
    await page.evaluate(() => fields.postalCode.update({ country: 'GB' }));
    await expect.poll(() => card.isInvalid('postal')).toBe(false);
    await expect(card.postal).toHaveAccessibleName('Postcode');
    await page.evaluate(() => group.update({ country: 'DE' }));
    await expect(card.postal).toHaveAttribute('inputmode', 'numeric');
    await card.postal.blur();
    await expect.poll(() => card.isInvalid('postal')).toBe(true);
    // Where there are no postal codes none is missed.
    await page.evaluate(() => group.update({ country: 'HK' }));
    await card.postal.fill('');
    expect((await pay(page)).token.id).toMatch(/^tok_/);
  });
});

test('what they hold goes into the token as from one frame', async ({ page }) => {
  // What is sealed is seen where it is sealed: in the vault's own frame.
  await page.addInitScript(() => {
    const { encrypt } = SubtleCrypto.prototype;
    SubtleCrypto.prototype.encrypt = function (algorithm, key, data) {
      window.sealed = new TextDecoder().decode(data);
      return encrypt.call(this, algorithm, key, data);
    };
  });
  const sealed = (layout) => page.frames().find((frame) => frame.url().includes(`layout=${layout}&`)).evaluate('window.sealed');
  let split;
  await withFields(page, { postalCode: { country: 'US' } }, async (card) => {
    await card.fill({ ...ADA, postal: '٩٤١٠٧' });
    const { token } = await pay(page, 'cardName', { name: 'Of the page' });
    expect(token.save_card).toBe(false);
    split = await sealed('split');
    expect(JSON.parse(split)).toEqual({
      number: '4242424242424242', exp_month: 12, exp_year: 2040, cvc: '123', name: 'Ada Lovelace', postal_code: '94107', country: 'US',
    });
    // Number and code are wiped, the rest is the buyer's for the next try.
    await expect(card.number).toHaveValue('');
    await expect(card.name).toHaveValue('Ada Lovelace');
    await card.fill({ ...GOOD, save: true });
    await expect.poll(async () => (await changeOf(page, 'saveCard'))?.empty).toBe(false);
    expect(await changeOf(page, 'saveCard')).toMatchObject({ complete: true });
    expect((await pay(page, 'saveCard')).token.save_card).toBe(true);
  });
  await withForm({ fields: { name: true, postalCode: true, saveCard: true }, country: 'US' }, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.frame.locator('#name').fill('Ada Lovelace');
    await card.frame.locator('#postal').fill('94107');
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await expect.poll(() => page.evaluate('window.result?.token?.save_card')).toBe(false);
    expect(await sealed('card')).toBe(split);
  });
});

test('a field that is taken away is not asked for any more, and asked for again once it is back', async ({ page }) => {
  await withFields(page, { postalCode: { country: 'US' } }, async (card) => {
    await card.fill({ ...ADA, postal: '' });
    // In one go: what is asked next is asked of the form without the field.
    const [without, error] = await page.evaluate(async () => {
      fields.postalCode.unmount();
      fields.saveCard.destroy();
      const { token, error } = await pay();
      return [token, error];
    });
    expect(error).toBeUndefined();
    expect(without).not.toHaveProperty('save_card');
    await page.evaluate(() => fields.postalCode.mount('#postal'));
    await expect(card.postal).toHaveAccessibleName('ZIP code');
    await expect.poll(() => page.evaluate(`heard.filter((one) => one == 'postalCode:ready').length`)).toBe(2);
    await card.fill(GOOD);
    expect((await pay(page)).error.code).toBe('incomplete_postal_code');
    await card.postal.fill('94107');
    expect((await pay(page)).token.id).toMatch(/^tok_/);
  });
});

test('each has its verbs and events, and its options are its own', async ({ page }) => {
  const options = { cardName: { disabled: true }, saveCard: { appearance: { theme: 'dark' } }, cardNumber: { allowedBrands: ['visa'] } };
  await withFields(page, options, async (card) => {
    await expect(card.name).toBeDisabled();
    for (const field of ['number', 'postal', 'save']) await expect(card[field]).toBeEnabled();
    await expect(card.frames.save.locator(':root')).toHaveAttribute('data-theme', 'dark');
    await expect(card.frames.name.locator(':root')).toHaveAttribute('data-theme', 'light');
    await page.evaluate(() => fields.cardName.update({ disabled: false }));
    await expect(card.name).toBeEnabled();
    // What another field was asked for stays.
    await card.number.pressSequentially('5555');
    await expect.poll(async () => (await changeOf(page, 'cardNumber')).error?.code).toBe('brand_not_allowed');
    await page.evaluate(() => fields.postalCode.focus());
    await expect(card.postal).toBeFocused();
    await page.evaluate(() => fields.postalCode.blur());
    await expect(card.postal).not.toBeFocused();
    await card.fill({ name: 'Ada', save: true });
    await page.evaluate(() => {
      fields.cardName.clear();
      fields.saveCard.clear();
    });
    await expect(card.name).toHaveValue('');
    await expect(card.save).not.toBeChecked();
    await expect(card.number).toHaveValue('5555');
    await expect.poll(async () => (await changeOf(page, 'saveCard')).empty).toBe(true);
    await card.save.press('Enter');
    await card.name.press('Escape');
    await expect.poll(() => page.evaluate(`heard.filter((one) => /submit|escape/.test(one))`)).toEqual(['saveCard:submit', 'cardName:escape']);
    expect(await page.evaluate(`['focus', 'blur'].map((event) => heard.includes('postalCode:' + event))`)).toEqual([true, true]);
  });
});

test('Tab goes through all six, and Shift-Tab back; the space bar ticks', async ({ page }) => {
  await withFields(page, {}, async (card) => {
    const order = [card.number, card.expiry, card.cvc, card.name, card.postal, card.save];
    await page.locator('#before').focus();
    for (const next of [...order, page.locator('#after')]) {
      await page.keyboard.press('Tab');
      await expect(next).toBeFocused();
    }
    for (const next of [...order.reverse(), page.locator('#before')]) {
      await page.keyboard.press('Shift+Tab');
      await expect(next).toBeFocused();
      if (next === card.save) await page.keyboard.press('Space');
    }
    await expect(card.save).toBeChecked();
  });
});

test('they speak the buyer’s language and the page’s words, and turn round', async ({ page }, info) => {
  const group = { locale: 'ar', appearance: { theme: 'dark' }, words: { save: 'احفظ البطاقة عند متجرنا' } };
  await withFields(page, { group }, async (card) => {
    for (const field of ['name', 'postal', 'save']) {
      await expect(card.frames[field].locator(':root')).toHaveAttribute('dir', 'rtl');
      await expect(card.frames[field].locator(':root')).toHaveAttribute('lang', 'ar');
      await expect(card.frames[field].locator(':root')).toHaveAttribute('data-theme', 'dark');
      await expect(card.frames[field].locator(':root')).not.toHaveAttribute('data-loading');
    }
    await expect(card.name).toHaveAccessibleName('الاسم على البطاقة');
    await expect(card.save).toHaveAccessibleName('احفظ البطاقة عند متجرنا');
    // The box stands where reading begins.
    const [box, text] = await Promise.all([card.save.boundingBox(), card.frames.save.getByText('احفظ البطاقة').boundingBox()]);
    expect(box.x).toBeGreaterThan(text.x + text.width / 2);
    await page.evaluate(() => (document.body.style.background = '#11161d'));
    await page.screenshot({ path: `screenshots/split-extras-rtl-${info.project.name}.png` });
    await page.evaluate(() => group.update({ locale: 'de', words: {} }));
    await expect(card.name).toHaveAccessibleName('Name auf der Karte');
    await expect(card.frames.save.locator(':root')).toHaveAttribute('dir', 'ltr');
  });
});

test('a language that is on its way does not flash English before it', async ({ page }) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route(/words-.*\.json/, async (route) => {
    await held;
    await route.continue();
  });
  await withFields(page, { group: { locale: 'fr' } }, async (card) => {
    await expect(card.frames.save.locator(':root')).toHaveAttribute('data-loading', '');
    await card.name.pressSequentially('Ada');
    await expect(card.name).toHaveValue('Ada');
    release();
    await expect(card.frames.save.locator(':root')).not.toHaveAttribute('data-loading');
    await expect(card.save).toHaveAccessibleName('Enregistrer cette carte pour de futurs paiements');
  });
});

test('the test driver fills and ticks them', async ({ page }) => {
  await withFields(page, { postalCode: { country: 'US' } }, async (card) => {
    const put = (place, fill) => page.locator(place).evaluate(drive, { fill });
    await put('#number', { number: GOOD.number, expiry: GOOD.expiry, cvc: GOOD.cvc, name: 'Ada Lovelace', postal: '94107', save: true });
    await expect(card.name).toHaveValue('Ada Lovelace');
    await expect(card.save).toBeChecked();
    await expect.poll(() => page.locator('#postal').evaluate(drive)).toMatchObject({ ready: true, empty: false, complete: true });
    expect((await pay(page)).token).toMatchObject({ save_card: true });
    await put('#save', { save: false });
    await expect(card.save).not.toBeChecked();
  });
});

test('leaving the page forgets what was typed into them', async ({ page }) => {
  await withFields(page, {}, async (card) => {
    await card.fill({ name: 'Ada Lovelace', postal: '94107', save: true });
    for (const field of ['name', 'postal', 'save']) await card.frames[field].locator(':root').evaluate(() => dispatchEvent(new Event('pagehide')));
    for (const field of ['name', 'postal']) await expect(card[field]).toHaveValue('');
    await expect(card.save).not.toBeChecked();
  });
});
