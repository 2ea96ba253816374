/** Field errors are said in words beside the field, and nothing is posted. */
import { expect, test } from '@playwright/test';
import { GOOD } from '../pages/card-fields.js';
import { Shop } from '../pages/shop.js';

const AMEX = '378282246310005';

for (const [name, card, field, words] of [
  ['a wrong check digit', { ...GOOD, number: '4242424242424241' }, 'number', /not valid/i],
  ['a card that is real', { ...GOOD, number: '4111111111111111' }, 'number', /test card/i],
  ['a number cut short', { ...GOOD, number: '42424242' }, 'number', /whole card number/i],
  ['a past expiry', { ...GOOD, expiry: '1220' }, 'expiry', /expired/i],
  ['a thirteenth month', { ...GOOD, expiry: '1340' }, 'expiry', /not valid/i],
  ['a short CVV', { ...GOOD, cvc: '12' }, 'cvc', /3 digits/i],
  ['three digits for Amex', { ...GOOD, number: AMEX, cvc: '123' }, 'cvc', /4 digits/i],
]) {
  test(`${name} is refused in the form`, async ({ page }, info) => {
    const posted = [];
    page.on('request', (r) => r.method() === 'POST' && /\/v1\/tokens|\/pay$/.test(r.url()) && posted.push(r.url()));
    const shop = new Shop(page);
    await shop.checkout();
    await shop.payWith(card);
    await expect.poll(() => shop.card.isInvalid(field)).toBe(true);
    expect(await shop.card.errorOf(field)).toMatch(words);
    await page.screenshot({ path: `screenshots/${info.project.name}-${name.replaceAll(' ', '-')}.png`, fullPage: true });
    for (const other of ['number', 'expiry', 'cvc'].filter((f) => f !== field)) {
      expect(await shop.card.isInvalid(other), other).toBe(false);
    }
    await expect(shop.pay).toBeEnabled();
    expect(posted).toEqual([]);
  });
}

test('an empty form says what is missing', async ({ page }) => {
  const shop = new Shop(page);
  await shop.checkout();
  await shop.pay.click();
  for (const field of ['number', 'expiry', 'cvc']) await expect.poll(() => shop.card.isInvalid(field)).toBe(true);
});

test('digits are grouped as the brand prints them, and the caret stays', async ({ page }) => {
  const shop = new Shop(page);
  await shop.checkout();
  const { number, expiry } = shop.card;
  await number.pressSequentially(AMEX);
  await expect(number).toHaveValue('3782 822463 10005');
  await expect(shop.card.frame.locator('body')).toContainText('American Express');
  await number.fill('');
  await number.pressSequentially('4242424242424242');
  // Into the middle: the caret stays behind the digit that was typed.
  await number.press('Home');
  for (let i = 0; i < 4; i += 1) await number.press('ArrowRight');
  await number.press('Backspace');
  await number.press('Backspace');
  await number.pressSequentially('55');
  await expect(number).toHaveValue('4255 4242 4242 4242');
  expect(await number.evaluate((input) => input.selectionStart)).toBeLessThanOrEqual(5);
  await number.fill('4242-4242-4242-4242');
  await expect(number).toHaveValue('4242 4242 4242 4242');
  await expiry.pressSequentially('5');
  await expect(expiry).toHaveValue(/^05/);
  await expiry.fill('2040-12');
  await expect(expiry).toHaveValue('12 / 40');
});
