/** Axe over the page and the card frame in it. */
import AxeBuilder from '@axe-core/playwright';
import { expect } from '@playwright/test';

/** Axe finds nothing on the page, and did look into the card frame when there is one. */
export async function expectNoFindings(page, { hasFrame = true, ground } = {}) {
  // Axe judges a frame by itself and takes its clear ground for white: it is told what the buyer sees.
  if (ground) {
    await page.frameLocator('#card iframe').locator(':root').evaluate((root, color) => (root.style.background = color), ground);
  }
  const analyze = () =>
    new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
  const inFrame = ({ passes }) => passes.flatMap((rule) => rule.nodes).filter((node) => node.target.length > 1).length;
  let results = await analyze();
  // On a busy machine axe gives up on a frame without a word: what it did not see it has not passed.
  for (let tries = 1; hasFrame && inFrame(results) <= 5 && tries < 4; tries += 1) results = await analyze();
  if (hasFrame) expect(inFrame(results), 'nodes seen in the frame').toBeGreaterThan(5);
  const found = results.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.target.join(' > ')).join(', ')}`);
  expect(found).toEqual([]);
}
