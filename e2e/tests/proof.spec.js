/** A vault whose limits run hot asks for proof of work: the frame does it, and the buyer sees a payment that takes a moment. */
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { withForm } from '../pages/form.js';
import { demos } from '../pages/shop.js';
import { Vault } from '../vault.js';

/** A fresh page of the shop: `use(card, asked)`, where `asked` are path and status of each answer to the frame's posts. */
async function onPage(page, demo, use) {
  const asked = [];
  const note = (answer) => answer.request().method() === 'POST' && asked.push(`${new URL(answer.url()).pathname} ${answer.status()}`);
  page.on('response', note);
  await withForm({}, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await use(card, asked);
  }, demo);
  page.off('response', note);
}

async function pay(page, card) {
  await card.fill(GOOD);
  const result = await page.evaluate(() => cardseal.createToken(window.card));
  return result.token?.id ?? result.error;
}

test('hot limits of a key and a BIN: the frame does the work and the buyer pays', async ({ page }) => {
  const options = ['--limit-sessions-per-key', '4/3600s', '--limit-tokens-per-bin', '4/3600s'];
  await Vault.with({ options }, async (vault) => {
    const minted = '/v1/field-sessions 200';
    const kept = '/v1/tokens 200';
    for (const expected of [
      [minted, kept],
      [minted, kept],
      // Half of either limit is used.
      ['/v1/field-sessions 428', minted, '/v1/tokens 428', kept],
      ['/v1/field-sessions 428', minted, '/v1/tokens 428', kept],
    ]) {
      await onPage(page, vault, async (card, asked) => {
        expect(await pay(page, card)).toMatch(/^tok_/);
        expect(asked).toEqual(expected);
        await expect(card.frame.locator('.message')).toBeHidden();
      });
    }
    expect(await vault.metric('vault_challenges_total')).toBe(4);
    // Beyond the limit no work helps, and the page is told so.
    await onPage(page, vault, async (card) => {
      expect(await pay(page, card)).toMatchObject({ type: 'rate_limit_error', code: 'rate_limited' });
    });
  });
});

test('a proof that came too late is asked for anew', async ({ page }) => {
  await Vault.with({ options: ['--limit-tokens-per-bin', '4/86400s'] }, async (vault) => {
    for (let warm = 0; warm < 2; warm += 1) {
      await onPage(page, vault, async (card) => expect(await pay(page, card)).toMatch(/^tok_/));
    }
    await page.route('**/v1/tokens', async (route) => {
      const isFirst = (await route.request().headerValue('cardseal-proof')) && !page.isLate;
      if (isFirst) {
        page.isLate = true;
        await vault.setClock(125);
      }
      await route.continue();
    });
    await onPage(page, vault, async (card, asked) => {
      expect(await pay(page, card)).toMatch(/^tok_/);
      expect(asked).toEqual(['/v1/field-sessions 200', '/v1/tokens 428', '/v1/tokens 428', '/v1/tokens 200']);
    });
  });
});

test('the page goes on while the work is done, and ends it by leaving', async ({ page }) => {
  // Its first proof is number 904,976, so that the work takes long for certain.
  const challenge = { salt: 'steady', bits: 18, expires_at: 0 };
  const proofs = [];
  await page.route('**/v1/tokens', async (route) => {
    const proof = await route.request().headerValue('cardseal-proof');
    if (proof) proofs.push(proof);
    const json = { code: 'proof_of_work_required', challenge };
    await (proof ? route.continue() : route.fulfill({ status: 428, json }));
  });
  await onPage(page, demos()[0], async (card, asked) => {
    const frame = page.frames().find((one) => one.url().includes('/v1/frame'));
    await card.fill(GOOD);
    // What else the frame gets to do, counted from the challenge to the proof.
    await frame.evaluate(() => {
      const send = window.fetch;
      let turns = 0;
      const turn = () => setTimeout(() => ((turns += 1), turn()));
      turn();
      window.turns = [];
      window.fetch = (...request) => (window.turns.push(turns), send(...request));
    });
    const began = Date.now();
    expect((await page.evaluate(() => cardseal.createToken(window.card))).token.id).toMatch(/^tok_/);
    const took = Date.now() - began;
    expect(asked).toEqual(['/v1/field-sessions 200', '/v1/tokens 428', '/v1/tokens 200']);
    expect(proofs).toEqual(['steady.904976']);
    const [before, after] = await frame.evaluate('turns');
    expect(after - before).toBeGreaterThan(3);

    // The buyer leaves meanwhile: nothing is sent afterwards.
    await card.fill(GOOD);
    const answer = page.waitForResponse((one) => one.status() === 428);
    const waiting = page.evaluate(() => cardseal.createToken(window.card));
    await answer;
    await page.evaluate(() => window.card.unmount());
    expect((await waiting).error.code).toBe('element_unmounted');
    await page.waitForTimeout(2 * took);
    expect(proofs).toHaveLength(1);
  });
});
