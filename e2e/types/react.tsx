/** What must and what must not compile against @cardseal/react. */
import { loadCardseal } from '@cardseal/js';
import { CardElement, Elements, useCardseal, useElements } from '@cardseal/react';

const cardseal = loadCardseal('pk_test_1', { vault: 'https://vault.example' });

export const App = () => (
  <Elements cardseal={cardseal} options={{ appearance: { theme: 'auto' } }} onLoadError={(error) => error.message}>
    <CardElement id="card" options={{ disabled: false }} onReady={(element) => element.focus()} onChange={(event) => event.complete} />
    <Pay />
  </Elements>
);

function Pay() {
  const loaded = useCardseal();
  const card = useElements()?.getElement('card');
  return <button onClick={() => card && loaded?.createToken(card)}>Pay</button>;
}

export const wrong = () => (
  <>
    {/* @ts-expect-error without Cardseal there are no elements */}
    <Elements />
    {/* @ts-expect-error no such theme */}
    <CardElement options={{ appearance: { theme: 'night' } }} />
    {/* @ts-expect-error the event tells no number */}
    <CardElement onChange={(event) => event.number} />
  </>
);

// @ts-expect-error null until it is loaded
export const careless = () => useCardseal().elements();
