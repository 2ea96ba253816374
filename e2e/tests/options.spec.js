/** What a page may ask the form for: networks of a co-badge, optional fields, allowed brands, languages, its own words. */
import { expect, test } from '@playwright/test';
import { expectNoFindings } from '../pages/axe.js';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { withForm } from '../pages/form.js';

const CO_BADGED = { ...GOOD, number: '4000002500001001' };

const shot = (page, info, name) =>
  page.screenshot({ path: `screenshots/options-${info.project.name}-${name}.png`, fullPage: true });

/** Runs `use(card)` on a page with the form. */
async function on(page, options, use) {
  await withForm(options, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.frame.locator('#number').waitFor();
    await page.waitForFunction('window.facts !== undefined || window.card');
    await use(card);
  });
}

async function pay(page, press = {}) {
  await page.evaluate('(window.result = undefined)');
  await page.locator('#pay').click(press);
  await page.waitForFunction('window.result !== undefined');
  return page.evaluate('window.result');
}

test('the network of a co-badged card is a free choice, and in the token', async ({ page }, info) => {
  await on(page, {}, async (card) => {
    const group = card.frame.getByRole('group', { name: 'Pay with' });
    await card.fill(GOOD);
    await expect(group).toHaveCount(0);
    await card.fill(CO_BADGED);
    await expect(group).toBeVisible();
    const visa = group.getByRole('radio', { name: 'Visa' });
    const cb = group.getByRole('radio', { name: 'Cartes Bancaires' });
    // EU 2015/751 art. 8: neither is favoured.
    await expect(visa).not.toBeChecked();
    await expect(cb).not.toBeChecked();
    const [a, b] = [await visa.boundingBox(), await cb.boundingBox()];
    expect([a.width, a.height]).toEqual([b.width, b.height]);
    expect(Math.min(a.width, a.height)).toBeGreaterThanOrEqual(24);
    await expectNoFindings(page);
    await shot(page, info, 'networks');
    expect((await page.evaluate('offers')).at(-1)).toMatchObject({ networks: ['visa', 'cartes_bancaires'], network: null });
    // Without a choice the card is taken all the same.
    expect((await pay(page)).token.card.networks).toEqual({ available: ['visa', 'cartes_bancaires'], preferred: null });

    // Number and code went with the token.
    await card.fill(CO_BADGED);
    // By the keyboard alone: Tab from the number into the group, arrows within.
    await card.number.focus();
    await page.keyboard.press('Tab');
    await expect(visa).toBeFocused();
    await page.keyboard.press('ArrowDown');
    await expect(cb).toBeChecked();
    expect((await page.evaluate('offers')).at(-1)).toMatchObject({ network: 'cartes_bancaires' });
    const { token } = await pay(page);
    expect(token.card.networks.preferred).toBe('cartes_bancaires');
    // Changed again: the last word counts.
    await card.fill(CO_BADGED);
    await visa.check();
    expect((await pay(page)).token.card.networks.preferred).toBe('visa');
    await card.fill(GOOD);
    await expect(group).toHaveCount(0);
  });
});

test('a preferred network is chosen beforehand, and the buyer may change it', async ({ page }) => {
  await on(page, { preferredNetwork: ['cartes_bancaires'] }, async (card) => {
    await card.fill(CO_BADGED);
    const group = card.frame.getByRole('group', { name: 'Pay with' });
    await expect(group.getByRole('radio', { name: 'Cartes Bancaires' })).toBeChecked();
    await group.getByRole('radio', { name: 'Visa' }).check();
    expect((await pay(page)).token.card.networks.preferred).toBe('visa');
  });
});

