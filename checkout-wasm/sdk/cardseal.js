/**
 * cardseal.js: the loader on the merchant's page. It mounts the vault's card frame and hands out tokens, by script
 * (`Cardseal(key)`) or without (`<cardseal-card publishable-key>` in a form).
 *
 * No buyer's card ever comes here: the frame seals it and posts it to the vault itself. What crosses is the protocol
 * below, over one MessageChannel per mount, its origins pinned both ways. `fill` carries a test card inwards, from a
 * merchant's own browser tests; a frame in live mode drops it.
 *
 *   frame → page, once, by postMessage to the origin the vault checked:  {cardseal: 1, type: "hello"}
 *   page → frame, once, by postMessage to the vault:  {cardseal: 1, type: "connect", protocol, nonce, options} + port
 *   page → frame, port:  {to: "frame", type: "focus" | "blur" | "clear" | "leave" | "update" | "validate" | "error" | "fill" |
 *                          "tokenise" | "ping", ..}
 *   frame → page, port:  {to: "page", type: "connected" | "ready" | "change" | "focus" | "blur" | "escape" | "enter" |
 *                         "height" | "visibility" | "token" | "loaderror" | "pong", ..}
 *
 * In a split form both name the `field` they are about; the field pages themselves have no channel to the page.
 *
 * Anything else is dropped. Verbs, events and results follow Stripe.js, because people know them.
 */
import { CardsealCard } from "./loader/cardseal-card.js";
import { CardElement, Elements } from "./loader/elements.js";
import { abortable, broken, misuse, unreachable, vault } from "./loader/page.js";
import { PAYMENT_VERBS, loadPayments } from "./loader/paying.js";

window.Cardseal ??= function Cardseal(key) {
  if (!vault || vault === location.origin) misuse("load cardseal.js from the vault.");
  if (/^(sk|rk)_/.test(key)) misuse("this is a secret key. Roll it now.");
  if (!/^pk_(test|live)_[0-9A-Za-z]+$/.test(key)) misuse("not a publishable key.");
  const createToken = (element, data, ...more) => {
    // Stripe.js says first what a lone security code is for.
    if (element == "cvc_update") return createToken(data, ...more);
    if (!(element instanceof CardElement)) misuse("createToken needs a card element.");
    return element._tokenise(key, data);
  };
  const cardseal = { elements: (options = {}) => new Elements(key, options), createToken };
  for (const verb of PAYMENT_VERBS) {
    cardseal[verb] = (...given) => abortable(given.find((one) => one?.signal)?.signal, () => pay(verb, given));
  }
  let made;
  const pay = async (verb, given) => {
    try {
      made ??= (await loadPayments())({ key, vault, createToken });
    } catch {
      return broken(unreachable());
    }
    return made[verb](...given);
  };
  return cardseal;
};

if (vault && !customElements.get("cardseal-card")) customElements.define("cardseal-card", CardsealCard);
