/** What an operator rules for a key's cards: the form follows a private-label brand, and says what the vault says of funding. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { Vault } from '../vault.js';

const folder = mkdtempSync(join(tmpdir(), 'cardseal-rules-'));
const file = (name, text) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const RULES = file(
  'rules.toml',
  `funding = ["credit"]
[[brands]]
id = "store"
name = "Store Card"
prefixes = ["700700-700799"]
lengths = [15]
gaps = [6, 10]
cvc_length = 0
luhn = false
`,
);
const FUNDING = file('funding.csv', '424242,424242,credit\n400005,400005,debit\n');

async function withCard(page, vault, use) {
  const html = `<!doctype html><div id="card"></div><script src="${vault.vault}/v1/cardseal.js"></script><script>
    window.cardseal = Cardseal('${vault.publishable_key}');
    window.card = cardseal.elements({ locale: 'en' }).create('card').on('change', (facts) => (window.facts = facts)).mount('#card');
  </script>`;
  await serve({ '/': html }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    await use(new CardFields(page, '#card'));
  });
}
const createToken = (page) => page.evaluate(() => cardseal.createToken(window.card));

test('a private-label card without check digit and security code is taken under its key', async ({ page }) => {
  await Vault.with({ key: ['--card-rules', RULES] }, async (vault) => {
    await withCard(page, vault, async (card) => {
      await card.ready();
      await card.number.pressSequentially('700712');
      await expect(card.frame.locator('#number-brand')).toHaveText('Store Card');
      await card.number.pressSequentially('3456789021');
      // No longer than its cards are, and grouped as they are.
      await expect(card.number).toHaveValue('700712 3456 78902');
      await card.expiry.fill('12 / 40');
      await expect.poll(() => page.evaluate('facts')).toMatchObject({ complete: true, brand: 'store', brands: ['store'], networks: [] });
      const { token } = await createToken(page);
      expect(token.card).toMatchObject({ brand: 'store', last4: '8902' });
      await card.fill(GOOD);
      expect((await createToken(page)).token.card.brand).toBe('visa');
    });
  });
});

test('a number that was filled in before its brand was known is grouped as the brand’s, and no code is asked for', async ({ page }) => {
  await Vault.with({ key: ['--card-rules', RULES] }, async (vault) => {
    await withCard(page, vault, async (card) => {
      await expect.poll(() => card.state()).toMatchObject({ ready: true });
      await expect(card.cvc).toHaveAttribute('placeholder', 'CVC');
      await card.put({ number: '700712345678902' });
      await expect(card.frame.locator('#number-brand')).toHaveText('Store Card');
      await expect(card.number).toHaveValue('700712 3456 78902');
      await expect(card.cvc).toHaveAttribute('placeholder', '');
    });
  });
});

test('pressing Pay before the rules are there judges by them all the same', async ({ page }) => {
  await Vault.with({ key: ['--card-rules', RULES] }, async (vault) => {
    await withCard(page, vault, async (card) => {
      await card.ready();
      let release;
      const held = new Promise((resolve) => (release = resolve));
      await page.route('**/v1/field-sessions', async (route) => {
        await held;
        await route.continue();
      });
      await card.number.fill('700712345678902');
      await card.expiry.fill('12 / 40');
      const paid = createToken(page);
      await page.waitForTimeout(300);
      release();
      expect((await paid).token.card.brand).toBe('store');
    });
  });
});

test('under another key it is no card number', async ({ page }) => {
  await Vault.with({}, async (vault) => {
    await withCard(page, vault, async (card) => {
      await card.ready();
      await card.fill({ ...GOOD, number: '700712345678902' });
      // Fifteen digits of nobody's: some card has more.
      expect((await createToken(page)).error.code).toBe('incomplete_number');
    });
  });
});

test('what the vault says of a card’s funding is said below the number', async ({ page }) => {
  await Vault.with({ key: ['--card-rules', RULES], options: ['--funding-table', FUNDING] }, async (vault) => {
    await withCard(page, vault, async (card) => {
      await card.ready();
      await card.fill({ ...GOOD, number: '4000056655665556' });
      expect((await createToken(page)).error).toMatchObject({ type: 'card_error', code: 'funding_not_allowed' });
      await expect(card.frame.locator('#number-fault')).toHaveText('This type of card is not accepted here. Use another card.');
      await card.fill(GOOD);
      expect((await createToken(page)).token.id).toMatch(/^tok_/);
    });
  });
});
