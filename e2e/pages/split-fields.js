/**
 * Page object of Cardseal's split fields: number, expiry and security code in frames of their own, wherever the page put
 * them, and where it asks for them name, postal code and the checkbox. The same verbs as {@link CardFields}.
 */
import { CardFields } from './card-fields.js';

export class SplitFields extends CardFields {
  /** The mount points, as selectors. */
  constructor(page, places = {}) {
    const { number = '#number', expiry = '#expiry', cvc = '#cvc', name = '#name', postal = '#postal', save = '#save' } = places;
    super(page, number);
    const frames = Object.entries({ number, expiry, cvc, name, postal, save });
    this.frames = Object.fromEntries(frames.map(([field, place]) => [field, page.frameLocator(`${place} iframe`)]));
    this.number = this.frames.number.getByRole('textbox', { name: 'Card number' });
    this.expiry = this.frames.expiry.getByRole('textbox', { name: 'Expiry date' });
    this.cvc = this.frames.cvc.getByRole('textbox', { name: 'Security code' });
    this.name = this.frames.name.getByRole('textbox');
    this.postal = this.frames.postal.getByRole('textbox');
    this.save = this.frames.save.getByRole('checkbox');
  }

  /** Types what is given, key by key, and ticks the box or not. */
  async fill({ name, postal, save, ...card }) {
    await super.fill(card);
    if (name !== undefined) await this.name.fill(name);
    if (postal !== undefined) await this.postal.fill(postal);
    if (save !== undefined) await this.save.setChecked(save);
  }

  async ready() {
    for (const input of [this.number, this.expiry, this.cvc]) await input.waitFor({ state: 'visible' });
  }

  /** The words that belong to a field; the page shows them, here they are for the ear. */
  async errorOf(field) {
    return ((await this.frames[field].locator(`#${field}-fault`).textContent()) ?? '').trim();
  }
}
