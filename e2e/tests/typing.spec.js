/** What people and password managers put into the fields: typed, pasted, filled, deleted, in any script. */
import { expect, test } from '@playwright/test';
import { CardFields } from '../pages/card-fields.js';
import { withForm } from '../pages/form.js';

async function onForm(page, use) {
  await withForm({}, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await use(card);
  });
}

/** As autofill does: the value at one stroke, a plain event, no keys. */
const autofill = (input, value) =>
  input.evaluate((element, text) => {
    element.value = text;
    element.dispatchEvent(new Event('input', { bubbles: true }));
  }, value);

/** The text with `|` where the caret is. */
const caret = (input) =>
  input.evaluate((element) => `${element.value.slice(0, element.selectionStart)}|${element.value.slice(element.selectionStart)}`);

const place = (input, at) => input.evaluate((element, place) => element.setSelectionRange(place, place), at);

test('an expiry date is taken in every form that people and password managers write', async ({ page }) => {
  await onForm(page, async (card) => {
    for (const [written, shown] of [
      ['12/28', '12 / 28'],
      ['12/2028', '12 / 28'],
      ['12 28', '12 / 28'],
      ['1228', '12 / 28'],
      ['122028', '12 / 28'],
      ['2028-12', '12 / 28'],
      ['2028-12-31', '12 / 28'],
      ['12 / 2028', '12 / 28'],
      ['1/28', '01 / 28'],
      ['1/2028', '01 / 28'],
      ['١٢/٢٨', '12 / 28'],
      ['१२/२०२८', '12 / 28'],
    ]) {
      await autofill(card.expiry, written);
      await expect(card.expiry, `filled ${written}`).toHaveValue(shown);
      await card.expiry.fill('');
      await card.expiry.focus();
      await page.keyboard.insertText(written);
      await expect(card.expiry, `pasted ${written}`).toHaveValue(shown);
    }
    for (const [keys, shown] of [['1228', '12 / 28'], ['12/28', '12 / 28'], ['1/28', '01 / 28'], ['928', '09 / 28'], ['122028', '12 / 28']]) {
      await card.expiry.fill('');
      await card.expiry.pressSequentially(keys);
      await expect(card.expiry, `typed ${keys}`).toHaveValue(shown);
    }
  });
});

test('the caret stays where the buyer works', async ({ page }) => {
  await onForm(page, async (card) => {
    await card.number.pressSequentially('4242424242424242');
    await place(card.number, 7);
    await page.keyboard.press('Backspace');
    expect(await caret(card.number)).toBe('4242 4|424 2424 242');
    await page.keyboard.type('2');
    expect(await caret(card.number)).toBe('4242 42|42 4242 4242');
    // Backspace and Delete at a gap take the digit beyond it.
    await place(card.number, 5);
    await page.keyboard.press('Backspace');
    expect(await caret(card.number)).toBe('424|4 2424 2424 242');
    await page.keyboard.type('2');
    await place(card.number, 4);
    await page.keyboard.press('Delete');
    expect(await caret(card.number)).toBe('4242| 2424 2424 242');
    // A paste into the middle, with separators of its own.
    await place(card.number, 2);
    await page.keyboard.insertText('5-5');
    expect(await caret(card.number)).toMatch(/^4255 ?\|/);
    // A selection is replaced.
    await card.number.selectText();
    await page.keyboard.insertText('3782 822463 10005');
    await expect(card.number).toHaveValue('3782 822463 10005');
  });
});

test('typing fast and slowly gives the same digits in the same order', async ({ page }) => {
  await onForm(page, async (card) => {
    for (const delay of [0, 30]) {
      await card.number.fill('');
      await card.number.pressSequentially('4000056655665556', { delay });
      await expect(card.number).toHaveValue('4000 0566 5566 5556');
    }
  });
});

test('digits of every script are digits', async ({ page }) => {
  await onForm(page, async (card) => {
    for (const zero of [0x0660, 0x06f0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0e50, 0xff10]) {
      const native = [...'4242424242424242'].map((digit) => String.fromCodePoint(zero + Number(digit))).join('');
      await card.number.fill('');
      await card.number.pressSequentially(native);
      await expect(card.number, native).toHaveValue('4242 4242 4242 4242');
      await card.cvc.fill('');
      await card.cvc.pressSequentially(native.slice(0, 3));
      await expect(card.cvc).toHaveValue('424');
    }
  });
});

test('one tap of autofill fills the form, and phones show digits and do not zoom', async ({ page }) => {
  await onForm(page, async (card) => {
    for (const [field, token, value] of [
      ['number', 'cc-number', '4242424242424242'],
      ['expiry', 'cc-exp', '12/2040'],
      ['cvc', 'cc-csc', '123'],
    ]) {
      const input = card[field];
      expect(await input.getAttribute('autocomplete')).toBe(token);
      expect(await input.getAttribute('inputmode')).toBe('numeric');
      expect(await input.evaluate((element) => parseFloat(getComputedStyle(element).fontSize))).toBeGreaterThanOrEqual(16);
      await autofill(input, value);
    }
    await page.locator('#pay').click();
    await page.waitForFunction('window.result');
    expect((await page.evaluate('window.result')).token.card).toMatchObject({ last4: '4242', exp_month: 12, exp_year: 2040 });
  });
});
