/** Split fields: a frame per field in the page's own layout, driven by one that is not shown; and the CVV alone. */
import { expect, test } from '@playwright/test';
import { CardFields, ENGINE, GOOD } from '../pages/card-fields.js';
import { halting } from '../pages/halting.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';
import { SplitFields } from '../pages/split-fields.js';

const AMEX = { number: '378282246310005', expiry: '1240', cvc: '1234' };

/** A page with three fields; `heard` holds what the elements said, `type:event`. */
const html = (setup = '', vault = demos()[0].vault) => {
  const [demo] = demos();
  return `<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">
<input id="before" aria-label="Before"><form id="form" onsubmit="return false">
<div id="number"></div><div id="expiry"></div><div id="cvc"></div></form><input id="after" aria-label="After">
<script src="${vault}/v1/cardseal.js"></script>
<script>
  window.key = '${demo.publishable_key}';
  window.heard = [];
  window.last = {};
  window.cardseal = Cardseal(key);
  ${setup}
  window.group = cardseal.elements({ appearance: { variables: { colorText: '#123456' } } });
  window.fields = {};
  for (const [type, place] of [['cardNumber', '#number'], ['cardExpiry', '#expiry'], ['cardCvc', '#cvc']]) {
    const field = (fields[type] = group.create(type));
    for (const event of ['ready', 'change', 'focus', 'blur', 'escape', 'submit', 'loaderror']) {
      field.on(event, (detail) => {
        heard.push(detail.elementType + ':' + event);
        if (event == 'change') last[type] = detail;
      });
    }
    field.mount(place);
  }
</script></html>`;
};

async function withSplit(page, use, setup) {
  await serve({ '/': html(setup) }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new SplitFields(page);
    await card.ready();
    await expect.poll(() => page.evaluate(`heard.filter((one) => one.endsWith(':ready')).length`)).toBe(3);
    await use(card, port);
  });
}

const tokenOf = (page, field = 'cardNumber') =>
  page.evaluate(async (type) => {
    const { token, error } = await cardseal.createToken(fields[type]);
    return token?.id ?? error.code;
  }, field);

test('the network of a co-badged card is chosen below the number, and stays when a field is mounted again', async ({ page }) => {
  await withSplit(page, async (card) => {
    const group = card.frames.number.getByRole('group', { name: 'Pay with' });
    await card.fill({ ...GOOD, number: '4000002500001001' });
    const cb = group.getByRole('radio', { name: 'Cartes Bancaires' });
    await expect(group.getByRole('radio', { name: 'Visa' })).not.toBeChecked();
    await expect(cb).not.toBeChecked();
    const box = await cb.boundingBox();
    expect(Math.min(box.width, box.height)).toBeGreaterThanOrEqual(24);
    // The frame makes room for it.
    await expect.poll(async () => (await page.locator('#number iframe').boundingBox()).height).toBeGreaterThan(70);
    await cb.check();
    await expect.poll(() => page.evaluate('last.cardNumber.network')).toBe('cartes_bancaires');
    await page.evaluate(() => fields.cardExpiry.unmount().mount('#expiry'));
    await card.ready();
    await card.expiry.pressSequentially(GOOD.expiry);
    await expect(cb).toBeChecked();
    const { token } = await page.evaluate(() => cardseal.createToken(fields.cardNumber));
    expect(token.card.networks).toEqual({ available: ['visa', 'cartes_bancaires'], preferred: 'cartes_bancaires' });
    await expect(group).toHaveCount(0);
  });
});

test('three frames make one token, and each says its own facts', async ({ page }) => {
  const violations = [];
  page.on('console', (message) => violations.push(message.text()));
  await withSplit(page, async (card) => {
    await card.fill(GOOD);
    await expect(card.number).toHaveValue('4242 4242 4242 4242');
    await expect(card.expiry).toHaveValue('12 / 40');
    await expect.poll(() => page.evaluate('Object.values(last).every((one) => one.complete)')).toBe(true);
    expect(await page.evaluate('last.cardNumber.brand')).toBe('visa');
    expect(await tokenOf(page, 'cardCvc')).toMatch(/^tok_/);
    await expect(card.cvc).toHaveValue('');
    expect(violations).toEqual([]);
  });
});

