/** The merchant's look: what variables and rules do, what is refused by name, and each state as pictures and for axe. */
import { expect, test } from '@playwright/test';
import { expectNoFindings } from '../pages/axe.js';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { withForm } from '../pages/form.js';

const EVERYTHING = { fields: { name: true, country: true, postalCode: true, saveCard: true }, country: 'US' };
const CO_BADGED = { ...GOOD, number: '4000002500001001' };

const shot = (page, info, name) =>
  page.screenshot({ path: `screenshots/looks-${info.project.name}-${name}.png`, fullPage: true });

async function on(page, options, ground, use) {
  await withForm(options, ground, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.frame.locator('#number').waitFor();
    await use(card);
  });
}

const styleOf = (locator, name) => locator.evaluate((element, property) => getComputedStyle(element)[property], name);

test('variables and rules change the look', async ({ page }, info) => {
  const appearance = {
    variables: {
      colorPrimary: '#7a1fa2',
      colorBackground: 'rgb(250, 247, 255)',
      borderRadius: '1rem',
      fontFamily: "Georgia, 'Times New Roman', serif",
      gridRowSpacing: '24px',
    },
    rules: {
      '.Input': { borderColor: '#7a1fa2', borderWidth: '2px', boxShadow: 'none' },
      '.Input:focus': { boxShadow: '0 0 0 4px rgba(122, 31, 162, 0.4)' },
      '.Input--invalid': { backgroundColor: '#fff0f2' },
      '.Label': { fontWeight: '700', textTransform: 'uppercase', letterSpacing: '1px' },
      '.Error': { fontStyle: 'italic' },
    },
  };
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await on(page, { appearance }, '#ffffff', async (card) => {
    const label = card.frame.locator('label[for=number]');
    await expect.poll(() => styleOf(label, 'textTransform')).toBe('uppercase');
    expect(await styleOf(card.number, 'borderTopWidth')).toBe('2px');
    expect(await styleOf(card.number, 'borderTopColor')).toBe('rgb(122, 31, 162)');
    expect(await styleOf(card.number, 'borderTopLeftRadius')).toBe('16px');
    expect(await styleOf(card.number, 'fontFamily')).toContain('Georgia');
    expect(await styleOf(card.frame.locator('form'), 'rowGap')).toBe('24px');
    await card.number.focus();
    await expect.poll(() => styleOf(card.number, 'boxShadow')).toContain('4px');
    await page.locator('#pay').click();
    await expect.poll(() => styleOf(card.expiry, 'backgroundColor')).toBe('rgb(255, 240, 242)');
    expect(await styleOf(card.frame.locator('#expiry-fault'), 'fontStyle')).toBe('italic');
    await expectNoFindings(page);
    await shot(page, info, 'merchant');
    // What an update leaves out is gone.
    await page.evaluate(() => window.card.update({ appearance: {} }));
    await expect.poll(() => styleOf(label, 'textTransform')).toBe('none');
    await expect.poll(() => styleOf(card.expiry, 'borderTopLeftRadius')).toBe('6px');
    expect(errors).toEqual([]);
  });
});

test('what could load, move or cover is refused by name, and the rest is taken', async ({ page }) => {
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  const appearance = {
    variables: { colorPrimary: '#7a1fa2', colorText: 'url(https://evil.example/a)', fontFamily: "x;background:url('//evil.example/b')" },
    rules: {
      '.Input': { color: '#111111', backgroundImage: 'url(//evil.example/c)', position: 'fixed', borderColor: 'var(--x)' },
      '.Input, body': { color: '#222222' },
      body: { color: '#222222' },
      '.Label': { color: '#fff}*{display:none' },
    },
  };
  await on(page, { appearance }, '#ffffff', async (card) => {
    await expect.poll(() => styleOf(card.number, 'color')).toBe('rgb(17, 17, 17)');
    await expect.poll(() => errors.length).toBeGreaterThan(0);
    for (const name of ['colorText', 'fontFamily', '.Input backgroundImage', '.Input position', '.Input borderColor', '.Input, body', 'body', '.Label color']) {
      expect(errors.join('\n'), name).toContain(name);
    }
    expect(await styleOf(card.number, 'position')).toBe('static');
    await expect(card.number).toBeVisible();
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await page.waitForFunction('window.result');
    expect((await page.evaluate('window.result')).token.id).toMatch(/^tok_/);
    expect(requests.filter((url) => url.includes('evil'))).toEqual([]);
  });
});

