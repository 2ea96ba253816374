/**
 * Page object of Cardseal's card form, for anybody's Cypress tests: the same verbs as card-fields.js has for Playwright.
 * Cypress cannot type into a frame of another origin, so this one goes by the test driver.
 *
 *     const card = new CardFields('#card');
 *     card.fill({ number: '4242 4242 4242 4242', expiry: '12 / 40', cvc: '123' });
 *     card.state().should('include', { complete: true, brand: 'visa' });
 */
import { drive } from './driver.js';

export class CardFields {
  constructor(mountPoint = '#card') {
    this.mountPoint = mountPoint;
  }

  /** Waits until the form takes input. */
  ready() {
    // Cypress runs a `should` again until it holds.
    return cy.get(this.mountPoint).should((mount) => {
      expect(drive(mount[0]), 'state of the card form').to.include({ ready: true });
    });
  }

  /** Puts in what is given. */
  fill(values) {
    this.ready();
    return cy.get(this.mountPoint).then((mount) => drive(mount[0], { fill: values }));
  }

  /** The form's facts: `{ ready, empty, complete, brand, error }`. */
  state() {
    return cy.get(this.mountPoint).then((mount) => drive(mount[0]));
  }

  /** What the form says is wrong, once it does. */
  error() {
    return cy.get(this.mountPoint).should((mount) => {
      expect(drive(mount[0]).error, 'error of the card form').to.be.an('object');
    }).then((mount) => drive(mount[0]).error.message);
  }
}
