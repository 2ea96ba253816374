/** `@cardseal/js`: what npm would pack, its types against valid and invalid samples, and the packed module in a browser. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

const e2e = fileURLToPath(new URL('..', import.meta.url));
const sdk = fileURLToPath(new URL('../../checkout-wasm/sdk/', import.meta.url));
let workDir;
let installed;

// Packed and unpacked as an installation does it, so that the tests see what a merchant gets.
test.beforeAll(() => {
  workDir = mkdtempSync(join(tmpdir(), 'cardseal-sdk-'));
  const answer = execFileSync('npm', ['pack', '--json', '--pack-destination', workDir], { cwd: sdk, stdio: ['ignore', 'pipe', 'ignore'] });
  const [packed] = JSON.parse(answer);
  expect(packed.files.map((file) => file.path).sort()).toEqual(['index.d.ts', 'index.js', 'package.json']);
  installed = join(workDir, 'node_modules', '@cardseal', 'js');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(workDir, packed.filename), '-C', installed, '--strip-components=1']);
});

test.afterAll(() => rmSync(workDir, { recursive: true, force: true }));

test('the types take what is right and refuse what is wrong', () => {
  execFileSync('cp', ['-r', join(e2e, 'types'), workDir]);
  let said = '';
  try {
    execFileSync(process.execPath, [join(e2e, 'node_modules/typescript/bin/tsc'), '-p', join(workDir, 'types')], { encoding: 'utf8' });
  } catch (failed) {
    said = failed.stdout;
  }
  expect(said).toBe('');
});

test('every code that loader and frame can answer is in the types and in the table of docs/loader.md', () => {
  const read = (path) => readFileSync(join(e2e, '..', path), 'utf8');
  const between = (text, start, end) => text.slice(text.indexOf(start), text.indexOf(end, text.indexOf(start)));
  const all = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);
  const parts = readdirSync(join(e2e, '../checkout-wasm/sdk/loader'));
  const loader = parts.map((part) => read(`checkout-wasm/sdk/loader/${part}`)).join('');
  const answered = [
    ...all(between(loader, 'const MESSAGES', '};'), /^ +(\w+):/gm),
    ...all(loader, /failure\("\w+", "(\w+)"/g),
    ...all(loader, /close\("(\w+)"/g),
    ...all(between(read('checkout-wasm/src/field.rs'), 'pub fn code', '\n    }\n'), /=> "(\w+)"/g),
    ...all(read('checkout-wasm/src/browser/frame.rs') + read('checkout-wasm/src/browser/vault.rs'), /code: "(\w+)"/g),
  ];
  const paying = read('checkout-wasm/sdk/payments.js');
  answered.push(
    ...all(paying, /(?:connection\(|Refused\("\w+", )"(\w+)"/g),
    ...all(paying, /field: "(\w+)"/g).map((field) => `${field}_authentication_failure`),
  );
  expect(answered.length).toBeGreaterThan(20);
  const types = read('checkout-wasm/sdk/index.d.ts');
  const typed = ['ValidationCode', 'LoadErrorReason', 'LoaderCode', 'PaymentCode'].flatMap((name) => all(between(types, `type ${name} =`, ';'), /"(\w+)"/g));
  expect([...new Set(answered)].sort()).toEqual([...typed].sort());
  const table = between(read('docs/loader.md'), '| `code` |', '\n\n');
  expect(typed.filter((code) => !table.includes(`\`${code}\``))).toEqual([]);
});

test('on a server the import does nothing and the answer is null', () => {
  const program = "import { loadCardseal } from '@cardseal/js'; process.stdout.write(String(await loadCardseal('pk_test_1', { vault: 'https://vault.example' })));";
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { cwd: workDir, encoding: 'utf8' });
  expect(said).toBe('null');
});

test('one script for many calls, and a token at the end', async ({ page }) => {
  await withModule(page, async () => {
    await page.evaluate(async () => {
      const [one, two] = await Promise.all([load(), load()]);
      window.cardseal = await load();
      window.same = typeof one.elements === 'function' && typeof two.elements === 'function';
      window.card = cardseal.elements().create('card').mount('#card');
    });
    expect(await page.evaluate('same')).toBe(true);
    await expect(page.locator('script[src*="cardseal.js"]')).toHaveCount(1);
    const card = new CardFields(page);
    await card.ready();
    await card.fill(GOOD);
    expect(await page.evaluate(async () => (await cardseal.createToken(window.card)).token.id)).toMatch(/^tok_/);
  });
});

test('after a failed load the next call tries again', async ({ page }) => {
  let refused = 0;
  await page.route('**/v1/cardseal.js', (route) => (refused++ === 0 ? route.abort() : route.fallback()));
  await withModule(page, async () => {
    const tries = await page.evaluate(() => Promise.allSettled([load(), load()]).then((all) => all.map((one) => one.status)));
    expect(tries).toEqual(['rejected', 'rejected']);
    expect(await page.evaluate(async () => typeof (await load()).createToken)).toBe('function');
    expect(refused).toBe(2);
  });
});

test('a release is pinned by version and integrity, and another integrity is refused', async ({ page }) => {
  const manifest = JSON.parse(readFileSync(join(e2e, '../target/frame/manifest.json'), 'utf8'));
  await withModule(page, async () => {
    const pinned = (integrity) =>
      page.evaluate(([version, integrity]) => load({ version, integrity }).then(() => 'loaded', (error) => error.message), [manifest.version, integrity]);
    expect(await pinned(`sha384-${'A'.repeat(64)}`)).toContain('could not be loaded');
    expect(await pinned(manifest.loader.integrity)).toBe('loaded');
  });
});

async function withModule(page, use) {
  const [demo] = demos();
  const module = { type: 'text/javascript', body: readFileSync(join(installed, 'index.js'), 'utf8') };
  const html = `<!doctype html><html lang="en"><title>A page</title><div id="card"></div><script type="module">
  import { loadCardseal } from '/cardseal-js.js';
  window.load = (more) => loadCardseal('${demo.publishable_key}', { vault: '${demo.vault}', ...more });
</script></html>`;
  await serve({ '/': html, '/cardseal-js.js': module }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    await use();
  });
}
