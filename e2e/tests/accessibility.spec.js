/** WCAG 2.2 AA: axe in every state and across frames, and what axe cannot see: themes, zoom, targets, the keyboard. */
import { expect, test } from '@playwright/test';
import { expectNoFindings } from '../pages/axe.js';
import { CardFields, DECLINED, GOOD } from '../pages/card-fields.js';
import { withForm } from '../pages/form.js';
import { Shop } from '../pages/shop.js';

const shot = (page, info, name) =>
  page.screenshot({ path: `screenshots/a11y-${info.project.name}-${name}.png`, fullPage: true });

test('axe finds nothing, from the empty form to paid', async ({ page }, info) => {
  const shop = new Shop(page);
  await shop.checkout();
  await expectNoFindings(page);
  await shop.pay.click();
  await expect.poll(() => shop.card.isInvalid('cvc')).toBe(true);
  await expectNoFindings(page);
  await shot(page, info, 'errors');
  await shop.card.fill(DECLINED);
  await expectNoFindings(page);
  await shop.pay.click();
  await expect(shop.message).toContainText(/declined/i);
  await expectNoFindings(page);
  await shop.payWith(GOOD);
  await shop.expectPaid();
  await expectNoFindings(page, { hasFrame: false });
  await shot(page, info, 'paid');
});

for (const [theme, scheme, expected] of [
  ['light', 'dark', 'light'],
  ['dark', 'light', 'dark'],
  ['auto', 'light', 'light'],
  ['auto', 'dark', 'dark'],
]) {
  test(`theme ${theme} where the system is ${scheme}`, async ({ page }, info) => {
    await page.emulateMedia({ colorScheme: scheme });
    const ground = expected === 'dark' ? '#12161d' : '#ffffff';
    await withForm({ appearance: { theme } }, ground, async (port) => {
      await page.goto(`http://localhost:${port}/`);
      const card = new CardFields(page);
      await card.ready();
      await expectNoBox(page, ground);
      for (const state of ['empty', 'errors', 'filled']) {
        if (state === 'errors') await page.locator('#pay').click();
        if (state === 'filled') await card.fill(GOOD);
        await expect.poll(() => card.isInvalid('number')).toBe(state === 'errors');
        await shot(page, info, `${theme}-on-${scheme}-${state}`);
        await expectNoFindings(page, { ground });
        await expectContrasts(card, ground);
      }
    });
  });
}

test('a theme changes while the form is there', async ({ page }) => {
  await withForm({ appearance: { theme: 'dark' } }, '#12161d', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await page.evaluate(() => window.card.update({ appearance: { theme: 'auto' } }));
    const scheme = () => card.frame.locator(':root').evaluate((root) => getComputedStyle(root).colorScheme);
    await expect.poll(scheme).toBe('light dark');
    expect(await card.iframe.evaluate((frame) => getComputedStyle(frame).colorScheme)).toBe('light dark');
    // What is no theme is the light one, at both ends: a difference would be a white box.
    await page.evaluate(() => window.card.update({ appearance: { theme: 'url(x)' } }));
    await expect.poll(() => card.iframe.evaluate((frame) => frame.style.colorScheme)).toBe('light');
    await expect.poll(scheme).toBe('light');
  });
});

test('forced colours show focus, fault and brand', async ({ page }, info) => {
  await page.emulateMedia({ forcedColors: 'active' });
  await withForm({}, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await card.number.pressSequentially('424242');
    const style = (input) =>
      input.evaluate((element) => {
        const { outlineStyle, outlineWidth, borderTopWidth } = getComputedStyle(element);
        return { outline: `${outlineStyle} ${outlineWidth}`, border: borderTopWidth };
      });
    expect(await style(card.number)).toEqual({ outline: 'solid 3px', border: '1px' });
    await page.locator('#pay').focus();
    await expect.poll(() => card.isInvalid('number')).toBe(true);
    expect((await style(card.number)).border).toBe('3px');
    expect((await style(card.expiry)).border).toBe('1px');
    expect(await card.frame.locator('.brand').evaluate((brand) => getComputedStyle(brand).borderTopStyle)).toBe('solid');
    await expectNoFindings(page);
    await shot(page, info, 'forced-colours');
  });
});

test('reduced motion stands still', async ({ page }) => {
  const duration = (card) => card.number.evaluate((input) => getComputedStyle(input).transitionDuration);
  await withForm({}, '#ffffff', async (port) => {
    const card = new CardFields(page);
    await page.goto(`http://localhost:${port}/`);
    await card.ready();
    expect(await duration(card)).not.toBe('0s');
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await expect.poll(() => duration(card)).toBe('0s');
  });
});

