/** A page of a test's own with the card form on it. */
import { serve } from './serve.js';
import { demos } from './shop.js';

/**
 * A page with an input, the card form and a button, in the ground colour that goes with the theme. It keeps the last
 * result in `window.result`, the last `change` in `window.facts` and each `networks` event in `window.offers`. `demo` may be
 * a vault of the test's own.
 */
export async function withForm(options, ground, use, demo = demos()[0]) {
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page</title><style>:root { color-scheme: light dark } body { background: ${ground}; margin: 16px }</style>
<main><h1 style="color: ${ground === '#ffffff' ? '#222' : '#eee'}">Pay</h1><input id="before" aria-label="Before"><div id="card"></div><button id="pay">Pay</button></main>
<script src="${demo.vault}/v1/cardseal.js"></script>
<script>
  const cardseal = Cardseal('${demo.publishable_key}');
  window.card = cardseal.elements(${JSON.stringify(options)}).create('card').mount('#card');
  window.offers = [];
  card.on('change', (facts) => (window.facts = facts)).on('networks', (offer) => offers.push(offer));
  document.querySelector('#pay').onclick = async () => (window.result = await cardseal.createToken(window.card));
</script></html>`;
  await serve({ '/': html }, use);
}
