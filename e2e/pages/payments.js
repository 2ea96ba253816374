/** What a merchant's server does: makes intents and looks at them, with the secret key of a demo. */
import { demos } from './shop.js';

/** A new intent over 19.99 USD. */
export const newIntent = (more = {}, demo = demos()[0]) =>
  call(demo, '/v1/payment_intents', new URLSearchParams({ amount: '1999', currency: 'usd', ...more }));

/** An intent as the server sees it. */
export const retrieveIntent = (id, demo = demos()[0]) => call(demo, `/v1/payment_intents/${id}`);

/** What the merchant's server asks of payments. */
export async function call(demo, path, body) {
  const headers = { authorization: `Bearer ${demo.secret_key}` };
  const answer = await fetch(`${demo.payments}${path}`, { method: body ? 'POST' : 'GET', headers, body });
  return read(path, answer);
}

/** A customer with a saved card, `{ customer, method }`; the card comes from a server that may hold cards. */
export async function savedCard(number = '4242424242424242', demo = demos()[0]) {
  const headers = { authorization: `Bearer ${demo.vault_key}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ card: { number, exp_month: 12, exp_year: 2040 } });
  const token = await read('/v1/tokens', await fetch(`${demo.vault_private}/v1/tokens`, { method: 'POST', headers, body }));
  const customer = await call(demo, '/v1/customers', new URLSearchParams());
  const method = await call(demo, '/v1/payment_methods', new URLSearchParams({ type: 'card', 'card[token]': token.id }));
  await call(demo, `/v1/payment_methods/${method.id}/attach`, new URLSearchParams({ customer: customer.id }));
  return { customer: customer.id, method: method.id };
}

async function read(path, answer) {
  const json = await answer.json();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${json.error?.message}`);
  return json;
}