test('the number decides the code, across frames', async ({ page }) => {
  await withSplit(page, async (card) => {
    await card.fill(AMEX);
    await expect(card.number).toHaveValue('3782 822463 10005');
    await expect(card.cvc).toHaveAttribute('placeholder', 'CID');
    await card.cvc.fill('123');
    await page.locator('#after').focus();
    await expect.poll(() => card.isInvalid('cvc')).toBe(true);
    expect(await card.errorOf('cvc')).toMatch(/4 digits/);
    expect(await card.isInvalid('number')).toBe(false);
    await expect.poll(() => page.evaluate('last.cardCvc.error.code')).toBe('incomplete_cvc');
    expect(await page.evaluate('last.cardNumber.error')).toBeUndefined();
  });
});

test('what is wrong is said at its field, which gets the focus', async ({ page }) => {
  await withSplit(page, async (card) => {
    await card.fill({ ...GOOD, expiry: '12' });
    expect(await tokenOf(page)).toBe('incomplete_expiry');
    await expect(card.expiry).toBeFocused();
    await expect.poll(() => card.isInvalid('expiry')).toBe(true);
  });
});

test('a field page of which half has come is taken over once it is whole', async ({ page }) => {
  const half = { halts: (url) => url.includes('layout=field-expiry'), mark: '<input' };
  await halting(demos()[0].vault, half, async (vault, release) => {
    await serve({ '/': html('', vault) }, async (port) => {
      // It does not load for as long as a frame of its does not.
      await page.goto(`http://localhost:${port}/`, { waitUntil: 'commit' });
      const card = new SplitFields(page);
      // What drives the fields is there, and has looked for all of them.
      await card.number.fill('4242');
      await expect.poll(() => page.evaluate('window.last?.cardNumber?.brand')).toBe('visa');
      release();
      await card.ready();
      await card.fill({ ...GOOD, expiry: '12' });
      expect(await tokenOf(page)).toBe('incomplete_expiry');
      await expect.poll(() => card.isInvalid('expiry')).toBe(true);
      await card.expiry.fill('12/40');
      expect(await tokenOf(page)).toMatch(/^tok_/);
    });
  });
});

test('Tab goes from field to field, and Shift-Tab back', async ({ page, browserName }) => {
  await withSplit(page, async (card) => {
    await page.locator('#before').focus();
    for (const next of [card.number, card.expiry, card.cvc, page.locator('#after')]) {
      await page.keyboard.press('Tab');
      await expect(next).toBeFocused();
    }
    for (const next of [card.cvc, card.expiry, card.number, page.locator('#before')]) {
      await page.keyboard.press('Shift+Tab');
      await expect(next).toBeFocused();
    }
    expect(await page.evaluate('heard.filter((one) => /focus|blur/.test(one))')).toEqual(
      ['cardNumber', 'cardExpiry', 'cardCvc', 'cardCvc', 'cardExpiry', 'cardNumber'].flatMap((type) => [`${type}:focus`, `${type}:blur`]),
    );
    expect(browserName).toBe('chromium');
  });
});

test('each element has its verbs', async ({ page }) => {
  await withSplit(page, async (card) => {
    await page.evaluate('fields.cardExpiry.focus()');
    await expect(card.expiry).toBeFocused();
    await card.expiry.pressSequentially('1240');
    await card.number.pressSequentially('4242');
    await page.evaluate('fields.cardExpiry.clear()');
    await expect(card.expiry).toHaveValue('');
    await expect(card.number).toHaveValue('4242');
    await page.evaluate('fields.cardCvc.update({ disabled: true })');
    await expect(card.cvc).toBeDisabled();
    await expect(card.number).toBeEnabled();
    await page.evaluate(`group.update({ appearance: { theme: 'dark', variables: { colorText: '#abcdef' } } })`);
    for (const field of ['number', 'expiry', 'cvc']) {
      await expect.poll(() => card.frames[field].locator(':root').evaluate((root) => root.dataset.theme)).toBe('dark');
      expect(await card[field].evaluate((input) => getComputedStyle(input).color)).toMatch(/171, 205, 239/);
    }
    await card.number.press('Enter');
    await card.number.press('Escape');
    await expect.poll(() => page.evaluate('heard.slice(-2)')).toEqual(['cardNumber:submit', 'cardNumber:escape']);
  });
});

test('a field leaves and comes back; the others keep what they have', async ({ page }) => {
  await withSplit(page, async (card) => {
    await card.fill(GOOD);
    await page.evaluate('fields.cardCvc.unmount()');
    expect(await tokenOf(page)).toBe('incomplete_cvc');
    await page.evaluate(`fields.cardCvc.mount('#cvc')`);
    await expect(card.number).toHaveValue('4242 4242 4242 4242');
    await card.cvc.pressSequentially('123');
    expect(await tokenOf(page)).toMatch(/^tok_/);
  });
});

