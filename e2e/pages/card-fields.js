/**
 * Page object of Cardseal's card form, for anybody's Playwright tests. It types into the iframe as a buyer does and reads
 * what a buyer sees; it never reads a value back.
 *
 *     const card = new CardFields(page, '#card');
 *     await card.fill({ number: '4242 4242 4242 4242', expiry: '12 / 40', cvc: '123' });
 */
import { drive } from './driver.js';

export class CardFields {
  constructor(page, mountPoint = '#card') {
    this.page = page;
    this.mount = page.locator(mountPoint);
    this.iframe = page.locator(`${mountPoint} iframe`);
    this.frame = page.frameLocator(`${mountPoint} iframe`);
    this.number = this.frame.getByRole('textbox', { name: 'Card number' });
    this.expiry = this.frame.getByRole('textbox', { name: 'Expiry date' });
    this.cvc = this.frame.getByRole('textbox', { name: 'Security code' });
  }

  /** Waits until the form takes input. */
  async ready() {
    await this.number.waitFor({ state: 'visible' });
  }

  /** Types what is given, key by key. */
  async fill({ number, expiry, cvc }) {
    for (const [input, text] of [[this.number, number], [this.expiry, expiry], [this.cvc, cvc]]) {
      if (text === undefined) continue;
      await input.fill('');
      await input.pressSequentially(text);
    }
  }

  /** The form's facts by the test driver, which is there for `pk_test_` keys: `{ ready, empty, complete, brand, error }`. */
  state() {
    return this.mount.evaluate(drive);
  }

  /** Puts in what is given at one stroke, by the test driver; `fill` types as a buyer does. */
  put(values) {
    return this.mount.evaluate(drive, { fill: values });
  }

  /** The words beside a field, by the field's `aria-describedby`. */
  async errorOf(field) {
    const ids = (await this[field].getAttribute('aria-describedby')) ?? '';
    const texts = [];
    for (const id of ids.split(/\s+/).filter(Boolean)) {
      texts.push(((await this.frame.locator(`#${id}`).textContent()) ?? '').trim());
    }
    return texts.filter(Boolean).join(' ');
  }

  /** Whether a field is marked as wrong for assistive technology. */
  async isInvalid(field) {
    return (await this[field].getAttribute('aria-invalid')) === 'true';
  }
}

/** What takes the form over, as a route: the wasm, or the script for browsers without it. */
export const ENGINE = /\/v1\/assets\/(checkout-wasm|plain)-/;

/** A card that is good in test mode, and what makes it another. */
export const GOOD = { number: '4242424242424242', expiry: '1240', cvc: '123' };
export const DECLINED = { ...GOOD, number: '4000000000000002' };
export const INSUFFICIENT = { ...GOOD, number: '4000000000009995' };
export const EXPIRED = { ...GOOD, number: '4000000000000069' };
