/** The page's own veto, and the reasons of `loaderror`. */
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';
import { Vault } from '../vault.js';

/** Only known once the setup has run, which is after this file is read. */
const demo = () => demos()[0];

test('a token that the page refuses is an error, in the page’s words, and another card may follow', async ({ page }) => {
  const options = `{ onToken: async ({ card }) => ({ continue: card.last4 !== '4242', message: 'No 4242 here.' }) }`;
  await withCard(page, options, async (card) => {
    await card.ready();
    await card.fill(GOOD);
    const { token, error } = await page.evaluate(() => cardseal.createToken(window.card));
    expect(token).toBeUndefined();
    expect(error).toEqual({ type: 'validation_error', code: 'refused_by_page', message: 'No 4242 here.' });
    await expect(card.frame.locator('.message')).toHaveText('No 4242 here.');
    await card.fill({ ...GOOD, number: '5555555555554444' });
    expect((await page.evaluate(() => cardseal.createToken(window.card))).token.id).toMatch(/^tok_/);
  });
});

test('a key that shows the BIN lets the page refuse a card while it is typed', async ({ page }) => {
  const options = `{ onBin: async ({ bin, brand }) => (window.bins.push([bin, brand].join()), { continue: !bin.startsWith('5555'), message: 'No 5555 here.' }) }`;
  for (const [show, bins] of [['6', ['424242,visa']], ['8', ['424242,visa', '42424242,visa']]]) {
    await Vault.with({ key: ['--show-bin', show] }, async (vault) => {
      await withCard(page, options, async (card) => {
        await card.ready();
        await page.evaluate('(window.bins = [])');
        // The rule comes with the field session, which is fetched at the first digit.
        await card.number.pressSequentially('424242');
        await expect.poll(() => page.evaluate('bins')).toEqual(bins.slice(0, 1));
        await card.fill(GOOD);
        await expect.poll(() => page.evaluate('[...new Set(bins)]')).toEqual(bins);
        expect((await page.evaluate('facts')).bin).toBe(bins.at(-1).split(',')[0]);
        expect((await page.evaluate(() => cardseal.createToken(window.card))).token.id).toMatch(/^tok_/);
        const message = card.frame.locator('.message');
        await card.number.pressSequentially('555555');
        await expect(message).toHaveText('No 5555 here.');
        // It goes with the next key, and comes again when the buyer wants to pay.
        await card.fill({ ...GOOD, number: '5555555555554444' });
        await expect(message).toBeHidden();
        expect((await page.evaluate(() => cardseal.createToken(window.card))).error).toMatchObject({ code: 'refused_by_page' });
        await expect(message).toHaveText('No 5555 here.');
        // Fifteen digits: eight and the last four would leave three to guess.
        await card.fill({ ...GOOD, number: '378282246310005', cvc: '1234' });
        await expect.poll(() => page.evaluate('bins.at(-1)')).toBe('378282,amex');
      }, '', {}, vault);
    });
  }
});

test('no other key shows a digit', async ({ page }) => {
  await withCard(page, '{ onBin: () => window.heard.push("bin") }', async (card) => {
    await card.ready();
    await card.fill(GOOD);
    expect((await page.evaluate(() => cardseal.createToken(window.card))).token.id).toMatch(/^tok_/);
    expect(await page.evaluate('heard')).toEqual([]);
    expect(await page.evaluate('JSON.stringify(all)')).not.toContain('4242');
  });
});

test('loaderror says that it was the page’s own policy', async ({ page }) => {
  await withCard(page, '{}', async () => {
    await expect.poll(() => page.evaluate('heard')).toEqual(['csp']);
    expect((await page.evaluate(() => cardseal.createToken(window.card))).error.code).toBe('csp');
  }, `frame-src 'none'`);
});

test('a policy that only reports is no obstacle', async ({ page }) => {
  await withCard(page, '{}', async (card) => {
    await card.ready();
    await card.fill(GOOD);
    expect((await page.evaluate(() => cardseal.createToken(window.card))).token.id).toMatch(/^tok_/);
  }, '', { 'content-security-policy-report-only': `frame-src 'none'` });
});

test('loaderror says blocked, offline and timeout apart', async ({ page, context }) => {
  await page.route('**/v1/frame**', (route) => route.abort());
  await withCard(page, '{}', async () => {
    await expect.poll(() => page.evaluate('heard'), { timeout: 15_000 }).toEqual(['blocked']);
    await context.setOffline(true);
    await page.evaluate(() => {
      window.heard.length = 0;
      window.card.unmount().mount('#card');
    });
    await expect.poll(() => page.evaluate('heard'), { timeout: 15_000 }).toEqual(['offline']);
    await context.setOffline(false);
  });
  await page.unroute('**/v1/frame**');
  // The vault sees no obstacle, but the document never comes.
  await page.route('**/v1/frame?key=*&origin=*', () => {});
  await withCard(page, '{}', async () => {
    await expect.poll(() => page.evaluate('heard'), { timeout: 20_000 }).toEqual(['timeout']);
  });
});

async function withCard(page, options, use, policy = '', headers = {}, vault = demo()) {
  const html = `<!doctype html><html lang="en"><meta http-equiv="Content-Security-Policy" content="${policy}"><title>A page</title><div id="card"></div>
<script src="${vault.vault}/v1/cardseal.js"></script>
<script>
  window.heard = [];
  window.all = [];
  window.cardseal = Cardseal('${vault.publishable_key}');
  window.card = cardseal.elements().create('card', ${options});
  card.on('change', (facts) => all.push(window.facts = facts));
  card.on('loaderror', ({ reason }) => heard.push(reason));
  card.mount('#card');
</script></html>`;
  await serve({ '/': { body: html, headers } }, async (port) => {
    await page.goto(`http://localhost:${port}/`, { waitUntil: 'commit' });
    await page.waitForFunction('window.card');
    await use(new CardFields(page));
  });
}
