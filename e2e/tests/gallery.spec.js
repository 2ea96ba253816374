/** The gallery: every sample shows what it says, on a desk and on a phone, dark, with forced colours and at 400 %. */
import AxeBuilder from '@axe-core/playwright';
import { expect, test } from '@playwright/test';
import { demos } from '../pages/shop.js';

const SETTINGS = {
  desktop: {},
  phone: { viewport: { width: 390, height: 844 } },
  dark: { colorScheme: 'dark' },
  'forced-colours': { forcedColors: 'active' },
  // 1280 pixels at 400 % are 320 of CSS.
  '400-percent': { viewport: { width: 320, height: 640 } },
};

for (const [name, settings] of Object.entries(SETTINGS)) {
  test.describe(name, () => {
    test.use(settings);
    test('every sample loads, fits and is accessible', async ({ page }) => {
      test.setTimeout(180_000);
      const errors = [];
      page.on('pageerror', (error) => errors.push(error.message));
      await page.goto(demos()[0].shop);
      await page.getByRole('link', { name: 'The card form in every state' }).click();
      const samples = page.locator('.sample');
      await expect.poll(() => samples.count()).toBeGreaterThan(16);
      for (const sample of await samples.all()) {
        await sample.scrollIntoViewIfNeeded();
        if ((await sample.getAttribute('id')) === 'refused') {
          await expect(sample.locator('.said')).toContainText('publishable key', { timeout: 20_000 });
          continue;
        }
        await expect(sample.locator('.mount[data-ready=yes]')).toHaveCount(await sample.locator('.mount').count(), { timeout: 20_000 });
        const breadth = await sample.evaluate((section) => section.scrollWidth - section.clientWidth);
        expect(breadth, await sample.getAttribute('id')).toBeLessThanOrEqual(0);
      }
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
      // As high as the page: a frame that is out of sight is not painted.
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      await page.setViewportSize({ width: page.viewportSize().width, height });
      await page.evaluate(() => scrollTo(0, 0));
      await page.waitForTimeout(2000);
      await page.screenshot({ path: `screenshots/gallery-${name}.png` });
      // Each form has the same name, as a page with one form has it. Behind a dark frame axe sees white, where the page is
      // dark; and of forced colours it knows nothing. Both are looked at in the pictures.
      const axe = new AxeBuilder({ page }).disableRules(['landmark-unique', ...(name === 'forced-colours' ? ['color-contrast'] : [])]);
      const { violations } = await axe.exclude('.dark iframe').exclude('.auto iframe').analyze();
      expect(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' '))}`)).toEqual([]);
      expect(errors).toEqual([]);
    });
  });
}

test('the samples are in the state that they name', async ({ page }) => {
  await page.goto(`${demos()[0].shop}/gallery`);
  const sample = async (id) => {
    await page.locator(`#${id}`).scrollIntoViewIfNeeded();
    return page.frameLocator(`#${id} iframe`);
  };
  await expect((await sample('filled')).locator('#number')).toHaveValue('4242 4242 4242 4242');
  await expect((await sample('errors')).locator('#number')).toHaveAttribute('aria-invalid', 'true');
  await expect((await sample('message')).locator('body')).toContainText('Your card was declined');
  await expect((await sample('disabled')).locator('#number')).toBeDisabled();
  await expect((await sample('dark')).locator(':root')).toHaveAttribute('data-theme', 'dark');
  await expect((await sample('shop')).locator('#number')).toHaveCSS('font-size', '18px');
  await expect((await sample('cobadge')).getByRole('radio')).toHaveCount(2);
  await expect((await sample('rtl')).locator(':root')).toHaveAttribute('dir', 'rtl');
  await expect((await sample('rtl')).locator('#number')).toHaveValue('4242 4242 4242 4242');
  await expect((await sample('optional')).getByRole('checkbox')).toBeVisible();
  await expect((await sample('cvc')).getByRole('textbox')).toHaveValue('123');
  const split = page.locator('#split iframe');
  await page.locator('#split').scrollIntoViewIfNeeded();
  await expect(split).toHaveCount(3);
  for (const [n, value] of ['4242 4242 4242 4242', '12 / 40', '123'].entries()) {
    await expect(split.nth(n).contentFrame().getByRole('textbox')).toHaveValue(value);
  }
  const own = await sample('own-brand');
  await expect(own.locator('#number')).toHaveValue('700712 3456 78902');
  await expect(own.locator('#number-brand')).toHaveText('Corner Shop Card');
  const more = page.locator('#split-more iframe');
  await page.locator('#split-more').scrollIntoViewIfNeeded();
  await expect(more).toHaveCount(6);
  await expect(more.nth(3).contentFrame().getByRole('textbox', { name: 'Name on card' })).toHaveValue('Ada Lovelace');
  await expect(more.nth(4).contentFrame().getByRole('textbox', { name: 'Postcode' })).toHaveAttribute('aria-invalid', 'true');
  await expect(more.nth(5).contentFrame().getByRole('checkbox')).toBeChecked();
  await page.locator('#locales').scrollIntoViewIfNeeded();
  await page.locator('#locales select').selectOption('ja');
  await expect(page.frameLocator('#locales iframe').locator(':root')).toHaveAttribute('lang', /^ja/);
});
