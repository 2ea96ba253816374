/** Declines say why, and the buyer tries again with a new token. */
import { expect, test } from '@playwright/test';
import { DECLINED, EXPIRED, GOOD, INSUFFICIENT } from '../pages/card-fields.js';
import { Shop } from '../pages/shop.js';

for (const [name, card, words] of [
  ['a plain decline', DECLINED, /declined/i],
  ['insufficient funds', INSUFFICIENT, /insufficient funds/i],
  ['an expired card', EXPIRED, /expired/i],
]) {
  test(`${name} is said in words, and another card pays`, async ({ page }, info) => {
    const tokens = [];
    page.on('response', async (response) => {
      if (response.request().method() === 'POST' && response.url().endsWith('/v1/tokens') && response.ok()) {
        tokens.push((await response.json()).id);
      }
    });
    const shop = new Shop(page);
    await shop.checkout();
    await shop.payWith(card);
    await expect(shop.message).toContainText(words);
    await page.screenshot({ path: `screenshots/${info.project.name}-${name.replaceAll(' ', '-')}.png`, fullPage: true });
    await expect(shop.pay).toBeEnabled();
    await shop.payWith(GOOD);
    await shop.expectPaid();
    expect(new Set(tokens).size).toBe(2);
  });
}
