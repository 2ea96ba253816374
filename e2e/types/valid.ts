/** What merchants write, and what must compile against @cardseal/js. */
import { loadCardseal, type CardElement, type CardEvents, type Cardseal, type TokenResult } from '@cardseal/js';

export async function pay(signal: AbortSignal): Promise<string> {
  const cardseal = await loadCardseal('pk_test_1', { vault: 'https://vault.example', version: '1', integrity: 'sha384-x' });
  if (!cardseal) return 'on the server';
  const elements = cardseal.elements({ appearance: { theme: 'auto', fonts: ['Inter'], variables: { colorPrimary: '#0570de', borderRadius: '4px' } } });
  const card = elements.create('card', { disabled: false, title: 'Card' }).on('ready', () => {}).mount('#card');
  card.on('change', (event) => {
    const code: string | undefined = event.error?.code;
    card.setError(event.complete ? null : (code ?? ''));
  });
  card.once('loaderror', ({ reason }) => reason === 'origin_not_allowed');
  card.update({ appearance: { theme: 'dark' } }).focus().blur().clear().unmount();
  card.off('change');
  const result: TokenResult = await cardseal.createToken(card, { name: 'A Holder', signal });
  if (result.error) return result.error.code;
  return result.token.id;
}

export function split(cardseal: Cardseal): CardElement {
  const elements = cardseal.elements({ session: 'eyJ..' });
  for (const type of ['cardExpiry', 'cardCvc'] as const) elements.create(type).mount(`#${type}`);
  elements.getElement('cardCvc')?.on('visibility', ({ state, elementType }) => state === 'covered' && elementType === 'cardCvc');
  elements.create('cardName').mount('#name');
  elements.create('postalCode', { country: 'GB' }).on('change', ({ error }) => error?.code === 'invalid_postal_code').mount('#postal');
  elements.create('saveCard', { words: { save: 'Remember this card' } }).on('change', ({ empty }) => !empty).mount('#save');
  elements.getElement('postalCode')?.update({ country: 'DE' });
  return elements.create('cardNumber').mount('#cardNumber');
}

export const inPlainForms = (): boolean => document.createElement('cardseal-card').reportValidity();
export const complete = (event: CardEvents['change']): boolean => event.complete && !event.empty;

export async function confirm(secret: string, card: CardElement, cardseal: Cardseal): Promise<string> {
  const { paymentIntent, error } = await cardseal.confirmCardPayment(
    secret,
    { payment_method: { card, billing_details: { name: 'A Holder', address: { postal_code: '12345', country: 'US' } } }, setup_future_usage: 'off_session' },
    { handleActions: true, signal: AbortSignal.timeout(60_000) },
  );
  if (error) return error.decline_code ?? error.payment_intent?.status ?? error.code;
  const { setupIntent } = await cardseal.confirmCardSetup(secret, { payment_method: 'pm_1' });
  return `${paymentIntent.status} ${setupIntent?.status}`;
}

export async function again(secret: string, cardseal: Cardseal): Promise<string | undefined> {
  const cvc = cardseal.elements().create('cvc').mount('#cvc');
  const { token } = await cardseal.createToken('cvc_update', cvc, { signal: AbortSignal.timeout(1000) });
  const card = token ? { cvc_token: token.id } : { cvc };
  const { paymentIntent } = await cardseal.confirmCardPayment(secret, { payment_method: 'pm_1', payment_method_options: { card } });
  return paymentIntent?.status;
}

export const vetoed = (cardseal: Cardseal): CardElement =>
  cardseal
    .elements()
    .create('card', { onBin: async ({ bin, brand }) => ({ continue: brand !== 'amex' && !bin.startsWith('4') }), onToken: () => {} })
    .on('change', ({ bin }) => bin?.length);

export const full = (cardseal: Cardseal): CardElement =>
  cardseal
    .elements({
      locale: 'de',
      words: { save: 'Karte merken' },
      appearance: {
        variables: { colorPrimary: 'rgb(10 91 214)', borderRadius: '0.5rem', fontWeightMedium: '600' },
        rules: { '.Input--invalid:focus': { boxShadow: 'none' }, '.Label': { textTransform: 'uppercase' } },
      },
    })
    .create('card', {
      fields: { name: true, postalCode: true, saveCard: true },
      country: 'DE',
      allowedBrands: ['visa'],
      preferredNetwork: ['cartes_bancaires'],
    })
    .on('networks', ({ networks, network }) => networks.includes(network ?? ''));
