/** Page object of the demo shop: from goods to a paid order. */
import { expect } from '@playwright/test';
import { CardFields } from './card-fields.js';

/** The demos that the setup started; the first is the tests' own. */
export const demos = () => JSON.parse(process.env.CARDSEAL_DEMOS);

export class Shop {
  constructor(page, demo = demos()[0]) {
    this.page = page;
    this.demo = demo;
    this.card = new CardFields(page);
    this.pay = page.locator('#pay');
    this.message = page.locator('#payment-message');
    this.status = page.locator('#order-status');
  }

  /** Orders the first thing in the shop and waits for the card form. */
  async checkout() {
    await this.page.goto(this.demo.shop);
    await this.page.locator('form[action="/orders"] button').first().click();
    await this.page.waitForURL(/\/checkout\//);
    await this.card.ready();
  }

  /** Types a card and presses Pay. */
  async payWith(card) {
    await this.card.fill(card);
    await this.pay.click();
  }

  /** The order is paid, and the page says so. */
  async expectPaid() {
    await expect(this.status).toContainText(/paid/i, { timeout: 20_000 });
  }

  /** The id of the order on this page. */
  orderId() {
    return new URL(this.page.url()).pathname.split('/').pop();
  }
}

/** What the acquirer booked: all of it. */
export async function book(demo = demos()[0]) {
  const answer = await fetch(`${demo.acquirer_admin}/admin/book`);
  const json = await answer.json();
  return json.entries ?? json.data ?? json;
}
