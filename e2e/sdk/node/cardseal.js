/** What the scenarios share: the demo, a client on it, tokens from the vault, the acquirer's book, small servers. */
import { createServer, request } from 'node:http';
import Stripe from 'stripe';

/** The `ready` line of the demo under test. */
export const demo = JSON.parse(process.env.CARDSEAL_DEMO ?? 'null');
if (!demo) throw new Error('set CARDSEAL_DEMO to the JSON of a ready line, or run e2e/sdk/run.js');

/** The official client, pointed here by its documented options. */
export function client(base = demo.payments, options = {}, key = demo.secret_key) {
  const { hostname, port } = new URL(base);
  return new Stripe(key, {
    host: hostname, port, protocol: 'http', maxNetworkRetries: 0, telemetry: false, ...options,
  });
}

/** A fresh token of a card, from the vault's private listener. */
export async function token(number = '4242424242424242') {
  const answer = await fetch(`${demo.vault_private}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${demo.vault_key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ card: { number, exp_month: 12, exp_year: 2040, cvc: '123' } }),
  });
  const json = await answer.json();
  if (!json.id) throw new Error(`no token: ${JSON.stringify(json)}`);
  return json.id;
}

/** Parameters of a card that was just tokenised. */
export async function card(number) {
  return { payment_method_data: { type: 'card', card: { token: await token(number) } } };
}

let last = 10_000 + Math.floor(Math.random() * 80_000) * 10;

/** An amount that no other payment has: the acquirer's book is searched by it. */
export function freshAmount() {
  last += 1;
  return last;
}

/** The acquirer's own entries with this amount. */
export async function booked(amount) {
  const answer = await fetch(`${demo.acquirer_admin}/admin/book`);
  return (await answer.json()).entries.filter((entry) => entry.amount === amount);
}

/** A server on a free port: `{ url, stop }`. */
export async function serve(handler) {
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}

/** A whole message body. */
export async function bodyOf(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

/**
 * A proxy before payments that cuts the connection instead of passing on the next answers to POST, as many as `drop` says, after
 * payments has given them whole: the server has committed and the client cannot know.
 */
export async function droppingProxy() {
  const seen = [];
  let drops = 0;
  const proxy = await serve(async (incoming, outgoing) => {
    const body = await bodyOf(incoming);
    const upstream = request(`${demo.payments}${incoming.url}`, { method: incoming.method, headers: incoming.headers });
    upstream.end(body);
    const answer = await new Promise((resolve, reject) => upstream.once('response', resolve).once('error', reject));
    const bytes = await bodyOf(answer);
    seen.push({ status: answer.statusCode, key: incoming.headers['idempotency-key'], headers: answer.headers });
    if (incoming.method === 'POST' && drops > 0) {
      drops -= 1;
      incoming.socket.destroy();
      return;
    }
    outgoing.writeHead(answer.statusCode, answer.headers).end(bytes);
  });
  return { ...proxy, seen, drop: (count) => { drops = count; } };
}
