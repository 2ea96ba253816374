/** `<cardseal-card>` in plain HTML forms: no script on the page but the loader's own tag. */
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

const form = (inside, attributes = 'action="/pay" method="post"') =>
  `<form id="form" ${attributes}>${inside}<button id="pay" name="by" value="card">Pay</button></form>`;
const element = (attributes = 'required', content = '') =>
  `<cardseal-card id="card" publishable-key="${demos()[0].publishable_key}" ${attributes}>${content}</cardseal-card>`;
const html = (body, head = '') =>
  `<!doctype html><html lang="en"><title>A page</title>${head}<script src="${demos()[0].vault}/v1/cardseal.js"></script>${body}</html>`;

/** Opens a page with `body`; `use` gets the card's page object and the posts that arrived. */
async function withPage(page, body, use, head) {
  await serve({ '/': html(body, head) }, async (port, posts) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await use(card, posts, port);
  });
}

const validity = (page) => page.locator('#card').evaluate((card) => ({ valid: card.validity.valid, missing: card.validity.valueMissing, bad: card.validity.badInput }));
const isTaken = (page) => expect(page.locator('h1')).toHaveText('Posted');

test('a plain form posts a token, the button that was pressed, and nothing of the card', async ({ page }) => {
  await withPage(page, form(`<input name="note" value="hi">${element('required', '<p>Needs JavaScript.</p>')}`), async (card, posts) => {
    await expect(page.getByText('Needs JavaScript.')).toBeHidden();
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await isTaken(page);
    expect(posts).toHaveLength(1);
    expect(Object.fromEntries(posts[0])).toEqual({ note: 'hi', cardseal_token: expect.stringMatching(/^tok_/), by: 'card' });
  });
});

test('the token goes by the name of the element', async ({ page }) => {
  await withPage(page, form(element('required name="payment[token]"')), async (card, posts) => {
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await isTaken(page);
    expect([...posts[0].keys()].sort()).toEqual(['by', 'payment[token]']);
  });
});

test('Enter in the frame presses the default button', async ({ page }) => {
  await withPage(page, form(element()), async (card, posts) => {
    await card.fill(GOOD);
    await card.cvc.press('Enter');
    await isTaken(page);
    expect(posts[0].get('by')).toBe('card');
  });
});

test('Enter does nothing while the default button is disabled', async ({ page }) => {
  await withPage(page, form(element()).replace('<button', '<button disabled'), async (card, posts) => {
    const asked = watchTokens(page);
    await card.fill(GOOD);
    await card.cvc.press('Enter');
    await page.waitForTimeout(500);
    expect([posts, asked]).toEqual([[], []]);
    // The same key once the button is enabled: it was the button that stopped it.
    await page.locator('#pay').evaluate((button) => (button.disabled = false));
    await card.cvc.press('Enter');
    await isTaken(page);
  });
});

test('without a button Enter submits, unless another text field is there', async ({ page }) => {
  const bare = `<form id="form" action="/pay" method="post">${element()}</form>`;
  await withPage(page, bare, async (card, posts) => {
    await card.fill(GOOD);
    await page.locator('#form').evaluate((form) => form.insertAdjacentHTML('beforeend', '<input name="note">'));
    await card.cvc.press('Enter');
    await page.waitForTimeout(500);
    expect(posts).toEqual([]);
    await page.locator('[name=note]').evaluate((input) => input.remove());
    await card.cvc.press('Enter');
    await isTaken(page);
  });
});

test('required: the browser holds the form, the frame says why and has the focus', async ({ page }) => {
  await withPage(page, form(element()), async (card, posts) => {
    expect(await validity(page)).toEqual({ valid: false, missing: true, bad: false });
    await page.locator('#pay').click();
    await expect.poll(() => card.isInvalid('number')).toBe(true);
    await expect(card.number).toBeFocused();
    await card.fill({ ...GOOD, cvc: '12' });
    await expect.poll(() => validity(page)).toEqual({ valid: false, missing: false, bad: true });
    // As a person's press lasts.
    await page.locator('#pay').click({ delay: 80 });
    await expect(card.cvc).toBeFocused();
    expect(await card.errorOf('cvc')).toMatch(/3 digits/);
    await card.cvc.press('End');
    await card.cvc.press('3');
    await expect.poll(() => validity(page)).toEqual({ valid: true, missing: false, bad: false });
    await page.locator('#pay').click();
    await isTaken(page);
    expect(posts).toHaveLength(1);
  });
});

