/**
 * Measures the card frame in Chromium beside a form in plain JavaScript (`form.html`), and prints the figures as JSON for
 * `cargo xtask bench`. `CARDSEAL_XTASK` is a program beside the vault to be measured.
 *
 * Page and frames share a renderer here, so that one throttle slows all of them and one process has all the memory; the
 * process of its own that a cross-site frame gets comes on top, for any form.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { brotliCompressSync } from 'node:zlib';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from '@playwright/test';
import puppeteer from 'puppeteer-core';
import { serve } from '../pages/serve.js';
import { Vault } from '../vault.js';

const LIMITS = ['sessions-per-address', 'sessions-per-key', 'tokens-per-session', 'tokens-per-address', 'tokens-per-key', 'tokens-per-bin'];
const SAMPLES = 9;
const SAMPLES_SLOW = 5;
/** The DevTools preset. */
const SLOW_4G = { offline: false, latency: 562.5, downloadThroughput: (1.44e6 * 0.9) / 8, uploadThroughput: (0.75e6 * 0.9) / 8 };
const FAST = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
const FRAME_MS = 1000 / 60;

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const sorted = (values) => values.toSorted((a, b) => a - b);
const at = (values, share) => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * share))];
const median = (values) => at(values, 0.5);

/** The baseline's document, served as the vault serves its own: brotli, `no-cache`, hashes. */
function baseline() {
  const style = read('../../checkout-wasm/frame.css');
  const form = read('form.html');
  const script = form.split('<script type="module">')[1].split('</script>')[0];
  const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const html = `<!doctype html><html data-layout="card" lang="en"><meta charset="utf-8"><title>Card details</title><style>${style}</style>${form.slice(form.indexOf('<form'))}`;
  const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; require-trusted-types-for 'script'`;
  const headers = { 'content-encoding': 'br', 'cache-control': 'no-cache', 'content-security-policy': policy };
  return { headers, body: brotliCompressSync(html) };
}

/** A page that mounts either form and says when each is ready. Its own frame is of the other site, as the vault's is. */
const page = (vault, other) => `<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">
<div id="card"></div><div id="number"></div><div id="expiry"></div><div id="cvc"></div>
<script src="${vault.vault}/v1/cardseal.js"></script>
<script>
  const now = () => performance.timeOrigin + performance.now();
  const cardseal = Cardseal('${vault.publishable_key}');
  window.mounts = {
    cardseal: (resolve) => (window.card = cardseal.elements().create('card').on('ready', resolve).mount('#card')),
    split: (resolve) => {
      const group = cardseal.elements();
      let left = 3;
      window.fields = [['cardNumber', '#number'], ['cardExpiry', '#expiry'], ['cardCvc', '#cvc']].map(([type, place]) =>
        group.create(type).on('ready', () => (left -= 1) || resolve()).mount(place));
    },
    plain: (resolve) => {
      addEventListener('message', ({ data }) => data.type == 'ready' && resolve(), { once: true });
      const frame = document.createElement('iframe');
      frame.src = '${other}/form';
      document.querySelector('#card').append(frame);
    },
  };
  window.mount = async (kind) => {
    const began = now();
    await new Promise((resolve) => mounts[kind](resolve));
    return { began, ready: now() };
  };
  window.remount = async (kind, count) => {
    for (let n = 0; n < count; n += 1) {
      await mount(kind);
      if (kind == 'cardseal') card.destroy();
      document.querySelector('#card').replaceChildren();
    }
  };
</script></html>`;

/** In every frame: when the input was there, when the rules were, and how long each key took until after the paint that followed. */
function watch() {
  window.keys = [];
  // What runs the rules tells the form's facts as soon as it has taken over.
  const { postMessage } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function (message, ...rest) {
    if (message?.type === 'change') window.hasRules ??= performance.timeOrigin + performance.now();
    return postMessage.call(this, message, ...rest);
  };
  const seen = new MutationObserver(() => {
    if (parent === window || !document.querySelector('input#number')) return;
    window.takesKeys = performance.timeOrigin + performance.now();
    seen.disconnect();
  });
  seen.observe(document, { childList: true, subtree: true });
  const timed = ({ timeStamp }) =>
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        window.keys.push(performance.now() - timeStamp);
      };
      port2.postMessage(0);
    });
  addEventListener('keydown', timed, true);
}

const frameOf = async (tab) => {
  for (;;) {
    for (const frame of tab.frames().slice(1)) {
      if (await frame.evaluate(() => window.takesKeys !== undefined).catch(() => false)) return frame;
    }
  }
};

/** One mount on a fresh page: milliseconds to the input, to ready, and to the rules, which the plain form has then. */
async function load(context, url, kind, { cpu, network, isCold }) {
  const tab = await context.newPage();
  const devtools = await context.newCDPSession(tab);
  await devtools.send('Network.enable');
  if (isCold) await devtools.send('Network.clearBrowserCache');
  // The page and its loader are there: what is measured begins with the mount.
  await tab.goto(url);
  await devtools.send('Network.emulateNetworkConditions', network);
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: cpu });
  const { began, ready } = await tab.evaluate((kind) => mount(kind), kind);
  const frame = await frameOf(tab);
  const keys = (await frame.evaluate(() => window.takesKeys)) - began;
  if (kind === 'cardseal') await frame.waitForFunction(() => window.hasRules);
  const rules = ((await frame.evaluate(() => window.hasRules)) ?? ready) - began;
  await tab.close();
  return { keys, ready: ready - began, rules };
}

/** Loads under each condition, the two forms by turns. */
async function loads(context, url, figures) {
  for (const [network, slow] of [[FAST, ''], [SLOW_4G, '_4g']]) {
    for (const cpu of [1, 4]) {
      for (const isCold of [true, false]) {
        const taken = { cardseal: [], plain: [] };
        const samples = slow ? SAMPLES_SLOW : SAMPLES;
        // The first of each warms up, or fills the cache.
        for (let n = 0; n <= samples; n += 1) {
          for (const kind of Object.keys(taken)) {
            const one = await load(context, url, kind, { cpu, network, isCold });
            if (n) taken[kind].push(one);
          }
        }
        for (const [what, asked] of [['keys', 1.1], ['ready', slow ? 2.4 : 1.5], ['rules']]) {
          const [ours, theirs] = ['cardseal', 'plain'].map((kind) => taken[kind].map((one) => one[what]));
          const p50 = median(theirs);
          figures.push({
            name: `frame_${what}_${isCold ? 'cold' : 'warm'}_${cpu}x${slow}`,
            p50_ms: median(ours),
            p99_ms: at(ours, 0.99),
            ratio: median(ours) / p50,
            baseline: `plain form ${p50.toFixed(0)} ms${asked ? `; asked <= ${asked}` : ''}`,
          });
        }
      }
    }
  }
}

/** Keys into the number, five times over, at 1x and 4x. */
async function typing(context, url, figures) {
  for (const cpu of [1, 4]) {
    const taken = {};
    for (const kind of ['cardseal', 'plain']) {
      const tab = await context.newPage();
      const devtools = await context.newCDPSession(tab);
      await tab.goto(url);
      await tab.evaluate((kind) => mount(kind), kind);
      const frame = await frameOf(tab);
      await devtools.send('Emulation.setCPUThrottlingRate', { rate: cpu });
      await frame.locator('#number').focus();
      for (let round = 0; round < 6; round += 1) {
        await frame.locator('#number').fill('');
        if (round === 1) await frame.evaluate(() => (window.keys.length = 0));
        await tab.keyboard.type('4242424242424242', { delay: 40 });
      }
      await tab.waitForTimeout(200);
      taken[kind] = await frame.evaluate(() => window.keys);
      await tab.close();
    }
    const [ours, theirs] = [taken.cardseal, taken.plain].map((keys) => at(keys, 0.95));
    figures.push({
      name: `frame_key_paint_${cpu}x`,
      p50_ms: median(taken.cardseal),
      p99_ms: at(taken.cardseal, 0.99),
      ratio: ours / theirs,
      baseline: `p95 ${ours.toFixed(1)} ms; plain form ${theirs.toFixed(1)} ms; asked <= ${(2 * FRAME_MS).toFixed(1)} ms at 4x`,
    });
  }
}

/**
 * A tab without the drivers' page around it: Playwright's and puppeteer's turn the network domain on, for which the renderer
 * keeps the body of every answer, some 0.25 MB a mount.
 */
class Tab {
  static #opened = 0;

  static async open(browser, url) {
    const devtools = await browser.target().createCDPSession();
    // An address of its own, to be found by.
    const own = `${url}#${(Tab.#opened += 1)}`;
    // And a profile of its own: its process begins with it.
    const { browserContextId } = await devtools.send('Target.createBrowserContext');
    await devtools.send('Target.createTarget', { url: own, browserContextId });
    const target = await browser.waitForTarget((one) => one.url() === own);
    const tab = new Tab(devtools, browserContextId, await target.createCDPSession());
    while (!(await tab.run('Boolean(window.mount)'))) await sleep(50);
    // What starting takes is given back by then.
    await sleep(1000);
    return tab;
  }

  constructor(browser, browserContextId, page) {
    Object.assign(this, { browser, browserContextId, page });
  }

  async run(expression) {
    const { result, exceptionDetails } = await this.page.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async close() {
    await this.browser.send('Target.disposeBrowserContext', { browserContextId: this.browserContextId });
    await this.browser.detach();
  }
}

