/** `@cardseal/react`, installed from the tarballs that npm would publish into a fresh React app: StrictMode, SSR, a payment. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { newIntent } from '../pages/payments.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

const e2e = fileURLToPath(new URL('..', import.meta.url));
const sdk = fileURLToPath(new URL('../../checkout-wasm/sdk/', import.meta.url));
const { devDependencies: versions } = JSON.parse(readFileSync(join(e2e, 'package.json'), 'utf8'));
/** Only known once the setup has run, which is after this file is read. */
const demo = () => demos()[0];
let app;

const run = (program, args, cwd) => execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

test.beforeAll(() => {
  test.setTimeout(180_000);
  app = mkdtempSync(join(tmpdir(), 'cardseal-react-'));
  const tarballs = [sdk, join(sdk, 'react')].map((folder) => {
    const [packed] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', app], folder));
    expect(packed.files.map((file) => file.path).sort()).toEqual(['index.d.ts', 'index.js', 'package.json']);
    return join(app, packed.filename);
  });
  writeFileSync(join(app, 'package.json'), '{ "name": "shop", "private": true, "type": "module" }');
  const others = ['react', 'react-dom', '@types/react'].map((name) => `${name}@${versions[name]}`);
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...others, ...tarballs], app);
  for (const folder of ['react', 'types']) cpSync(join(e2e, folder), join(app, folder), { recursive: true });
  const build = (from, to, ...more) =>
    run(join(e2e, 'node_modules/.bin/esbuild'), [`react/${from}`, '--bundle', '--jsx=automatic', '--define:process.env.NODE_ENV="development"', `--outfile=${to}`, ...more], app);
  build('app.jsx', 'app.js');
  // The packages themselves run on node as they were packed.
  build('server.jsx', 'server.js', '--platform=node', '--format=esm', '--packages=external');
});

test.afterAll(() => rmSync(app, { recursive: true, force: true }));

test('the types take what is right and refuse what is wrong', () => {
  let said = '';
  try {
    run(process.execPath, [join(e2e, 'node_modules/typescript/bin/tsc'), '-p', 'types/tsconfig.react.json'], app);
  } catch (failed) {
    said = failed.stdout;
  }
  expect(said).toBe('');
});

test('rendered on a server, hydrated in StrictMode, one frame is loaded, and the app is paid', async ({ page }) => {
  await withApp(page, async ({ frames, faults }) => {
    const card = new CardFields(page);
    await card.ready();
    await expect.poll(() => page.evaluate('heard')).toEqual(['function']);
    await expect(page.locator('#pay')).toBeDisabled();
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await expect(page.locator('#said')).toHaveText('succeeded');
    expect(frames).toHaveLength(1);
    expect(await faults()).toEqual([]);
  });
});

test('new options reach the form that is there; a new key makes a new form; gone is gone', async ({ page }) => {
  await withApp(page, async ({ frames, faults }) => {
    const card = new CardFields(page);
    await card.ready();
    await card.number.pressSequentially('4242');
    await page.locator('#dark').click();
    await expect(card.frame.locator(':root')).toHaveAttribute('data-theme', 'dark');
    await expect(card.number).toHaveValue('4242');
    expect(frames).toHaveLength(1);
    await page.locator('#anew').click();
    await card.ready();
    await expect(card.number).toHaveValue('');
    expect(frames).toHaveLength(2);
    await page.locator('#away').click();
    await expect(page.locator('iframe')).toHaveCount(0);
    await page.locator('#away').click();
    await card.ready();
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await expect(page.locator('#said')).toHaveText('succeeded');
    expect(await faults()).toEqual([]);
  });
});

/** Serves the app as its server would render it. */
async function withApp(page, use) {
  const { client_secret: secret } = await newIntent();
  const settings = JSON.stringify({ key: demo().publishable_key, vault: demo().vault, secret });
  const rendered = run(process.execPath, ['server.js', settings], app);
  expect(rendered).toContain('<div id="card" class="card"></div>');
  const html = `<!doctype html><html lang="en"><title>A shop</title><div id="root">${rendered}</div>
<script>window.settings = ${settings}; window.heard = []; window.faults = [];</script><script src="/app.js"></script></html>`;
  const frames = [];
  const said = [];
  page.on('request', (request) => new URL(request.url()).pathname === '/v1/frame' && frames.push(request.url()));
  page.on('pageerror', (error) => said.push(error.message));
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
  await serve({ '/': html, '/app.js': { type: 'text/javascript', body: readFileSync(join(app, 'app.js'), 'utf8') }, '/favicon.ico': '' }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    await use({ frames, faults: async () => [...said, ...(await page.evaluate('window.faults'))] });
  });
}
