/** Fonts that the operator offers: in use when a page names them, and nothing else is loaded. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { expect, test } from '@playwright/test';
import { CardFields } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { Vault } from '../vault.js';

/** WOFF2 of a TrueType font, its tables as they are (W3C WOFF2: `glyf` and `loca` say so by transform 3). */
function woff2(ttf) {
  const tables = Array.from({ length: ttf.readUInt16BE(4) }, (_, at) => {
    const entry = 12 + 16 * at;
    const [from, length] = [ttf.readUInt32BE(entry + 8), ttf.readUInt32BE(entry + 12)];
    return { tag: ttf.toString('latin1', entry, entry + 4), content: ttf.subarray(from, from + length) };
  });
  const base128 = (n) => (n < 128 ? [n] : [...base128(Math.floor(n / 128)).map((byte) => byte | 128), n % 128]);
  const directory = tables.flatMap(({ tag, content }) => {
    const transform = tag === 'glyf' || tag === 'loca' ? 0xc0 : 0;
    return [transform | 63, ...Buffer.from(tag, 'latin1'), ...base128(content.length)];
  });
  const data = brotliCompressSync(Buffer.concat(tables.map(({ content }) => content)));
  const header = Buffer.alloc(48);
  header.write('wOF2', 'latin1');
  ttf.copy(header, 4, 0, 4);
  const padding = Buffer.alloc(-(directory.length + data.length) & 3);
  header.writeUInt32BE(48 + directory.length + data.length + padding.length, 8);
  header.writeUInt16BE(tables.length, 12);
  const whole = tables.reduce((sum, { content }) => sum + ((content.length + 3) & ~3), 12 + 16 * tables.length);
  header.writeUInt32BE(whole, 16);
  header.writeUInt32BE(data.length, 20);
  return Buffer.concat([header, Buffer.from(directory), data, padding]);
}

/** A font that is on every machine that runs these tests: of the icons in Playwright's trace viewer. */
function font() {
  const core = dirname(createRequire(import.meta.url).resolve('playwright-core/package.json'));
  const viewer = join(core, 'lib/vite/traceViewer');
  const ttf = readFileSync(join(viewer, 'codicon.DCmgc-ay.ttf'));
  const file = join(mkdtempSync(join(tmpdir(), 'cardseal-font-')), 'marker.woff2');
  writeFileSync(file, woff2(ttf));
  return file;
}

test('a font that the operator offers is used by its name, and no other is asked for', async ({ page }) => {
  await Vault.with({ options: ['--font', `Marker Sans=${font()}`] }, async (vault) => {
    const requests = [];
    const errors = [];
    page.on('request', (request) => requests.push(new URL(request.url()).pathname));
    page.on('console', (message) => errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(error.message));
    const appearance = {
      fonts: ['Marker Sans', 'Evil', 'url(https://evil.example/x.woff2)'],
      variables: { fontFamily: 'Marker Sans', colorText: 'url(https://evil.example/y)' },
    };
    const html = `<!doctype html><div id="card"></div><script src="${vault.vault}/v1/cardseal.js"></script><script>
      window.cardseal = Cardseal('${vault.publishable_key}');
      window.card = cardseal.elements({ appearance: ${JSON.stringify(appearance)} }).create('card').mount('#card');
    </script>`;
    await serve({ '/': html }, async (port) => {
      await page.goto(`http://localhost:${port}/`);
      const card = new CardFields(page);
      await card.ready();
      await card.number.pressSequentially('4242');
      const frame = page.frames()[1];
      await expect.poll(() => frame.evaluate(() => [...document.fonts].map((font) => [font.family.replaceAll('"', ''), font.status].join()))).toEqual([
        'Marker Sans,loaded',
      ]);
      expect(await frame.evaluate(() => document.fonts.check('16px "Marker Sans"'))).toBe(true);
      expect(await frame.evaluate(() => getComputedStyle(document.getElementById('number')).fontFamily)).toContain('Marker Sans');
      const fonts = requests.filter((path) => /font|woff/.test(path));
      // `font-..` comes before `fonts.json`.
      expect(fonts.sort()).toEqual([expect.stringMatching(/^\/v1\/assets\/font-[0-9a-f]{16}\.woff2$/), '/v1/assets/fonts.json']);
      for (const refused of ['fonts Evil', 'fonts url(https://evil.example/x.woff2)', 'colorText']) {
        expect(errors.join('\n')).toContain(refused);
      }
      const served = await fetch(`${vault.vault}${fonts.find((path) => path.endsWith('woff2'))}`);
      expect([served.headers.get('content-type'), served.headers.get('cache-control')]).toEqual([
        'font/woff2',
        'public, max-age=31536000, immutable',
      ]);
    });
  });
});

test('where none is offered the policy has no place for fonts', async ({ page }) => {
  await Vault.with({}, async (vault) => {
    const frame = `${vault.vault}/v1/frame?key=${vault.publishable_key}&origin=http://localhost:1`;
    const policy = (await page.request.get(frame)).headers()['content-security-policy'];
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('font-src');
  });
});
