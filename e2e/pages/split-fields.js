/**
 * Page object of Cardseal's split fields: number, expiry and security code in frames of their own, wherever the page put
 * them. The same verbs as {@link CardFields}.
 */
import { CardFields } from './card-fields.js';

export class SplitFields extends CardFields {
  /** The three mount points, as selectors. */
  constructor(page, { number = '#number', expiry = '#expiry', cvc = '#cvc' } = {}) {
    super(page, number);
    this.frames = {
      number: page.frameLocator(`${number} iframe`),
      expiry: page.frameLocator(`${expiry} iframe`),
      cvc: page.frameLocator(`${cvc} iframe`),
    };
    this.number = this.frames.number.getByRole('textbox', { name: 'Card number' });
    this.expiry = this.frames.expiry.getByRole('textbox', { name: 'Expiry date' });
    this.cvc = this.frames.cvc.getByRole('textbox', { name: 'Security code' });
  }

  async ready() {
    for (const input of [this.number, this.expiry, this.cvc]) await input.waitFor({ state: 'visible' });
  }

  /** The words that belong to a field; the page shows them, here they are for the ear. */
  async errorOf(field) {
    return ((await this.frames[field].locator(`#${field}-fault`).textContent()) ?? '').trim();
  }
}
