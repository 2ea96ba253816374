/** The README's page, word for word, as an empty HTML file that somebody serves from a port of their own. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

test('the snippet of the README gives a token', async ({ playwright, launchOptions }) => {
  const [, snippet] = /```html\n(<!doctype html>[^]*?)```/.exec(readFileSync(new URL('../../README.md', import.meta.url), 'utf8'));
  expect(snippet).toContain('http://vault.localhost:4001/');
  // The demo of the README has ports of its own; for this browser they lead to the tests' demo.
  const { port: vault } = new URL(demos()[0].vault);
  const mapped = `--host-resolver-rules=MAP vault.localhost:4001 127.0.0.1:${vault}`;
  const browser = await playwright.chromium.launch({ ...launchOptions, args: [...launchOptions.args, mapped] });
  try {
    await serve({ '/index.html': snippet }, async (port) => {
      const page = await browser.newPage();
      await page.goto(`http://localhost:${port}/index.html`);
      const card = new CardFields(page);
      await card.ready();
      await card.fill(GOOD);
      const said = page.waitForEvent('dialog');
      // The click waits for the alert to be closed.
      const clicked = page.locator('#pay').click();
      const alert = await said;
      expect(alert.message()).toMatch(/^tok_/);
      await alert.dismiss();
      await clicked;
    });
  } finally {
    await browser.close();
  }
});