/** The renderers' memory by process, MB: their own pages and their share of those that several have. */
async function memory(tab) {
  for (let round = 0; round < 3; round += 1) {
    await tab.page.send('HeapProfiler.collectGarbage');
    await sleep(200);
  }
  const { processInfo } = await tab.browser.send('SystemInfo.getProcessInfo');
  const pss = (id) => Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, 'utf8'))[1]) / 1024;
  return new Map(processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => [id, pss(id)]));
}

/** What was added to the processes that were there before: Chromium starts a spare one now and then. */
const grown = (before, after) =>
  [...before].reduce((sum, [id, megabytes]) => sum + (after.has(id) ? after.get(id) - megabytes : 0), 0);

/** Memory added by a mount of each kind, and by a hundred that were taken off again. */
async function memories(browser, url, figures) {
  const added = {};
  for (const kind of ['plain', 'cardseal', 'split', '100 plain', '100 cardseal']) {
    const several = [];
    for (let n = 0; n < 5; n += 1) {
      const tab = await Tab.open(browser, url);
      const [, repeated] = kind.split(' ');
      if (repeated) {
        // What the first mounts leave for good (compiled code, caches) is not what a leak is.
        await tab.run(`remount('${repeated}', 10)`);
        const before = await memory(tab);
        await tab.run(`remount('${repeated}', 100)`);
        several.push(grown(before, await memory(tab)));
        if (n === 1) {
          await tab.close();
          break;
        }
      } else {
        const before = await memory(tab);
        await tab.run(`mount('${kind}')`);
        await sleep(300);
        several.push(grown(before, await memory(tab)));
      }
      await tab.close();
    }
    added[kind] = median(several);
  }
  const beside = `plain form ${added.plain.toFixed(1)} MB`;
  for (const [name, kind] of [['frame_memory', 'cardseal'], ['frame_memory_split', 'split']]) {
    figures.push({ name, rss_mb: added[kind], ratio: added[kind] / added.plain, baseline: beside });
  }
  const [ours, theirs] = [added['100 cardseal'], added['100 plain']];
  const hundred = `plain form ${theirs.toFixed(1)} MB; both over what 10 mounts left`;
  figures.push({ name: 'frame_after_100_mounts', rss_mb: ours, ratio: ours / theirs, baseline: hundred });
}

