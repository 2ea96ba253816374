/** What goes wrong between the first key and the token, and what the buyer sees of it: nothing, or how to go on. */
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { withForm } from '../pages/form.js';
import { demos } from '../pages/shop.js';
import { Vault } from '../vault.js';

const tokenise = (page) => page.evaluate(() => cardseal.createToken(window.card));

/** A filled-in form: `use(card, asked)`, where `asked` are path and status of each answer to the frame's posts. */
async function filled(page, demo, use) {
  const asked = [];
  page.on('response', (answer) => {
    if (answer.request().method() === 'POST') asked.push(`${new URL(answer.url()).pathname} ${answer.status()}`);
  });
  await withForm({}, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await card.fill(GOOD);
    await expect.poll(() => asked).toEqual(['/v1/field-sessions 200']);
    await use(card, asked);
  }, demo);
}

test('the vault restarts between the first key and Pay: sealed anew, unseen', async ({ page }) => {
  await Vault.with({}, async (vault) => {
    await filled(page, vault, async (card, asked) => {
      await vault.stop();
      await vault.start();
      expect((await tokenise(page)).token.id).toMatch(/^tok_/);
      // The private key of the first session went with the process.
      expect(asked.slice(1)).toEqual(['/v1/tokens 422', '/v1/field-sessions 200', '/v1/tokens 200']);
      await expect(card.frame.locator('.message')).toBeHidden();
    });
  });
});

test('after an hour’s pause the session renews itself, unseen', async ({ page }) => {
  await Vault.with({}, async (vault) => {
    await filled(page, vault, async (card, asked) => {
      await vault.setClock(3700);
      expect((await tokenise(page)).token.id).toMatch(/^tok_/);
      expect(asked.slice(1)).toEqual(['/v1/tokens 401', '/v1/field-sessions 200', '/v1/tokens 200']);
      await expect(card.frame.locator('.message')).toBeHidden();
    });
  });
});

test('a sealed card that somebody else sent first is refused, and the buyer’s is sealed anew', async ({ page }) => {
  await Vault.with({}, async (vault) => {
    await filled(page, vault, async (card, asked) => {
      const bodies = [];
      await page.route('**/v1/tokens', async (route) => {
        bodies.push(route.request().postData());
        if (bodies.length === 1) expect((await route.fetch()).status()).toBe(200);
        await route.continue();
      });
      expect((await tokenise(page)).token.id).toMatch(/^tok_/);
      expect(asked.slice(1)).toEqual(['/v1/tokens 409', '/v1/field-sessions 200', '/v1/tokens 200']);
      expect(bodies[0]).not.toBe(bodies[1]);
      await expect(card.frame.locator('.message')).toBeHidden();
    });
  });
});

test('the line breaks on the way to the vault: said, nothing is lost, and the next try pays', async ({ page }) => {
  await filled(page, demos()[0], async (card) => {
    let tries = 0;
    await page.route('**/v1/tokens', (route) => ((tries += 1) === 1 ? route.abort('connectionreset') : route.continue()));
    expect((await tokenise(page)).error).toMatchObject({ type: 'api_connection_error', code: 'network' });
    await expect(card.number).toHaveValue('4242 4242 4242 4242');
    expect((await tokenise(page)).token.id).toMatch(/^tok_/);
  });
});

test('a frame that is thrown away while it tokenises: the call answers', async ({ page }) => {
  await filled(page, demos()[0], async () => {
    await page.route('**/v1/tokens', () => {});
    const waiting = tokenise(page);
    await page.waitForRequest('**/v1/tokens');
    await page.evaluate(() => document.querySelector('#card iframe').remove());
    // Whichever is first: its request ends with it, or its channel closes.
    expect((await waiting).error.code).toMatch(/^(network|frame_reloaded)$/);
    expect((await tokenise(page)).error.code).toBe('element_unmounted');
  });
});

