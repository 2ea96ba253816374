/** The loader's verbs that a payment does not use, what it leaves behind, and messages that mean it ill. */
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

test('setError is said below the fields and to the ear, until the buyer types', async ({ page }) => {
  await withCard(page, async (card) => {
    const message = card.frame.locator('.message');
    await page.evaluate(() => window.card.setError('<b>No</b> luck.'));
    await expect(message).toHaveText('<b>No</b> luck.');
    await expect(card.frame.getByRole('status')).toHaveText('<b>No</b> luck.');
    await page.evaluate(() => window.card.setError('x'.repeat(501)));
    await page.evaluate(() => window.card.setError(null));
    await expect(message).toBeHidden();
    await page.evaluate(() => window.card.setError('Again.'));
    await expect(message).toHaveText('Again.');
    await card.number.press('4');
    await expect(message).toBeHidden();
  });
});

test('an AbortSignal ends the wait at once, and only its own', async ({ page }) => {
  await withCard(page, async (card) => {
    await card.fill(GOOD);
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route('**/v1/tokens', async (route) => {
      await held;
      await route.continue();
    });
    const codes = await page.evaluate(async () => {
      const abort = new AbortController();
      window.other = cardseal.createToken(window.card);
      const aborted = cardseal.createToken(window.card, { signal: abort.signal });
      abort.abort();
      return [(await aborted).error.code, (await cardseal.createToken(window.card, { signal: AbortSignal.abort() })).error.code];
    });
    expect(codes).toEqual(['aborted', 'aborted']);
    release();
    expect(await page.evaluate(async () => (await window.other).token.id)).toMatch(/^tok_/);
  });
});

test('taken off the page while tokenising, the promise still answers', async ({ page }) => {
  await withCard(page, async (card) => {
    await card.fill(GOOD);
    await page.route('**/v1/tokens', () => {});
    const code = await page.evaluate(async () => {
      const answer = cardseal.createToken(window.card);
      window.card.unmount();
      return (await answer).error.code;
    });
    expect(code).toBe('element_unmounted');
    expect(await page.evaluate(async () => (await cardseal.createToken(window.card)).error.code)).toBe('element_not_mounted');
  });
});

test('a hundred mounts leave no frame and no listener', async ({ page }) => {
  test.setTimeout(120_000);
  await withCard(page, async () => {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Performance.enable');
    const count = async () => {
      await devtools.send('HeapProfiler.collectGarbage');
      const { metrics } = await devtools.send('Performance.getMetrics');
      return Object.fromEntries(metrics.filter(({ name }) => /^(Frames|JSEventListeners|Documents)$/.test(name)).map(({ name, value }) => [name, value]));
    };
    const cycle = (times) =>
      page.evaluate(async (rounds) => {
        for (let round = 0; round < rounds; round += 1) {
          // Both ways to be on a page; every tenth round as far as ready, the others are torn down on the way.
          const element = document.createElement('cardseal-card');
          element.setAttribute('publishable-key', window.key);
          const form = document.createElement('form');
          form.append(element);
          const ready = new Promise((resolve) => window.card.once('ready', resolve));
          document.body.append(form);
          window.card.mount('#card');
          if (round % 10 === 0) await ready;
          window.card.unmount();
          form.remove();
        }
      }, times);
    await page.evaluate(() => window.card.unmount());
    await cycle(1);
    const before = await count();
    await cycle(100);
    expect(await page.locator('iframe').count()).toBe(0);
    await expect.poll(async () => (await count()).JSEventListeners).toBeLessThanOrEqual(before.JSEventListeners);
    await expect.poll(async () => (await count()).Documents).toBeLessThanOrEqual(before.Documents);
    await expect.poll(async () => (await count()).Frames).toBeLessThanOrEqual(before.Frames);
    // It was not the counting that was blind: one mount more is seen.
    const after = await count();
    await page.evaluate(() => window.card.mount('#card'));
    expect((await count()).JSEventListeners).toBeGreaterThan(after.JSEventListeners);
  });
});

