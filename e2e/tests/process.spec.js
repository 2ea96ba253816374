/**
 * What happens to the page from outside: another tab is put over it, or the frame's process ends. Playwright keeps every page
 * in sight and takes a crashed frame for a crashed page, so this goes by puppeteer.
 */
import { expect, test } from '@playwright/test';
import { open } from '../engines/puppeteer.js';
import { drive } from '../pages/driver.js';
import { GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { Vault } from '../vault.js';

const MINUTE = 60_000;
/** The loader notices within 12 seconds, and has 10 for a frame that does not come. */
const NOTICED = { timeout: 40_000 };

/** In each document: `pass(ms)` moves the clock and runs the timers of a minute and more that fell due, `doze(ms)` runs none. */
function clock() {
  const { setTimeout, clearTimeout } = window;
  const { now } = Date;
  const timers = new Map();
  let ahead = 0;
  let last = 0;
  Date.now = () => now() + ahead;
  window.setTimeout = (act, ms, ...given) => {
    if (!(ms >= 60_000)) return setTimeout(act, ms, ...given);
    timers.set((last -= 1), { act, due: Date.now() + ms });
    return last;
  };
  window.clearTimeout = (id) => (timers.delete(id) ? undefined : clearTimeout(id));
  window.doze = (ms) => (ahead += ms);
  window.pass = (ms) => {
    doze(ms);
    for (const [id, { act, due }] of timers) if (due <= Date.now() && timers.delete(id)) act();
  };
}

/** Runs `use(page, vault)` on a page with the elements in `body`, all ready; in the engine that the project is about. */
async function withPage(info, body, use) {
  const { executablePath, args } = info.project.use.launchOptions;
  const browser = await open('chrome', executablePath, args);
  try {
    await browser.prepare(clock);
    await Vault.with({}, async (vault) => {
      const html = `<!doctype html><html lang="en"><title>A page</title><script src="${vault.vault}/v1/cardseal.js"></script>
<script>
  const cardseal = Cardseal('${vault.publishable_key}');
  const group = cardseal.elements();
  const heard = [];
  let facts;
  const make = (type, place) => group.create(type).on('ready', () => heard.push('ready')).on('change', (change) => (facts = change))
    .on('loaderror', ({ reason }) => heard.push(reason)).mount(place);
</script>${body}`;
      await serve({ '/': html }, async (port) => {
        await browser.goto(`http://localhost:${port}/`);
        await use(browser, vault);
      });
    });
  } finally {
    await browser.close();
  }
}

const CARD = '<div id="card"></div><script>const card = make("card", "#card")</script>';
const SPLIT = `<div id="number"></div><div id="expiry"></div><div id="cvc"></div>
<script>make('cardNumber', '#number'); const card = make('cardExpiry', '#expiry'); make('cardCvc', '#cvc')</script>`;

const heard = (browser) => browser.run(() => heard.splice(0));
/** Puts a good card into what is mounted at `places`. */
const fill = async (browser, places = ['#card']) => {
  for (const place of places) {
    await browser.run(`(${drive})(document.querySelector('${place}'), ${JSON.stringify({ fill: GOOD })})`);
  }
  await expect.poll(() => browser.run(() => facts?.complete)).toBe(true);
};
const tokenise = (browser) => browser.run(() => cardseal.createToken(card));
const values = (browser) =>
  browser.run(() => ['number', 'expiry', 'cvc'].map((id) => document.getElementById(id).value), [], () => document.querySelector('iframe'));
const inFrame = (browser, act, ms) => browser.run(`${act}(${ms})`, [], () => document.querySelector('iframe'));

/** Types a good card, as a buyer does. */
const type = async (browser) => {
  const frame = () => document.querySelector('iframe');
  for (const [field, text] of Object.entries(GOOD)) {
    await browser.run((id) => (document.getElementById(id).value = ''), [field], frame);
    await browser.click(`#${field}`, frame);
    await browser.type(text);
  }
  await expect.poll(() => browser.run(() => facts?.complete)).toBe(true);
};

test('another tab in front: the code goes after five minutes, the rest stays', async ({}, info) => {
  await withPage(info, CARD, async (browser) => {
    await expect.poll(() => heard(browser)).toEqual(['ready']);
    for (const passes of ['pass', 'doze']) {
      await type(browser);
      let show = await browser.hide();
      await inFrame(browser, passes, 4 * MINUTE);
      await show();
      // The buyer came back from the banking app in time, and has five minutes again.
      expect(await values(browser)).toEqual(['4242 4242 4242 4242', '12 / 40', '123']);
      show = await browser.hide();
      await inFrame(browser, passes, 4 * MINUTE);
      expect(await values(browser)).toEqual(['4242 4242 4242 4242', '12 / 40', '123']);
      await inFrame(browser, passes, MINUTE + 1000);
      // A page that dozed finds out when it is seen again.
      if (passes === 'doze') await show();
      await expect.poll(() => values(browser)).toEqual(['4242 4242 4242 4242', '12 / 40', '']);
      await expect.poll(() => browser.run(() => facts.complete)).toBe(false);
      if (passes === 'pass') await show();
    }
    await type(browser);
    const show = await browser.hide();
    await inFrame(browser, 'doze', 16 * MINUTE);
    await show();
    await expect.poll(() => values(browser)).toEqual(['', '12 / 40', '']);
  });
});

for (const [name, body, places] of [['one frame', CARD, ['#card']], ['split fields', SPLIT, ['#number', '#expiry', '#cvc']]]) {
  test(`the frame’s process ends, of ${name}: the call is answered, and the form comes again`, async ({}, info) => {
    await withPage(info, body, async (browser, vault) => {
      const ready = places.map(() => 'ready');
      await expect.poll(() => browser.run(() => heard)).toEqual(ready);
      await fill(browser, places);
      await heard(browser);
      
      let answer;
      await browser.crash(places.length > 1 ? 'layout=split' : '/v1/frame', async (request) => {
        vault.pause();
        const posted = request();
        answer = tokenise(browser);
        await posted;
      });
      expect((await answer).error).toEqual({
        type: 'api_connection_error',
        code: 'frame_reloaded',
        message: 'The card form was lost. Fill it in again.',
      });
      vault.resume();
      await expect.poll(() => browser.run(() => heard), NOTICED).toEqual(ready);
      await expect.poll(() => browser.run(() => facts.complete)).toBe(false);
      await fill(browser, places);
      expect((await tokenise(browser)).token.id).toMatch(/^tok_/);
    });
  });
}

test('the process of a frame that nobody waits for ends: noticed too; and one that cannot come again is said to fail', async ({}, info) => {
  await withPage(info, CARD, async (browser, vault) => {
    await fill(browser);
    await heard(browser);
    await vault.stop();
    await browser.crash('/v1/frame');
    await expect.poll(() => browser.run(() => heard), NOTICED).toEqual(['blocked']);
    expect((await tokenise(browser)).error).toMatchObject({ type: 'api_connection_error', code: 'blocked' });
    await vault.start();
    await heard(browser);
    await browser.run(() => void card.mount('#card'));
    await expect.poll(() => heard(browser)).toEqual(['ready']);
    await fill(browser);
    expect((await tokenise(browser)).token.id).toMatch(/^tok_/);
  });
});

test('a vault that takes the call and says nothing: the form is said to fail, and may be mounted again', async ({}, info) => {
  await withPage(info, '<div id="card"></div>', async (browser, vault) => {
    vault.pause();
    await browser.run(() => void (window.late = make('card', '#card')));
    await expect.poll(() => browser.run(() => heard), NOTICED).toEqual(['blocked']);
    vault.resume();
    await browser.run(() => void heard.splice(0));
    await browser.run(() => void late.mount('#card'));
    await expect.poll(() => browser.run(() => heard)).toEqual(['ready']);
  });
});
