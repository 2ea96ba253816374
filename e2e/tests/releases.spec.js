/** A page that names a former release's loader, by version and integrity, goes on working on a newer vault. */
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { Vault } from '../vault.js';

const build = fileURLToPath(new URL('../../target/frame', import.meta.url));
const digest = (content) => `sha384-${createHash('sha384').update(content).digest('base64')}`;

/** An archive with one build in it, whose loader is another file than the current one's: `{ archive, file, integrity }`. */
function former() {
  const archive = mkdtempSync(join(tmpdir(), 'cardseal-archive-'));
  const folder = join(archive, '0.0.1-former');
  cpSync(build, folder, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  const loader = readFileSync(join(folder, manifest.loader.file), 'utf8') + 'window.former = true;\n';
  manifest.version = '0.0.1-former';
  manifest.loader = { file: 'cardseal-0.0.1-former.js', integrity: digest(loader) };
  writeFileSync(join(folder, manifest.loader.file), loader);
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  return { archive, ...manifest.loader };
}

test('the loader of a former release is served as it was, and works', async ({ page }) => {
  const { archive, file, integrity } = former();
  try {
    await Vault.with({ options: ['--frame-archive', archive] }, async (vault) => {
      const html = `<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,"><div id="card"></div>
<script src="${vault.vault}/v1/${file}" integrity="${integrity}" crossorigin="anonymous"></script>
<script>
  const cardseal = Cardseal('${vault.publishable_key}');
  const card = cardseal.elements().create('card').mount('#card');
</script></html>`;
      await serve({ '/': html }, async (port) => {
        await page.goto(`http://localhost:${port}/`);
        expect(await page.evaluate('former')).toBe(true);
        await new CardFields(page).fill(GOOD);
        expect((await page.evaluate('cardseal.createToken(card)')).token.card.last4).toBe('4242');
      });
    });
  } finally {
    rmSync(archive, { recursive: true, force: true });
  }
});
