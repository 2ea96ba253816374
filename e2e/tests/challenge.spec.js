/**
 * The frame in which the bank asks the buyer: who may end it, how the buyer leaves it, what a keyboard and a screen reader
 * find. The intent's answers and the page in the frame are the test's own here, so that each course can be taken; the
 * real ones are in three_d_secure.spec.js.
 */
import AxeBuilder from '@axe-core/playwright';
import { expect, test } from '@playwright/test';
import { CardFields, GOOD } from '../pages/card-fields.js';
import { serve } from '../pages/serve.js';
import { demos } from '../pages/shop.js';

/** Only known once the setup has run, which is after this file is read. */
const demo = () => demos()[0];
const payments = () => new URL(demo().payments).origin;
const SECRET = 'pi_1_secret_2';

test('complete, said by the bank’s page and nobody else, closes the frame, and the intent is looked up', async ({ page }) => {
  await withAction(page, async (bank) => {
    const result = confirm(page);
    const dialog = page.getByRole('dialog', { name: 'Confirm the payment with your bank' });
    await expect(dialog).toBeVisible();
    expect(new URL(bank.asked[0]).searchParams.get('origin')).toBe(new URL(page.url()).origin);
    // The page itself, another frame of it, and the right frame with another message.
    await page.evaluate(() => {
      postMessage({ cardseal: '3ds', status: 'complete' }, '*');
      const other = document.body.appendChild(document.createElement('iframe'));
      other.srcdoc = "<script>parent.postMessage({ cardseal: '3ds', status: 'complete' }, '*')</script>";
    });
    await bank.frame.locator('#near').click();
    await page.waitForTimeout(300);
    await expect(dialog).toBeVisible();
    bank.status = 'succeeded';
    await bank.frame.locator('#done').click();
    expect((await result).paymentIntent.status).toBe('succeeded');
    await expect(dialog).toHaveCount(0);
    await expect(page.locator('#pay')).toBeFocused();
  });
});

for (const [name, leave] of [
  ['the Cancel button', (page) => page.getByRole('button', { name: 'Cancel' }).click()],
  ['Escape', (page) => page.keyboard.press('Escape')],
]) {
  test(`a buyer who leaves by ${name} gets an error and may pay again`, async ({ page }) => {
    await withAction(page, async () => {
      const result = confirm(page);
      await expect(page.getByRole('dialog')).toBeVisible();
      await leave(page);
      expect((await result).error).toMatchObject({ code: 'payment_intent_authentication_failure', payment_intent: { id: 'pi_1' } });
      await expect(page.getByRole('dialog')).toHaveCount(0);
    });
  });
}

test('what the bank refused is a decline', async ({ page }) => {
  await withAction(page, async (bank) => {
    const result = confirm(page);
    bank.status = 'requires_payment_method';
    await bank.frame.locator('#done').click();
    expect((await result).error).toMatchObject({ type: 'card_error', code: 'payment_intent_authentication_failure' });
  });
});

test('a signal closes the frame', async ({ page }) => {
  await withAction(page, async () => {
    const result = page.evaluate((secret) => {
      window.abort = new AbortController();
      return cardseal.handleNextAction({ clientSecret: secret, signal: window.abort.signal });
    }, SECRET);
    await expect(page.getByRole('dialog')).toBeVisible();
    await page.evaluate(() => window.abort.abort());
    expect((await result).error.code).toBe('aborted');
    await expect(page.getByRole('dialog')).toHaveCount(0);
  });
});

test('a page of another origin is not shown as the bank’s', async ({ page }) => {
  await withAction(page, async (bank) => {
    bank.url = 'http://evil.localhost/3ds/pi_1';
    expect((await confirm(page)).error.code).toBe('invalid_action');
    await expect(page.getByRole('dialog')).toHaveCount(0);
  });
});

test('left to the page, the action is only told', async ({ page }) => {
  await withAction(page, async () => {
    const { paymentIntent } = await page.evaluate(
      (secret) => cardseal.confirmCardPayment(secret, { payment_method: { card: window.card } }, { handleActions: false }),
      SECRET,
    );
    expect(paymentIntent.status).toBe('requires_action');
    await expect(page.getByRole('dialog')).toHaveCount(0);
  });
});

test('axe finds nothing while the bank asks, at 1280 and at 320 pixels, and the page behind is out of reach', async ({ page }) => {
  await withAction(page, async (bank) => {
    const result = confirm(page);
    for (const width of [1280, 320]) {
      await page.setViewportSize({ width, height: 640 });
      await expect(bank.frame.locator('#done')).toBeInViewport();
      await page.screenshot({ path: `screenshots/challenge-${width}.png` });
      expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
    }
    const cancel = page.getByRole('button', { name: 'Cancel' });
    const box = await cancel.boundingBox();
    expect(Math.min(box.width, box.height)).toBeGreaterThanOrEqual(44);
    await expect(page.locator('#pay').click({ trial: true, timeout: 500 })).rejects.toThrow();
    await cancel.focus();
    await page.keyboard.press('Tab');
    await expect(bank.frame.locator('#done')).toBeFocused();
    await cancel.click();
    await result;
  });
});

const confirm = (page) => page.evaluate((secret) => cardseal.confirmCardPayment(secret, { payment_method: { card: window.card } }), SECRET);

/** A page with a typed card; payments wants an action, and the bank's page is `bank`. */
async function withAction(page, use) {
  const bank = { status: 'requires_action', url: `${payments()}/3ds/pi_1`, asked: [], frame: page.frameLocator('iframe[src*="/3ds/"]') };
  const intent = (status) => ({
    id: 'pi_1',
    object: 'payment_intent',
    status,
    next_action: status === 'requires_action' ? { type: 'use_stripe_sdk', use_stripe_sdk: { url: bank.url } } : null,
    last_payment_error: status === 'requires_payment_method' ? { type: 'card_error', code: 'payment_intent_authentication_failure', message: 'No.' } : null,
  });
  const json = (status) => ({ json: intent(status), headers: { 'access-control-allow-origin': '*' } });
  await page.route('**/v1/payment_intents/pi_1/confirm', (route) =>
    route.request().method() === 'POST' ? route.fulfill(json('requires_action')) : route.fallback(),
  );
  await page.route('**/v1/payment_intents/pi_1?*', (route) => (route.request().method() === 'GET' ? route.fulfill(json(bank.status)) : route.fallback()));
  await page.route('**/3ds/pi_1*', (route) => {
    bank.asked.push(route.request().url());
    return route.fulfill({
      contentType: 'text/html',
      body: `<!doctype html><html lang="en"><title>Bank</title><p>Your bank</p><button id="done">Done</button><button id="near">Near</button>
<script>
  const origin = new URLSearchParams(location.search).get('origin');
  done.onclick = () => parent.postMessage({ cardseal: '3ds', status: 'complete' }, origin);
  near.onclick = () => ['3ds', null, { cardseal: '3ds', status: 'open' }, { cardseal: 1, status: 'complete' }].forEach((bad) => parent.postMessage(bad, origin));
</script></html>`,
    });
  });
  const html = `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>A page</title>
<main><h1>Pay</h1><div id="card"></div><button id="pay">Pay</button></main>
<script src="${demo().vault}/v1/cardseal.js"></script>
<script>
  window.cardseal = Cardseal('${demo().publishable_key}');
  window.card = cardseal.elements().create('card').mount('#card');
</script></html>`;
  await serve({ '/': html }, async (port) => {
    await page.goto(`http://localhost:${port}/`);
    const card = new CardFields(page);
    await card.ready();
    await card.fill(GOOD);
    await page.locator('#pay').focus();
    await use(bank);
  });
}