/** What is fetched, brotli, against its budget. */
function sizes(form, figures) {
  const { sizes } = JSON.parse(read('../../target/frame/manifest.json'));
  for (const [name, bytes, budget] of [
    ['frame_loader_bytes', sizes.loader.brotli, 5000],
    ['frame_bytes', sizes.frame_brotli_total, 60000],
    ['frame_no_wasm_bytes', sizes.plain.brotli, 15000],
  ]) {
    figures.push({ name, bytes, ratio: bytes / budget, baseline: `budget ${budget}` });
  }
  figures.push({ name: 'frame_baseline_bytes', bytes: form.body.length, baseline: 'the plain form' });
}

const figures = [];
const form = baseline();
sizes(form, figures);
const options = LIMITS.flatMap((limit) => [`--limit-${limit}`, 'off']);
const args = ['--disable-site-isolation-trials', '--disable-features=IsolateOrigins,SitePerProcess', '--disable-background-networking'];
const launch = { executablePath: process.env.CARDSEAL_CHROMIUM, args: process.getuid() === 0 ? ['--no-sandbox', ...args] : args };
let browser = await chromium.launch(launch);
await Vault.with({ options }, async (vault) => {
  const files = { '/form': form };
  await serve(files, async (port) => {
    files['/'] = page(vault, `http://127.0.0.1:${port}`);
    const url = `http://localhost:${port}/`;
    const context = await browser.newContext();
    await context.addInitScript(watch);
    await loads(context, url, figures);
    await typing(context, url, figures);
    await browser.close();
    browser = await puppeteer.launch(launch);
    await memories(browser, url, figures);
  });
});
await browser.close();
console.log(JSON.stringify(figures));
