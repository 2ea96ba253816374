/**
 * The core of the card form (type, format, keyboard, tokenise, pay, CSP) in each browser engine that the machine has, and in
 * those that can be started so once more without WebAssembly (Chromium's turn at that is the project `plain`):
 * `CARDSEAL_ENGINES` is a JSON object of `chromium`, `firefox` and `webkit` (MiniBrowser) to their programs; run.js fills
 * it and starts the demo. The full suite runs on Chromium, with Playwright.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newIntent } from '../pages/payments.js';
import { serve } from '../pages/serve.js';
import { open as puppeteer } from './puppeteer.js';
import { open as webdriver, until } from './webdriver.js';

const [demo] = JSON.parse(process.env.CARDSEAL_DEMOS);
const engines = JSON.parse(process.env.CARDSEAL_ENGINES);
/** Runs in the page: the frame's element, also where a shadow root holds it. */
const FRAME = () => (document.querySelector('#card').shadowRoot ?? document).querySelector('iframe');
const DRIVER_PORT = Number(process.env.CARDSEAL_DRIVER_PORT ?? 24_290);

const OPEN = {
  chromium: (program) => puppeteer('chrome', program),
  firefox: (program, hasWasm) => puppeteer('firefox', program, [], { 'javascript.options.wasm': hasWasm }),
  webkit: (program, hasWasm) =>
    webdriver(
      'xvfb-run',
      ['-a', 'WebKitWebDriver', `--port=${DRIVER_PORT}`],
      DRIVER_PORT,
      { 'webkitgtk:browserOptions': { binary: program, args: ['--automation'] } },
      { JSC_useWasm: String(Number(hasWasm)) },
    ),
};

const runs = Object.entries(engines).flatMap(([engine, program]) =>
  (engine === 'chromium' ? [true] : [true, false]).map((hasWasm) => ({ engine, program, hasWasm })),
);
for (const { engine, program, hasWasm } of runs) {
  describe(hasWasm ? engine : `${engine} without WebAssembly`, { timeout: 240_000 }, () => {
    let browser;
    before(async () => (browser = await OPEN[engine](program, hasWasm)));
    after(() => browser?.close());

    const value = (field) => browser.run((id) => document.getElementById(id).value, [field], FRAME);
    const focused = () => browser.run(() => document.hasFocus() && document.activeElement.id, [], FRAME);
    const typeCard = async () => {
      await browser.click('#number', FRAME);
      await browser.type('4242424242424242');
      await browser.press('Tab');
      await browser.type('1240');
      await browser.press('Tab');
      await browser.type('123');
    };
    const withCard = async (use, body = MOUNTED) =>
      serve({ '/': html(body) }, async (port, posts) => {
        await browser.goto(`http://localhost:${port}/`);
        await until(() => browser.run(() => window.heard?.includes('ready') || document.querySelector('cardseal-card')?.ready));
        await use(posts);
      });

    test('what is typed is grouped, and the caret stays where it is', async () => {
      await withCard(async () => {
        assert.equal(await browser.run(() => typeof WebAssembly, [], FRAME), hasWasm ? 'object' : 'undefined');
        await typeCard();
        assert.deepEqual([await value('number'), await value('expiry'), await value('cvc')], ['4242 4242 4242 4242', '12 / 40', '123']);
        await browser.click('#number', FRAME);
        await browser.press('Home');
        await browser.press('ArrowRight');
        await browser.type('5');
        await browser.press('Backspace');
        assert.equal(await value('number'), '4242 4242 4242 4242');
        assert.equal(await browser.run(() => document.getElementById('number').selectionStart, [], FRAME), 1);
      });
    });

    test('Tab leads through the fields and out, Shift+Tab back; Escape and Enter reach the page', async () => {
      await withCard(async () => {
        await browser.click('#number', FRAME);
        const way = [];
        for (const key of ['Tab', 'Tab', 'Tab']) {
          way.push(await focused());
          await browser.press(key);
        }
        assert.deepEqual(way, ['number', 'expiry', 'cvc']);
        assert.equal(await until(() => browser.run(() => document.activeElement.id)), 'pay');
        await browser.press('Shift+Tab');
        assert.equal(await until(focused), 'cvc');
        await browser.press('Escape');
        await browser.press('Enter');
        await until(() => browser.run(() => ['escape', 'submit'].every((event) => window.heard.includes(event))));
      });
    });

    test('a card becomes a token, and pays', async () => {
      await withCard(async () => {
        await typeCard();
        await until(() => browser.run(() => window.isComplete));
        const token = await browser.run(() => cardseal.createToken(window.card).then((result) => result.token?.id ?? result.error.code));
        assert.match(token, /^tok_/);
        // Number and code went with the token.
        await until(() => browser.run(() => !window.isComplete));
        await typeCard();
        await until(() => browser.run(() => window.isComplete));
        const { client_secret: secret } = await newIntent({}, demo);
        const status = await browser.run(
          (clientSecret) =>
            cardseal.confirmCardPayment(clientSecret, { payment_method: { card: window.card } }).then((result) => result.paymentIntent?.status ?? result.error.code),
          [secret],
        );
        assert.equal(status, 'succeeded');
      });
    });

    test('a plain form with <cardseal-card> posts a token', async () => {
      await withCard(async (posts) => {
        await typeCard();
        await browser.click('#pay');
        await until(() => posts.length);
        assert.match(posts[0].get('cardseal_token'), /^tok_/);
      }, `<form action="/pay" method="post"><cardseal-card id="card" publishable-key="${demo.publishable_key}" required></cardseal-card><button id="pay">Pay</button></form>
<script>document.querySelector('cardseal-card').addEventListener('ready', ({ target }) => (target.ready = true))</script>`);
    });

    test('the frame runs no other script and sends nowhere else', async () => {
      await withCard(async () => {
        const outcome = await browser.run(async (elsewhere) => {
          const violated = [];
          document.addEventListener('securitypolicyviolation', (event) => violated.push(event.effectiveDirective));
          const script = document.createElement('script');
          script.append('window.isHacked = true');
          document.head.append(script);
          document.body.append(Object.assign(document.createElement('img'), { src: `${elsewhere}/x.png` }));
          const sent = await fetch(elsewhere).then(() => 'sent', () => 'refused');
          await new Promise((resolve) => setTimeout(resolve, 200));
          return { isHacked: window.isHacked ?? false, sent, violated: violated.sort() };
        }, ['http://127.0.0.1:1'], FRAME);
        assert.equal(outcome.isHacked, false);
        assert.equal(outcome.sent, 'refused');
        // Text in a script element: Trusted Types refuse it, or script-src does where there are none.
        for (const directive of [/connect-src/, /img-src/, /require-trusted-types-for|script-src/]) assert.match(outcome.violated.join(), directive);
      });
    });
  });
}

const MOUNTED = `<div id="card"></div><button id="pay">Pay</button>
<script>
  window.heard = [];
  window.cardseal = Cardseal('${demo.publishable_key}');
  window.card = cardseal.elements().create('card');
  for (const event of ['ready', 'escape', 'submit', 'loaderror']) card.on(event, () => heard.push(event));
  card.on('change', ({ complete }) => (window.isComplete = complete));
  card.mount('#card');
</script>`;

const html = (body) => `<!doctype html><html lang="en"><title>A page</title><script src="${demo.vault}/v1/cardseal.js"></script>${body}</html>`;