for (const [name, options, ground, media] of [
  ['light', {}, '#ffffff', {}],
  ['dark', { appearance: { theme: 'dark' } }, '#12161d', { colorScheme: 'dark' }],
  ['rtl', { locale: 'he' }, '#ffffff', {}],
  ['rtl-dark', { locale: 'fa', appearance: { theme: 'dark' } }, '#12161d', { colorScheme: 'dark' }],
  ['forced-colours', {}, '#ffffff', { forcedColors: 'active' }],
]) {
  test(`everything on, ${name}: empty, at fault, filled`, async ({ page }, info) => {
    test.setTimeout(90_000);
    await page.emulateMedia(media);
    await on(page, { ...EVERYTHING, ...options }, ground, async (card) => {
      const inputs = ['number', 'expiry', 'cvc', 'name', 'postal'].map((id) => card.frame.locator(`#${id}`));
      await inputs[4].waitFor();
      await expectNoFindings(page, { ground });
      await page.locator('#pay').click();
      await expect(inputs[4]).toHaveAttribute('aria-invalid', 'true');
      for (const input of inputs) {
        const ids = (await input.getAttribute('aria-describedby')).split(' ');
        await expect(card.frame.locator(`#${ids[0]}`)).not.toBeEmpty();
      }
      await expectNoFindings(page, { ground });
      await shot(page, info, `${name}-errors`);
      for (const [at, text] of [CO_BADGED.number, '12/40', '123', 'Ada Lovelace', '94107'].entries()) await inputs[at].fill(text);
      await expect(card.frame.getByRole('radio')).toHaveCount(2);
      await card.frame.getByRole('radio').first().focus();
      await expectNoFindings(page, { ground });
      await shot(page, info, `${name}-filled`);
    });
  });
}

test('everything on at 400 %: each field has a row, nothing is cut off, every target is large enough', async ({ page }, info) => {
  await page.setViewportSize({ width: 320, height: 256 });
  await on(page, EVERYTHING, '#ffffff', async (card) => {
    await card.frame.locator('#postal').waitFor();
    await card.fill(CO_BADGED);
    await page.locator('#pay').click();
    await expect(card.frame.locator('#postal')).toHaveAttribute('aria-invalid', 'true');
    // A picture of the whole: what is scrolled out of a frame is not painted.
    await page.setViewportSize({ width: 320, height: 900 });
    await shot(page, info, 'zoom-400');
    for (const control of await card.frame.locator('input, select').all()) {
      const box = await control.boundingBox();
      expect(Math.min(box.width, box.height)).toBeGreaterThanOrEqual(24);
    }
    const overflow = (root) => root.scrollWidth - root.clientWidth;
    expect(await card.frame.locator(':root').evaluate(overflow)).toBeLessThanOrEqual(0);
    expect(await page.locator(':root').evaluate(overflow)).toBeLessThanOrEqual(0);
    const form = await card.frame.locator('form').boundingBox();
    await expect.poll(async () => Math.abs((await card.iframe.boundingBox()).height - form.height)).toBeLessThan(2);
  });
});

test('Tab goes through every field in order and out, and Shift-Tab back', async ({ page }) => {
  await on(page, EVERYTHING, '#ffffff', async (card) => {
    await card.frame.locator('#postal').waitFor();
    await card.number.fill(CO_BADGED.number);
    const ids = ['#number', '#visa', '#expiry', '#cvc', '#name', '#country', '#postal', '#save'];
    const stops = [page.locator('#before'), ...ids.map((id) => card.frame.locator(id)), page.locator('#pay')];
    await stops[0].focus();
    for (const stop of stops.slice(1)) {
      await page.keyboard.press('Tab');
      await expect(stop).toBeFocused();
    }
    for (const stop of stops.slice(0, -1).reverse()) {
      await page.keyboard.press('Shift+Tab');
      await expect(stop).toBeFocused();
    }
  });
});

test('words on their way are grey bars, and the fields take keys', async ({ page }, info) => {
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  await page.route(/words-.*\.json/, async (route) => {
    await arrived;
    await route.continue();
  });
  await on(page, { locale: 'de' }, '#ffffff', async (card) => {
    const root = card.frame.locator(':root');
    await expect(root).toHaveAttribute('data-loading', '');
    await card.frame.locator('#number').pressSequentially('4242');
    await shot(page, info, 'skeleton');
    arrive();
    await expect(card.frame.getByRole('textbox', { name: 'Kartennummer' })).toHaveValue('4242');
    await expect(root).not.toHaveAttribute('data-loading', '');
  });
});