test('fields that are not asked for are not there; those that are have names and rules', async ({ page }, info) => {
  await on(page, {}, async (card) => {
    for (const id of ['name', 'postal', 'country', 'save']) await expect(card.frame.locator(`#${id}`)).toHaveCount(0);
  });
  const fields = { name: true, postalCode: true, saveCard: true };
  await on(page, { fields, country: 'GB' }, async (card) => {
    const name = card.frame.getByRole('textbox', { name: 'Name on card' });
    const postal = card.frame.getByRole('textbox', { name: 'Postcode' });
    const save = card.frame.getByRole('checkbox', { name: /Save this card/ });
    expect(await name.getAttribute('autocomplete')).toBe('cc-name');
    expect(await postal.getAttribute('autocomplete')).toBe('postal-code');
    expect(await postal.getAttribute('inputmode')).toBe('text');
    await expect(save).not.toBeChecked();
    await card.fill(GOOD);
    // A press lasts, as a person's does: before the click is heard, the frame has heard that the focus left it.
    expect((await pay(page, { delay: 80 })).error.code).toBe('incomplete_name');
    await expect(name).toBeFocused();
    await expect(name).toHaveAttribute('aria-invalid', 'true');
    await expectNoFindings(page);
    await shot(page, info, 'fields-errors');
    await name.fill('Ada Lovelace');
    await postal.fill('94107');
    await postal.blur();
    await expect(postal).toHaveAttribute('aria-invalid', 'true');
    await expect(card.frame.locator('#postal-fault')).toHaveText('Enter a valid postal code.');
    await postal.fill('SW1A 1AA');
    await expect(postal).toHaveAttribute('aria-invalid', 'false');
    const first = await pay(page);
    expect(first.token.save_card).toBe(false);
    await card.fill(GOOD);
    await save.check();
    expect((await pay(page)).token.save_card).toBe(true);
    await shot(page, info, 'fields');
    // And off again.
    await page.evaluate(() => window.card.update({ fields: {} }));
    for (const id of ['name', 'postal', 'save']) await expect(card.frame.locator(`#${id}`)).toHaveCount(0);
    await card.fill(GOOD);
    expect((await pay(page)).token.save_card).toBeUndefined();
  });
});

test('the country is picked from a list in the buyer’s language and sets the rule', async ({ page }, info) => {
  await on(page, { fields: { country: true, postalCode: true }, country: 'US', locale: 'de' }, async (card) => {
    const country = card.frame.getByRole('combobox', { name: 'Land oder Region' });
    await expect(country).toHaveValue('US');
    await expect(country.locator('option:checked')).toHaveText('Vereinigte Staaten');
    const postal = card.frame.getByRole('textbox', { name: 'Postleitzahl' });
    await postal.fill('SW1A 1AA');
    await postal.blur();
    await expect(postal).toHaveAttribute('aria-invalid', 'true');
    await country.selectOption('GB');
    await expect(postal).toHaveAttribute('aria-invalid', 'false');
    await expectNoFindings(page);
    await shot(page, info, 'country');
  });
});

for (const [locale, label, postalLabel, good, bad] of [
  ['en-US', 'Card number', 'ZIP code', '94107', 'SW1A 1AA'],
  ['en-GB', 'Card number', 'Postcode', 'SW1A 1AA', '94107'],
  ['de-DE', 'Kartennummer', 'Postleitzahl', '10115', '1011'],
  ['pt-BR', 'Número do cartão', 'CEP', '01310-100', '0131'],
  ['ja-JP', 'カード番号', '郵便番号', '100-0001', '1000'],
]) {
  test.describe(locale, () => {
    test.use({ locale });
    test('the buyer’s locale sets language and postal rule', async ({ page }) => {
      await on(page, { locale: 'auto', fields: { postalCode: true } }, async (card) => {
        await expect(card.frame.getByRole('textbox', { name: label })).toBeVisible();
        const postal = card.frame.getByRole('textbox', { name: postalLabel });
        for (const [code, wrong] of [[bad, 'true'], [good, 'false']]) {
          await postal.fill(code);
          await postal.blur();
          await expect(postal).toHaveAttribute('aria-invalid', wrong);
        }
        const lang = await card.frame.locator(':root').getAttribute('lang');
        expect(locale.startsWith(lang.slice(0, 2))).toBe(true);
      });
    });
  });
}

