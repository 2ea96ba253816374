/** What must not compile: each line is an error, or `tsc` fails on the unused expectation. */
import { loadCardseal, type Cardseal, type CardElement } from '@cardseal/js';

declare const cardseal: Cardseal;
declare const card: CardElement;

// @ts-expect-error a secret key has no business on a page
loadCardseal('sk_test_1', { vault: 'https://vault.example' });
// @ts-expect-error the vault has to be named
loadCardseal('pk_test_1', {});
// @ts-expect-error null on a server has to be looked at
loadCardseal('pk_test_1', { vault: 'https://vault.example' }).then((loaded) => loaded.elements());
// @ts-expect-error no such element
cardseal.elements().create('iban');
// @ts-expect-error the name of the option, and not of the element
cardseal.elements().create('name');
// @ts-expect-error a tick is the buyer's to set
cardseal.elements().create('saveCard', { checked: true });
// @ts-expect-error a country is its two letters
cardseal.elements().create('postalCode', { country: 276 });
// @ts-expect-error no such theme
cardseal.elements({ appearance: { theme: 'night' } });
// @ts-expect-error colours are hexadecimal
cardseal.elements({ appearance: { variables: { colorText: 'red' } } });
// @ts-expect-error fonts have names, and no address
cardseal.elements({ appearance: { fonts: [{ cssSrc: 'https://fonts.example/inter.css' }] } });
// @ts-expect-error no such event
card.on('keydown', () => {});
// @ts-expect-error the event tells no number
card.on('change', (event) => event.number);
// @ts-expect-error a token or an error, not surely a token
cardseal.createToken(card).then((result) => result.token.id);
// @ts-expect-error the element, not its selector
cardseal.createToken('#card');
// @ts-expect-error only a security code has a type
cardseal.createToken('card', card);
// @ts-expect-error a security code has no place on a page
cardseal.confirmCardPayment('pi_1_secret_1', { payment_method_options: { card: { cvc: '123' } } });
// @ts-expect-error a key may not show the BIN
card.on('change', ({ bin }) => bin.length);
// @ts-expect-error the title is set at mount
card.update({ title: 'Other' });
// @ts-expect-error an intent or an error, not surely an intent
cardseal.confirmCardPayment('pi_1_secret_1').then((result) => result.paymentIntent.status);
// @ts-expect-error a number has no place on a page
cardseal.confirmCardPayment('pi_1_secret_1', { payment_method: { card: { number: '4242' } } });
// @ts-expect-error Stripe's name for it is postal_code
cardseal.confirmCardPayment('pi_1_secret_1', { payment_method: { card, billing_details: { address: { zip: '12345' } } } });
// @ts-expect-error the amount is the server's to say
cardseal.confirmCardPayment('pi_1_secret_1', { amount: 1 });
