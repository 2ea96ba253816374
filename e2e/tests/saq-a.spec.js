/** docs/saq-a.md: its policy pays word for word, and `cargo xtask saq-a-check` tells good pages from bad ones. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { newIntent } from '../pages/payments.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path) => readFileSync(`${root}/${path}`, 'utf8');
const demo = () => demos()[0];

/** The policy as the document has it, for the demo's origins. */
const policy = () =>
  /```\n(default-src [^\n]+)\n```/.exec(read('docs/saq-a.md'))[1]
    .replaceAll('https://vault.example', demo().vault)
    .replaceAll('https://payments.example', new URL(demo().payments).origin);

const manifest = () => JSON.parse(read('target/frame/manifest.json'));
const loader = () => `<script src="${demo().vault}/v1/cardseal-${manifest().version}.js" integrity="${manifest().loader.integrity}" crossorigin="anonymous"></script>`;
const SCRIPT = { type: 'text/javascript', body: `
  window.cardseal = Cardseal(document.body.dataset.key);
  window.card = cardseal.elements().create('card').mount('#card');
` };
const page = (more = '', tag = loader()) => `<!doctype html><html lang="en"><title>Pay</title>${tag}
<body data-key="${demo().publishable_key}"><form method="post"><label>Mail <input name="email" type="email"></label></form><div id="card"></div>${more}
<script src="/pay.js"></script></body></html>`;
const good = () => ({
  'content-security-policy': policy(),
  'reporting-endpoints': 'csp="/csp-reports"',
  'x-content-type-options': 'nosniff',
});

test('a page under the policy of the document pays, and nothing violates it', async ({ page: browserPage }) => {
  const violations = [];
  browserPage.on('console', (message) => /content.security.policy|trusted/i.test(message.text()) && violations.push(message.text()));
  await serve({ '/': { headers: good(), body: page() }, '/pay.js': SCRIPT }, async (port) => {
    await browserPage.goto(`http://localhost:${port}/`);
    const card = new CardFields(browserPage);
    await card.ready();
    await card.fill(GOOD);
    const { client_secret: secret } = await newIntent();
    const { paymentIntent } = await browserPage.evaluate((secret) => cardseal.confirmCardPayment(secret, { payment_method: { card: window.card } }), secret);
    expect(paymentIntent.status).toBe('succeeded');
    expect(violations).toEqual([]);
  });
});

test('a page that follows the instructions has nothing that breaks eligibility', async () => {
  await serve({ '/': { headers: good(), body: page() }, '/pay.js': SCRIPT }, async (port) => {
    const { code, findings } = await check(`http://localhost:${port}/`);
    expect(findings).toEqual([expect.objectContaining({ level: 'warn', rule: 'https' })]);
    expect(code).toBe(0);
  });
});