test('right to left: labels and errors turn round, digits do not', async ({ page }, info) => {
  const fields = { name: true, saveCard: true };
  await on(page, { locale: 'ar', fields }, async (card) => {
    const number = card.frame.getByRole('textbox', { name: 'رقم البطاقة' });
    await expect(card.frame.locator(':root')).toHaveAttribute('dir', 'rtl');
    await number.pressSequentially('٤٠٠٠٠٠٢٥٠٠٠٠١٠٠١');
    await expect(number).toHaveValue('4000 0025 0000 1001');
    expect(await number.evaluate((input) => getComputedStyle(input).direction)).toBe('ltr');
    await page.locator('#pay').click();
    await expect(card.frame.locator('#expiry-fault')).toHaveText('أدخل تاريخ الانتهاء بالشهر والسنة.');
    await expectNoFindings(page);
    await shot(page, info, 'rtl');
    // The badge stands at the other end of the number, and covers none of it.
    const badge = await card.frame.locator('.brand').boundingBox();
    const input = await number.boundingBox();
    expect(badge.x - input.x).toBeLessThan(input.width / 2);
  });
});

test('the page’s own words stand above every language', async ({ page }) => {
  const words = { number: 'Numéro à 16 chiffres', incomplete_number: 'Il manque des chiffres.' };
  await on(page, { locale: 'fr', words }, async (card) => {
    await expect(card.frame.getByRole('textbox', { name: 'Numéro à 16 chiffres' })).toBeVisible();
    await expect(card.frame.getByRole('textbox', { name: 'Code de sécurité' })).toBeVisible();
    await page.locator('#pay').click();
    await expect(card.frame.locator('#number-fault')).toHaveText('Il manque des chiffres.');
    await page.evaluate(() => window.card.update({ locale: 'en', words: {} }));
    await expect(card.frame.getByRole('textbox', { name: 'Card number' })).toBeVisible();
    await expect(card.frame.locator('#number-fault')).toHaveText('Enter the whole card number.');
  });
});

test('a language that cannot be fetched leaves English', async ({ page }) => {
  await page.route(/words-.*\.json/, (route) => route.abort());
  await on(page, { locale: 'fr' }, async (card) => {
    await expect(card.frame.getByRole('textbox', { name: 'Card number' })).toBeVisible();
    await card.fill(GOOD);
    expect((await pay(page)).token.id).toMatch(/^tok_/);
  });
});

test('brands that the page does not take are refused, and named', async ({ page }) => {
  await on(page, { allowedBrands: ['visa', 'cartes_bancaires'] }, async (card) => {
    await card.number.pressSequentially('5555');
    await expect(card.frame.locator('#number-fault')).toHaveText('Mastercard is not accepted here. Use another card.');
    await card.number.fill('');
    await card.fill({ ...GOOD, number: '378282246310005' });
    expect((await pay(page)).error.code).toBe('brand_not_allowed');
    await card.fill(GOOD);
    expect((await pay(page)).token.card.brand).toBe('visa');
  });
});

test('an option that is not one is told to the page’s developer', async ({ page }) => {
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await on(page, { allowedBrands: ['visa', 'vista'], appearance: { variables: { colorPrimary: 'url(//evil)' } } }, async (card) => {
    await card.fill(GOOD);
    expect((await pay(page)).token.card.brand).toBe('visa');
    expect(errors.some((message) => message.includes('allowedBrands'))).toBe(true);
    expect(errors.some((message) => message.includes('colorPrimary'))).toBe(true);
  });
});

test('the change event names the brands that are still possible', async ({ page }) => {
  await on(page, {}, async (card) => {
    await card.number.pressSequentially('3');
    await expect.poll(() => page.evaluate('facts.brands')).toEqual(['amex', 'diners', 'jcb', 'lankapay']);
    await card.number.pressSequentially('7');
    await expect.poll(() => page.evaluate('facts.brands')).toEqual(['amex']);
  });
});
