/** What embedding the form must not do to a page, and what a page's own structure must not do to the form. */
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

/** Only known once the setup has run, which is after this file is read. */
const demo = () => demos()[0];
const MOUNT = "window.card = cardseal.elements().create('card').mount('#card')";

test('until a form is mounted, the loader is the only request, and nothing is stored', async ({ page, context }) => {
  const asked = [];
  page.on('request', (request) => request.url().startsWith(demo().vault) && asked.push(new URL(request.url()).pathname));
  await withPage(page, '<div id="card"></div>', async () => {
    await page.waitForTimeout(500);
    expect(asked).toEqual(['/v1/cardseal.js']);
    await page.evaluate(MOUNT);
    const card = new CardFields(page);
    await card.ready();
    await card.fill(GOOD);
    expect((await page.evaluate(() => cardseal.createToken(window.card))).token.id).toMatch(/^tok_/);
    // Where the browser denies a frame its storage there is nothing in it either.
    const stored = async () => {
      const count = (name) => {
        try {
          return window[name].length;
        } catch {
          return 0;
        }
      };
      const databases = await indexedDB.databases().catch(() => []);
      return [count('localStorage'), count('sessionStorage'), document.cookie, databases.length];
    };
    expect(await page.evaluate(stored)).toEqual([0, 0, '', 0]);
    expect(await page.frames().find((frame) => frame.url().includes('/v1/frame')).evaluate(stored)).toEqual([0, 0, '', 0]);
    expect(await context.cookies()).toEqual([]);
  });
});

test('in a modal dialog: the keyboard goes through form and dialog, and the card is taken', async ({ page }) => {
  const body = '<button id="behind">Behind</button><dialog id="pay"><div id="card"></div><button id="done">Done</button></dialog>';
  await withPage(page, body, async () => {
    await page.evaluate(`document.querySelector('#pay').showModal(); ${MOUNT}`);
    const card = new CardFields(page);
    await card.ready();
    await card.number.click();
    await page.keyboard.type(GOOD.number);
    await page.keyboard.press('Tab');
    await page.keyboard.type(GOOD.expiry);
    await page.keyboard.press('Tab');
    await page.keyboard.type(GOOD.cvc);
    await page.keyboard.press('Tab');
    await expect(page.locator('#done')).toBeFocused();
    await page.keyboard.press('Shift+Tab');
    await expect(card.cvc).toBeFocused();
    await expect.poll(() => card.state()).toMatchObject({ complete: true });
    expect((await page.evaluate(() => cardseal.createToken(window.card))).token.id).toMatch(/^tok_/);
  });
});

test('one form with the tokens that autofill and password managers look for, at a size that phones do not zoom', async ({ page }) => {
  await withPage(page, '<div id="card"></div>', async () => {
    await page.evaluate(MOUNT);
    const card = new CardFields(page);
    await card.ready();
    const inputs = await card.frame.locator('form').locator('input').evaluateAll((all) =>
      all.map((input) => [input.autocomplete, input.inputMode, parseFloat(getComputedStyle(input).fontSize) >= 16]),
    );
    expect(inputs).toEqual([['cc-number', 'numeric', true], ['cc-exp', 'numeric', true], ['cc-csc', 'numeric', true]]);
    await expect(card.iframe).toHaveAttribute('title', /card/i);
    // What autofill does: values at once, then plain events, while the focus is in one field.
    await card.frame.locator('form').evaluate((form, values) => {
      for (const [id, value] of Object.entries(values)) {
        form.querySelector(`#${id}`).value = value;
        form.querySelector(`#${id}`).dispatchEvent(new Event('input', { bubbles: true }));
      }
    }, { number: '4242424242424242', expiry: '12/2040', cvc: '123' });
    await expect(card.expiry).toHaveValue('12 / 40');
    await expect.poll(() => card.state()).toMatchObject({ complete: true });
  });
});

async function withPage(page, body, use) {
  const html = `<!doctype html><html lang="en"><title>A page</title>${body}<script src="${demo().vault}/v1/cardseal.js"></script>
<script>window.cardseal = Cardseal('${demo().publishable_key}')</script></html>`;
  await serve({ '/': html }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    await use();
  });
}