for (const [name, change, rules] of [
  ['an input for the number', () => ({ more: '<label>Card number <input name="n"></label>' }), ['card_input']],
  ['an input by its autocomplete', () => ({ more: '<input autocomplete="billing cc-csc">' }), ['card_input']],
  ['an input in a shadow root', () => ({ script: 'const host = document.createElement("p"); document.body.append(host); const input = document.createElement("input"); input.name = "cvv"; host.attachShadow({ mode: "open" }).append(input);' }), ['card_input']],
  ['an input in a frame of its own', () => ({ more: '<iframe src="/inner"></iframe>', policy: (text) => text.replace('frame-src', "frame-src 'self'").replace("frame-ancestors 'none'", "frame-ancestors 'self'") }), ['card_input']],
  ['the loader for development', () => ({ tag: `<script src="${demo().vault}/v1/cardseal.js"></script>` }), ['loader_release']],
  ['no integrity', () => ({ tag: loader().replace(/integrity="[^"]*" /, '') }), ['loader_integrity']],
  ['a loader of its own', () => ({ tag: '<script src="/cardseal.js"></script>' }), ['loader']],
  ['no policy', () => ({ policy: () => '' }), ['csp']],
  ['inline scripts allowed', () => ({ policy: (text) => text.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'") }), ['csp_scripts']],
  ['any https script allowed', () => ({ policy: (text) => text.replace("script-src 'self'", "script-src 'self' https:") }), ['csp_scripts']],
  ['frames not restricted', () => ({ policy: (text) => text.replace(/default-src 'none';|frame-src[^;]*;/g, '') }), ['csp_frames']],
  ['a third party’s script', () => ({ third: true }), ['script_inventory']],
  ['the vault not framed', () => ({ policy: (text) => text.replace(/frame-src[^;]*/, "frame-src 'none'") }), ['card_frame']],
]) {
  test(`the check finds ${name}, and says what to do`, async () => {
    await serve({ '/third.js': { type: 'text/javascript', body: 'window.third = true' } }, async (third) => {
      const { more = '', tag = loader(), policy: edit = (text) => text, script = '', ...rest } = change();
      const elsewhere = `http://127.0.0.1:${third}`;
      const content = edit(policy()).replace("script-src 'self'", rest.third ? `script-src 'self' ${elsewhere}` : "script-src 'self'");
      const headers = { ...good(), ...(content ? { 'content-security-policy': content } : {}) };
      if (!content) delete headers['content-security-policy'];
      const body = page(more + (rest.third ? `<script src="${elsewhere}/third.js"></script>` : ''), tag);
      const inner = { headers: { 'content-security-policy': "default-src 'none'" }, body: '<!doctype html><title>Inner</title><label>CVC <input></label>' };
      const files = { '/': { headers, body }, '/inner': inner, '/pay.js': { ...SCRIPT, body: SCRIPT.body + script }, '/cardseal.js': { type: 'text/javascript', body: '' } };
      await serve(files, async (port) => {
        const { code, findings } = await check(`http://localhost:${port}/`);
        const broken = findings.filter((finding) => finding.level === 'fail');
        expect([...new Set(broken.map((finding) => finding.rule))]).toEqual(rules);
        expect(broken.every((finding) => finding.advice.length > 10)).toBe(true);
        expect(code).toBe(1);
      });
    });
  });
}

test('a third party’s script that the inventory accounts for is no obstacle', async ({}, info) => {
  await serve({ '/third.js': { type: 'text/javascript', body: '' } }, async (third) => {
    const url = `http://127.0.0.1:${third}/third.js`;
    const headers = { ...good(), 'content-security-policy': policy().replace("script-src 'self'", `script-src 'self' ${new URL(url).origin}`) };
    await serve({ '/': { headers, body: page(`<script src="${url}"></script>`) }, '/pay.js': SCRIPT }, async (port) => {
      const inventory = info.outputPath('inventory.json');
      writeFileSync(inventory, JSON.stringify({ scripts: [{ url, why: 'Pick-up points' }, { url: `http://localhost:${port}/pay.js`, why: 'Our form' }] }));
      const { code, findings } = await check(`http://localhost:${port}/`, '--inventory', inventory);
      expect(findings.filter((finding) => finding.level === 'fail')).toEqual([]);
      expect(findings.map((finding) => finding.rule)).toEqual(['https', 'script_integrity']);
      expect(code).toBe(0);
    });
  });
});

test('the demo shop’s own checkout, whose loader is the one for development', async ({ page: browserPage }) => {
  await browserPage.goto(demo().shop);
  await browserPage.locator('form[action="/orders"] button').first().click();
  await browserPage.waitForURL(/\/checkout\//);
  // The order is its buyer's alone: the check has no cookie, sees a page without the form, and says so.
  const { code, findings } = await check(browserPage.url());
  expect(findings.map((finding) => finding.rule)).toEqual(expect.arrayContaining(['page', 'loader']));
  expect(code).toBe(1);
});

test('what cannot be looked at is exit code 2, in words', async () => {
  const { code, said } = await check('http://localhost:1/');
  expect(code).toBe(2);
  expect(said).toMatch(/saq-a-check: .*ERR_/);
});

/** Runs the check as `cargo xtask saq-a-check URL --json` does. */
function check(url, ...more) {
  const args = [`${root}/e2e/saq-a/check.js`, url, '--json', ...more];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { maxBuffer: 1e7 }, (error, stdout, stderr) => {
      const findings = stdout ? JSON.parse(stdout).findings : [];
      resolve({ code: error?.code ?? 0, findings, said: stderr });
    });
  });
}