test('checkValidity leaves the focus where it is', async ({ page }) => {
  await withPage(page, form(element()), async (card) => {
    await page.locator('#pay').focus();
    expect(await page.locator('#form').evaluate((form) => form.checkValidity())).toBe(false);
    await expect.poll(() => card.isInvalid('number')).toBe(true);
    await expect(page.locator('#pay')).toBeFocused();
  });
});

test('with novalidate the fields are still judged', async ({ page }) => {
  await withPage(page, form(element(), 'action="/pay" method="post" novalidate'), async (card, posts) => {
    await page.locator('#pay').click();
    await expect.poll(() => card.isInvalid('number')).toBe(true);
    expect(posts).toEqual([]);
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await isTaken(page);
  });
});

test('without required an empty card does not stop the form, a half-typed one does', async ({ page }) => {
  await withPage(page, form(element('')), async (card, posts) => {
    await card.number.pressSequentially('4242');
    await page.locator('#pay').click();
    await expect.poll(() => card.isInvalid('number')).toBe(true);
    expect(posts).toEqual([]);
    await card.number.fill('');
    await expect.poll(() => validity(page)).toEqual({ valid: true, missing: false, bad: false });
    await page.locator('#pay').click();
    await isTaken(page);
    expect([...posts[0].keys()]).toEqual(['by']);
  });
});

test('a GET form is refused and said to be', async ({ page }) => {
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await withPage(page, form(element(), 'action="/pay"'), async (card) => {
    const asked = watchTokens(page);
    await card.fill(GOOD);
    const url = page.url();
    await page.locator('#pay').click();
    await expect(card.frame.locator('.message')).toHaveText('This form cannot take cards.');
    await expect.poll(() => errors).toEqual([expect.stringContaining('method="post"')]);
    expect([page.url(), asked]).toEqual([url, []]);
  });
});

test('the page comes back by the back button and pays with another token', async ({ page }) => {
  await withPage(page, form(element()), async (card, posts) => {
    for (const count of [1, 2]) {
      await card.fill(GOOD);
      await page.locator('#pay').click();
      await isTaken(page);
      expect(posts).toHaveLength(count);
      await page.goBack();
      await card.ready();
      await expect(card.number).toHaveValue('');
    }
    expect(new Set(posts.map((post) => post.get('cardseal_token'))).size).toBe(2);
  });
});

test('a double click posts once', async ({ page }) => {
  await withPage(page, form(element()), async (card, posts) => {
    const asked = watchTokens(page);
    await card.fill(GOOD);
    await page.locator('#pay').dblclick();
    await isTaken(page);
    expect([posts.length, asked.length]).toEqual([1, 1]);
  });
});

test('disabled, by itself or by its fieldset: no typing, no token, no obstacle', async ({ page }) => {
  await withPage(page, form(`<fieldset id="set">${element('required disabled')}</fieldset>`), async (card, posts) => {
    for (const field of ['number', 'expiry', 'cvc']) await expect(card[field]).toBeDisabled();
    await page.locator('#card').evaluate((card) => (card.disabled = false));
    await expect(card.number).toBeEnabled();
    await page.locator('#set').evaluate((set) => (set.disabled = true));
    await expect(card.number).toBeDisabled();
    await page.locator('#pay').click();
    await isTaken(page);
    expect([...posts[0].keys()]).toEqual(['by']);
  });
});

test('a form reset empties the card', async ({ page }) => {
  await withPage(page, form(`${element()}<button type="reset" id="reset">Reset</button>`), async (card) => {
    await card.fill(GOOD);
    await expect.poll(() => validity(page)).toEqual({ valid: true, missing: false, bad: false });
    await page.locator('#reset').click();
    for (const field of ['number', 'expiry', 'cvc']) await expect(card[field]).toHaveValue('');
    await expect.poll(() => validity(page)).toEqual({ valid: false, missing: true, bad: false });
  });
});