test('100,000 hostile messages, to the frame and to the page, have no effect', async ({ page }) => {
  test.setTimeout(180_000);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await withCard(page, async (card) => {
    await card.number.pressSequentially('4242');
    await expect.poll(() => page.evaluate('heard.length')).toBeGreaterThan(0);
    const posted = [];
    page.on('request', (request) => request.method() === 'POST' && posted.push(request.url()));
    const frame = page.frames().find((one) => one.url().includes('/v1/frame'));
    const look = async () => ({
      number: await card.number.inputValue(),
      markup: await card.frame.locator('body').innerHTML(),
      style: await card.frame.locator(':root').evaluate((root) => root.outerHTML.split('>')[0]),
      outside: await card.iframe.evaluate((one) => one.outerHTML),
      heard: await page.evaluate('heard.length'),
    });
    const before = await look();

    await page.evaluate(hostile);
    await frame.evaluate(hostile);
    await page.evaluate(async (vault) => {
      const target = document.querySelector('#card iframe').contentWindow;
      for (let n = 0; n < 25_000; n += 1) {
        toFrame.postMessage(badMessage(n, 'frame'));
        target.postMessage(badMessage(n, 'frame'), vault);
        // As if the frame had said it, by the port; and from a window that is not the frame's.
        toPage.postMessage(badMessage(n, 'page'));
        if (n % 500 === 0) await new Promise((resolve) => setTimeout(resolve));
      }
      for (let n = 0; n < 5_000; n += 1) window.postMessage({ ...badMessage(n, 'page'), cardseal: 1, type: 'loaderror', reason: 'blocked' }, '*');
    }, demos()[0].vault);
    // From the frame's own window and origin, as a subverted frame would.
    await frame.evaluate(async () => {
      for (let n = 0; n < 25_000; n += 1) {
        parent.postMessage(badMessage(n, 'page'), '*');
        if (n % 500 === 0) await new Promise((resolve) => setTimeout(resolve));
      }
    });
    await page.waitForTimeout(500);
    expect(await look()).toEqual(before);
    expect([errors, posted]).toEqual([[], []]);

    // The same ways do carry what is meant: the next message by the port has its effect, and the form still works.
    await page.evaluate(() => toFrame.postMessage({ to: 'frame', type: 'error', message: 'Carried.' }));
    await expect(card.frame.locator('.message')).toHaveText('Carried.');
    await page.evaluate(() => toPage.postMessage({ to: 'page', type: 'height', height: 321 }));
    await expect.poll(() => card.iframe.evaluate((one) => one.style.height)).toBe('321px');
    await card.fill(GOOD);
    expect(await page.evaluate(async () => (await cardseal.createToken(window.card)).token.id)).toMatch(/^tok_/);
  });
});

/** Defines `badMessage(n, to)`: never a message of the protocol, but as near to one as a wrong name, type or shape. */
function hostile() {
  let seed = 42;
  const random = (below) => ((seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) >>> 8) % below;
  const kinds = ['connect', 'hello', 'focus', 'blur', 'clear', 'update', 'tokenise', 'validate', 'error', 'ready', 'change', 'token', 'height', 'enter', 'escape', 'connected', 'loaderror'];
  const values = [null, undefined, 0, -1, NaN, Infinity, 1e308, '', '1', 'x'.repeat(999), [], {}, [[]], true, new Date(0), /x/, new Uint8Array(9), new Map(), '__proto__', 12345678901234567890n];
  const any = () => values[random(values.length)];
  const kind = () => kinds[random(kinds.length)];
  window.badMessage = (n, to) => {
    switch (n % 8) {
      case 0: return any();
      case 1: return { to: any(), type: kind(), id: 1, message: 'evil', options: { disabled: true }, height: 1 };
      case 2: return { to, type: any(), id: any() };
      case 3: return { to: to === 'page' ? 'frame' : 'page', type: kind(), options: { disabled: true }, height: 1, id: 1 };
      case 4: return { to, type: `${kind()}${random(9)}`, message: 'evil' };
      case 5: return to === 'page' ? { to, type: 'height', height: any() === 1e308 ? NaN : [-1, 0, NaN, Infinity, '100', 2001, {}, null][random(8)] } : { to, type: 'tokenise', id: String(random(9)) };
      case 6: return to === 'page' ? { to, type: 'token', id: any(), token: any(), error: any() } : { to, type: 'error', message: [null, 1, {}, [], 'x'.repeat(501)][random(5)] };
      default: return to === 'page' ? { cardseal: ['1', 2, null, true][random(4)], type: kind(), reason: 'blocked' } : { cardseal: 1, type: 'connect', protocol: random(2), options: { disabled: true } };
    }
  };
}

/** A mounted card form; the page's MessageChannel is tapped so that a test can speak on either side of it. */
async function withCard(page, use) {
  const [demo] = demos();
  const html = `<!doctype html><html lang="en"><title>A page</title><div id="card"></div>
<script>
  const Channel = MessageChannel;
  window.MessageChannel = function () {
    const [page, frame] = [new Channel(), new Channel()];
    page.port2.onmessage = (event) => frame.port1.postMessage(event.data);
    frame.port1.onmessage = (event) => page.port2.postMessage(event.data);
    window.toFrame = frame.port1;
    window.toPage = page.port2;
    return { port1: page.port1, port2: frame.port2 };
  };
</script>
<script src="${demo.vault}/v1/cardseal.js"></script>
<script>
  window.key = '${demo.publishable_key}';
  window.heard = [];
  window.cardseal = Cardseal(key);
  window.card = cardseal.elements().create('card');
  for (const event of ['ready', 'change', 'escape', 'submit', 'loaderror']) card.on(event, () => heard.push(event));
  card.mount('#card');
</script></html>`;
  await serve({ '/': html }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await expect.poll(() => page.evaluate('heard[0]')).toBe('ready');
    await use(card);
  });
}
