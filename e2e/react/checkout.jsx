/** The checkout form, as a merchant writes it. */
import { loadCardseal } from "@cardseal/js";
import { CardElement, Elements, useCardseal, useElements } from "@cardseal/react";
import { useState } from "react";

let loading;

export function Checkout({ settings, theme }) {
  loading ??= loadCardseal(settings.key, { vault: settings.vault });
  return (
    <Elements cardseal={loading}>
      <Form secret={settings.secret} theme={theme} />
    </Elements>
  );
}

function Form({ secret, theme }) {
  const cardseal = useCardseal();
  const elements = useElements();
  const [isComplete, setComplete] = useState(false);
  const [said, say] = useState("");
  async function pay(event) {
    event.preventDefault();
    const card = elements.getElement("card");
    const { paymentIntent, error } = await cardseal.confirmCardPayment(secret, { payment_method: { card } });
    say(paymentIntent ? paymentIntent.status : error.code);
  }
  return (
    <form onSubmit={pay}>
      <CardElement
        id="card"
        className="card"
        options={{ appearance: { theme } }}
        onReady={(element) => globalThis.heard?.push(typeof element.mount)}
        onChange={(change) => setComplete(change.complete)}
        onLoadError={({ reason }) => say(reason)}
      />
      <button id="pay" disabled={!isComplete}>Pay</button>
      <p id="said">{said}</p>
    </form>
  );
}