test('typed before the wasm arrives, in three frames, it survives', async ({ page }) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route(ENGINE, async (route) => {
    await held;
    await route.continue();
  });
  await serve({ '/': html() }, async (port) => {
    await page.goto(`http://localhost:${port}/`, { waitUntil: 'domcontentloaded' });
    const card = new SplitFields(page);
    await card.fill(GOOD);
    await expect(card.number).toHaveValue('4242424242424242');
    release();
    await expect(card.number).toHaveValue('4242 4242 4242 4242');
    await expect(card.cvc).toBeFocused();
    expect(await tokenOf(page)).toMatch(/^tok_/);
  });
});

test('a frame of another mount or key is not driven', async ({ page }) => {
  await withSplit(page, async (card) => {
    const [demo] = demos();
    const source = await page.locator('#number iframe').getAttribute('src');
    const alike = new URL(source);
    for (const [name, value] of [['mount', '0'.repeat(32)], ['mount', '']]) {
      const other = new URL(alike);
      other.searchParams.set(name, value);
      await page.evaluate((src) => {
        const frame = document.createElement('iframe');
        frame.src = src;
        frame.className = 'other';
        document.body.append(frame);
      }, other.href);
    }
    const others = page.locator('iframe.other');
    await expect(others).toHaveCount(2);
    for (let n = 0; n < 2; n += 1) {
      const input = others.nth(n).contentFrame().getByRole('textbox');
      await input.pressSequentially('5555555555554444');
      await expect(input).toHaveValue('5555555555554444');
    }
    await card.fill(GOOD);
    await expect(card.number).toHaveValue('4242 4242 4242 4242');
    expect(await tokenOf(page)).toMatch(/^tok_/);
    expect(demo.vault).toBe(alike.origin);
  });
});

test('no digit crosses a channel that the page can read', async ({ page }) => {
  const setup = `
  window.spied = [];
  const Channel = MessageChannel;
  window.MessageChannel = function () {
    const [page, frame] = [new Channel(), new Channel()];
    page.port2.onmessage = (event) => { spied.push(event.data); frame.port1.postMessage(event.data); };
    frame.port1.onmessage = (event) => { spied.push(event.data); page.port2.postMessage(event.data); };
    return { port1: page.port1, port2: frame.port2 };
  };
  addEventListener('message', (event) => spied.push(event.data), true);`;
  await withSplit(
    page,
    async (card) => {
      await card.fill(GOOD);
      expect(await tokenOf(page)).toMatch(/^tok_/);
      const spied = await page.evaluate('JSON.stringify(spied)');
      expect(spied).toContain('cardseal');
      expect(spied).not.toContain('424242');
      expect(spied).not.toMatch(/"(123|1240|12 \/ 40)"/);
    },
    setup,
  );
});

test('a hundred mounts of split fields leave no frame and no listener', async ({ page }) => {
  test.setTimeout(120_000);
  await withSplit(page, async () => {
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
          const ready = new Promise((resolve) => fields.cardNumber.once('ready', resolve));
          for (const [type, place] of [['cardNumber', '#number'], ['cardExpiry', '#expiry'], ['cardCvc', '#cvc']]) fields[type].mount(place);
          if (round % 10 === 0) await ready;
          for (const field of Object.values(fields)) field.unmount();
        }
      }, times);
    await page.evaluate('Object.values(fields).forEach((field) => field.unmount())');
    await cycle(1);
    const before = await count();
    await cycle(100);
    expect(await page.locator('iframe').count()).toBe(0);
    for (const name of ['JSEventListeners', 'Documents', 'Frames']) {
      await expect.poll(async () => (await count())[name], name).toBeLessThanOrEqual(before[name]);
    }
  });
});

test('split fields are refused in a shadow tree, with the reason', async ({ page }) => {
  await withSplit(page, async () => {
    const said = await page.evaluate(() => {
      const host = document.body.appendChild(document.createElement('div'));
      const inside = host.attachShadow({ mode: 'open' }).appendChild(document.createElement('div'));
      try {
        cardseal.elements().create('cardNumber').mount(inside);
      } catch (error) {
        return error.message;
      }
    });
    expect(said).toMatch(/shadow/);
  });
});
