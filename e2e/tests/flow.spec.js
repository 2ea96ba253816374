/**
 * One payment through all six roles of a card payment: cardholder, shop, gateway (payments and the vault), acquirer,
 * network, issuer. Each says in its own log what it did, under the trace that the cardholder's request began.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { GOOD } from '../pages/card-fields.js';
import { Shop } from '../pages/shop.js';

test('one trace crosses all six roles', async ({ page }) => {
  const trace = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex');
  const traceparent = `00-${trace}-00f067aa0ba902b7-01`;
  await page.route(/\/orders\/[^/]+\/pay$/, (route) => route.continue({ headers: { ...route.request().headers(), traceparent } }));
  const shop = new Shop(page);
  await shop.checkout();
  await shop.payWith(GOOD);
  await shop.expectPaid();

  const lines = async (program) => {
    const log = await readFile(join(shop.demo.data_dir, 'logs', `${program}.log`), 'utf8');
    const ours = log.split('\n').filter((line) => line.includes(trace));
    return ours.map((line) => JSON.parse(line)).map(({ route, acquirer, network, code }) => ({ route, acquirer, network, code }));
  };
  const of = (route) => ({ route });
  expect(await lines('demo-site')).toEqual([of('/orders/{order}/pay')]);
  expect(await lines('payments')).toEqual([of('/v1/payment_intents')]);
  // Before them payments may ask whose key it is.
  expect((await lines('token-vault')).slice(-2)).toEqual([of('/v1/exchange'), of('/v1/forward')]);
  const [acquirer, network, issuer, ...more] = await lines('acquirer-sim');
  expect(acquirer.acquirer).toMatch(/^(json|form|xml)$/);
  expect([network, issuer, more]).toEqual([{ network: 'visa' }, { network: 'visa', code: '00' }, []]);
});