test('what was typed is wiped when nobody types any more, and when the page is left', async ({ page }) => {
  await page.clock.install();
  await filled(page, demos()[0], async (card) => {
    await page.clock.fastForward(14 * 60 * 1000);
    await expect(card.number).toHaveValue('4242 4242 4242 4242');
    await page.clock.fastForward(61 * 1000);
    await expect(card.number).toHaveValue('');
    await expect(card.cvc).toHaveValue('');
    await expect.poll(() => page.evaluate('facts.complete')).toBe(false);

    await card.fill(GOOD);
    const frame = page.frames().find((one) => one.url().includes('/v1/frame'));
    // As the browser says it before the page goes into its cache for the back button.
    await frame.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    for (const field of [card.number, card.expiry, card.cvc]) await expect(field).toHaveValue('');
  });
});

test('visibility: in sight, covered by something of the page’s, out of sight', async ({ page }) => {
  await withForm({}, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    await page.evaluate(() => {
      window.seen = [];
      window.card.on('visibility', ({ state }) => seen.push(state));
      // The frame reaches 4 pixels beyond its place, for the focus ring: what touches it there covers it.
      document.querySelector('#card').style.margin = '16px 0';
    });
    await expect.poll(() => page.evaluate('seen.at(-1)')).toBe('visible');
    await page.evaluate(() => document.body.append(Object.assign(document.createElement('div'), { id: 'over', style: 'position:fixed;inset:0;background:#fff' })));
    await expect.poll(() => page.evaluate('seen.at(-1)')).toBe('covered');
    await page.evaluate(() => document.querySelector('#over').remove());
    await expect.poll(() => page.evaluate('seen.at(-1)')).toBe('visible');
    await page.evaluate(() => (document.body.style.paddingTop = '4000px'));
    await expect.poll(() => page.evaluate('seen.at(-1)')).toBe('offscreen');
  });
});

test('a page that listens wherever it can learns no digit', async ({ page }) => {
  const keys = [];
  await page.exposeFunction('overheard', (text) => keys.push(text));
  await page.addInitScript(() => {
    if (window !== top) return;
    for (const type of ['keydown', 'keyup', 'keypress', 'beforeinput', 'input', 'change', 'paste', 'compositionend', 'message']) {
      addEventListener(type, (event) => overheard(`${type} ${event.key ?? event.data ?? event.target?.value ?? ''} ${JSON.stringify(event.data ?? null)}`), true);
    }
  });
  await filled(page, demos()[0], async (card) => {
    const learned = await page.evaluate(async () => {
      const frame = document.querySelector('#card iframe');
      const tried = [];
      for (const look of [
        () => frame.contentDocument?.body.innerHTML,
        () => frame.contentWindow.document.body.innerHTML,
        () => frame.contentWindow.location.href,
        () => frame.contentWindow.number.value,
        () => frame.contentWindow.name,
        () => Object.keys(frame.contentWindow).join(),
        () => window[0].document.forms[0].elements.number.value,
      ]) {
        try {
          tried.push(String(look()));
        } catch (error) {
          tried.push(error.name);
        }
      }
      await cardseal.createToken(window.card);
      const entries = performance.getEntries().map((entry) => JSON.stringify(entry));
      return [...tried, ...entries, window.name, document.referrer, document.documentElement.outerHTML, document.cookie, JSON.stringify({ ...localStorage, ...sessionStorage })];
    });
    expect(learned.length).toBeGreaterThan(10);
    const all = JSON.stringify([learned, keys]);
    // What a token tells, the last four, is not among what was listened to either.
    for (const digits of ['4242', '12 / 40', '1240', '"123"']) expect(all, digits).not.toContain(digits);
    await expect(card.cvc).toHaveValue('');

    // It was not deaf: what is typed on the page itself is overheard.
    await page.locator('#before').pressSequentially('7');
    await expect.poll(() => keys.join()).toContain('keydown 7');
  });
});
