/** What must and what must not compile against @cardseal/react. */
import { loadCardseal } from '@cardseal/js';
import {
  CardCvcElement,
  CardElement,
  CardExpiryElement,
  CardNameElement,
  CardNumberElement,
  CvcElement,
  Elements,
  PostalCodeElement,
  SaveCardElement,
  useCardseal,
  useElements,
} from '@cardseal/react';

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

export const Split = () => (
  <Elements cardseal={cardseal}>
    <CardNumberElement
      options={{ preferredNetwork: ['cartes_bancaires'] }}
      onNetworks={({ networks, network }) => networks.includes(network ?? '')}
      onBin={({ bin }) => ({ continue: bin.startsWith('4'), message: 'Visa only.' })}
    />
    <CardExpiryElement className="expiry" onChange={(event) => event.error?.code} />
    <CardNameElement onChange={({ complete }) => complete} />
    <PostalCodeElement options={{ country: 'GB' }} onChange={({ error }) => error?.code === 'invalid_postal_code'} />
    <SaveCardElement options={{ words: { save: 'Remember this card' } }} onChange={({ empty }) => !empty} />
    <CardCvcElement onVisibility={({ state }) => state === 'covered'} onToken={async ({ id }) => ({ continue: id.length > 4 })} />
  </Elements>
);

export const Again = () => <CvcElement onReady={(element) => element.focus()} />;

export const wrong = () => (
  <>
    {/* @ts-expect-error the veto is a property, not an option */}
    <CardNumberElement options={{ onBin: () => ({ continue: true }) }} />
    {/* @ts-expect-error a veto answers with an object */}
    <CardCvcElement onToken={() => false} />
    {/* @ts-expect-error a tick is the buyer's to set */}
    <SaveCardElement checked />
    {/* @ts-expect-error the country is an option */}
    <PostalCodeElement country="GB" />
    {/* @ts-expect-error no such state */}
    <CardExpiryElement onVisibility={({ state }) => state === 'hidden'} />
    {/* @ts-expect-error no such event */}
    <CvcElement onKeyDown={() => {}} />
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
