/** What a merchant's server does: makes intents and looks at them, with the secret key of a demo. */
import { demos } from './shop.js';

/** A new intent over 19.99 USD. */
export const newIntent = (more = {}, demo = demos()[0]) =>
  call(demo, '/v1/payment_intents', new URLSearchParams({ amount: '1999', currency: 'usd', ...more }));

/** An intent as the server sees it. */
export const retrieveIntent = (id, demo = demos()[0]) => call(demo, `/v1/payment_intents/${id}`);

async function call(demo, path, body) {
  const headers = { authorization: `Bearer ${demo.secret_key}` };
  const answer = await fetch(`${demo.payments}${path}`, { method: body ? 'POST' : 'GET', headers, body });
  const json = await answer.json();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${json.error?.message}`);
  return json;
}
