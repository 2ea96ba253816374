/**
 * The test driver of Cardseal's card form, for any tool that can run a function in the page: it fills the form of a
 * `pk_test_` key and tells its facts; it gives no value back, and a live form does not listen. docs/testing.md has more.
 */

/**
 * Sends `request` to the form in `mount` (what was given to `mount()`, or a `<cardseal-card>`), as `{ fill: { number,
 * expiry, cvc } }` or `{}`, and gives its state: `{ ready, empty, complete, brand, error }`, or null when there is no
 * form of a test key.
 */
export function drive(mount, request = {}) {
  const detail = { ...request };
  const listening = mount.shadowRoot?.querySelector('div') ?? mount;
  listening.dispatchEvent(new CustomEvent('cardseal:test', { detail }));
  return detail.state ?? null;
}