test('a label leads into the frame', async ({ page }) => {
  await withPage(page, form(`<label for="card">Your card</label>${element()}`), async (card) => {
    await page.locator('label').click();
    await expect(card.number).toBeFocused();
  });
});

test('in shadow DOM, made by script', async ({ page }) => {
  await withPage(page, '<div id="host"></div><script>document.querySelector("#host").attachShadow({ mode: "open" }).innerHTML = ' +
    `${JSON.stringify(form(element()))}</script>`, async (card, posts) => {
    await card.fill(GOOD);
    await card.cvc.press('Enter');
    await isTaken(page);
    expect(posts[0].get('cardseal_token')).toMatch(/^tok_/);
  });
});

test('handlers of the page see one submit, that with the token', async ({ page }) => {
  const head = `<script>window.seen = [];
    addEventListener('submit', (event) => { event.preventDefault(); seen.push([...new FormData(event.target).keys()].join()); }, true);
    addEventListener('DOMContentLoaded', () => document.forms[0].addEventListener('submit', (event) => seen.push('form')));
  </script>`;
  await withPage(page, form(element()), async (card) => {
    await card.fill(GOOD);
    await page.locator('#pay').click();
    // The window's capturing handler comes before any of the form's: it alone sees what is held back.
    await expect.poll(() => page.evaluate('seen')).toEqual(['', 'cardseal_token', 'form']);
  }, head);
});

test('offline is said below the fields, and the next try pays', async ({ page, context }) => {
  await withPage(page, form(element()), async (card, posts) => {
    await card.number.pressSequentially('4');
    await context.setOffline(true);
    await card.fill(GOOD);
    await page.locator('#pay').click();
    await expect(card.frame.locator('.message')).toContainText('Check the connection');
    await context.setOffline(false);
    await page.locator('#pay').click();
    await isTaken(page);
    expect(posts).toHaveLength(1);
  });
});

test('what keeps the form from loading is said in its place', async ({ page }) => {
  await serve({ '/': html(form(element())) }, async (port, posts) => {
    await page.goto(`http://evil.localhost:${port}/`);
    await expect(page.getByRole('alert')).toContainText('not registered', { timeout: 20_000 });
    await page.locator('#pay').click();
    await page.waitForTimeout(300);
    expect(posts).toEqual([]);
  });
});

for (const [name, key] of [['no key', ''], ['a secret key', 'publishable-key="sk_test_1"'], ['a key that is none', 'publishable-key="pk_x"']]) {
  test(`${name}: the form is held, and page and buyer are told`, async ({ page }) => {
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    for (const more of ['', 'required']) {
      const body = form(`<cardseal-card id="card" ${key} ${more}></cardseal-card>`).replace('<form', '<form novalidate');
      const head = `<script>window.heard = []; addEventListener('DOMContentLoaded', () =>
        document.querySelector('cardseal-card').addEventListener('loaderror', ({ detail }) => heard.push(detail.reason)));</script>`;
      await serve({ '/': html(body, head) }, async (port, posts) => {
        await page.goto(`http://localhost:${port}/`);
        await expect(page.getByRole('alert')).toContainText('publishable key');
        await expect.poll(() => page.evaluate('heard')).toEqual(['invalid_key']);
        await page.locator('#pay').click();
        await page.evaluate(() => document.forms[0].requestSubmit());
        await page.waitForTimeout(300);
        expect(posts).toEqual([]);
        await expect(page.locator('#pay')).toBeVisible();
      });
    }
    expect(errors).toHaveLength(2);
    expect(errors[0]).toMatch(/^Cardseal: /);
  });
}

/** The token requests from now on. */
function watchTokens(page) {
  const asked = [];
  page.on('request', (request) => request.method() === 'POST' && request.url().endsWith('/v1/tokens') && asked.push(request.url()));
  return asked;
}