for (const [zoom, width] of [[200, 640], [400, 320]]) {
  test(`${zoom} % zoom reflows`, async ({ page }, info) => {
    // Zoom is a smaller viewport in CSS pixels: 1280 by 1024 at 400 % is 320 by 256 (WCAG 1.4.10).
    await page.setViewportSize({ width, height: Math.round(width * 0.8) });
    const shop = new Shop(page);
    await shop.checkout();
    // A page must not jump: also not while the frame is laid out anew, as for a picture of the whole page.
    await shop.card.iframe.evaluate((frame) => {
      window.heights = [];
      new MutationObserver(() => heights.push(parseInt(frame.style.height, 10))).observe(frame, { attributes: true });
    });
    await shop.pay.click();
    await expect.poll(() => shop.card.isInvalid('cvc')).toBe(true);
    await shot(page, info, `zoom-${zoom}-errors`);
    expect(Math.max(...(await page.evaluate('heights')))).toBeLessThan(300);
    await shop.card.fill(GOOD);
    await expectNoSidewaysScroll(page);
    await expectWhole(shop.card);
    await shot(page, info, `zoom-${zoom}-filled`);
  });
}

test('the largest text in the narrowest frame is whole', async ({ page }, info) => {
  await page.setViewportSize({ width: 320, height: 800 });
  await withForm({ appearance: { variables: { fontSizeBase: '24px', spacingUnit: '2px' } } }, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await page.locator('#pay').click();
    await expect.poll(() => card.isInvalid('cvc')).toBe(true);
    await card.fill(GOOD);
    await expectWhole(card);
    await expectNoSidewaysScroll(page);
    await shot(page, info, 'largest-text');
  });
});

test('every target is at least 24 pixels high and wide, however tight the spacing', async ({ page }) => {
  await withForm({ appearance: { variables: { spacingUnit: '2px' } } }, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    for (const field of ['number', 'expiry', 'cvc']) {
      const box = await card[field].boundingBox();
      expect(Math.min(box.width, box.height), field).toBeGreaterThanOrEqual(24);
    }
  });
});

test('Tab goes in, through and out, and Shift-Tab back', async ({ page }) => {
  await withForm({}, '#ffffff', async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    const stops = [page.locator('#before'), card.number, card.expiry, card.cvc, page.locator('#pay')];
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

/** Text at least 4.5 : 1 on its field and on the page, borders and focus at least 3 : 1 (WCAG 1.4.3, 1.4.11). */
async function expectContrasts(card, ground) {
  const tokens = await card.frame.locator(':root').evaluate((root) => {
    const style = getComputedStyle(root);
    return Object.fromEntries(
      ['primary', 'background', 'text', 'text-secondary', 'placeholder', 'danger', 'border'].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
    );
  });
  const luminance = (hex) => {
    const full = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, '$&$&') : hex;
    const [r, g, b] = [1, 3, 5].map((at) => {
      const c = parseInt(full.slice(at, at + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  for (const [name, on, atLeast] of [
    ['text', tokens.background, 4.5],
    ['placeholder', tokens.background, 4.5],
    ['danger', tokens.background, 4.5],
    ['danger', ground, 4.5],
    ['text-secondary', ground, 4.5],
    ['border', tokens.background, 3],
    ['border', ground, 3],
    ['primary', tokens.background, 3],
  ]) {
    expect(ratio(tokens[name], on), `${name} ${tokens[name]} on ${on}`).toBeGreaterThanOrEqual(atLeast);
  }
}

/** The frame's corner shows the page's ground, not a canvas of its own. */
async function expectNoBox(page, ground) {
  const box = await page.locator('#card iframe').boundingBox();
  const png = await page.screenshot({ clip: { x: box.x + 1, y: box.y + 1, width: 2, height: 2 } });
  const pixel = await page.evaluate(async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  }, `data:image/png;base64,${png.toString('base64')}`);
  expect(pixel).toEqual([1, 3, 5].map((at) => parseInt(ground.slice(at, at + 2), 16)));
}

async function expectNoSidewaysScroll(page) {
  const overflow = (root) => root.scrollWidth - root.clientWidth;
  expect(await page.locator(':root').evaluate(overflow)).toBeLessThanOrEqual(0);
  expect(await page.frameLocator('#card iframe').locator(':root').evaluate(overflow)).toBeLessThanOrEqual(0);
}

/** No input hides a part of its text, and the frame is as high as the form. */
async function expectWhole(card) {
  for (const field of ['number', 'expiry', 'cvc']) {
    expect(await card[field].evaluate((input) => input.scrollWidth - input.clientWidth), field).toBeLessThanOrEqual(0);
  }
  const form = await card.frame.locator('form').boundingBox();
  await expect.poll(async () => Math.abs((await card.iframe.boundingBox()).height - form.height)).toBeLessThan(2);
  const hidden = (root) => root.scrollHeight - root.clientHeight;
  await expect.poll(() => card.frame.locator(':root').evaluate(hidden)).toBeLessThanOrEqual(0);
}
