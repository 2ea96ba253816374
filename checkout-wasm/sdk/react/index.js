"use client";
/**
 * @cardseal/react: the card form as React components, by the names of react-stripe-js. No build step: plain createElement.
 *
 * On a server each component is an empty div. In StrictMode React mounts, unmounts and mounts again in one go: the
 * element that was there a moment ago is taken up again, so that the frame is loaded once.
 */
import { createContext, createElement, useContext, useEffect, useRef, useState } from "react";

const Context = createContext(null);
const OUTSIDE = "Cardseal: use this inside <Elements cardseal={loadCardseal(..)}>.";

/** Event of the loader → property of the component. */
const EVENTS = {
  ready: "onReady",
  change: "onChange",
  focus: "onFocus",
  blur: "onBlur",
  escape: "onEscape",
  submit: "onSubmit",
  networks: "onNetworks",
  visibility: "onVisibility",
  loaderror: "onLoadError",
};
/** Options that are functions: the loader asks the newest one. */
const VETOES = ["onBin", "onToken"];

/** Elements from their cleanup to the end of the task, in which StrictMode mounts them again. */
const leaving = new WeakSet();

/** Options are plain data; the same data again is no news. */
function useSame(options) {
  const text = JSON.stringify(options ?? {});
  const kept = useRef({ text, options: options ?? {} });
  if (kept.current.text !== text) kept.current = { text, options };
  return kept.current.options;
}

/** The newest value, for listeners that were made once. */
function useNewest(value) {
  const newest = useRef(value);
  useEffect(() => {
    newest.current = value;
  });
  return newest;
}

/** Holds Cardseal (or a promise of it, or null on a server) and one group of elements for what is inside. */
export function Elements({ cardseal: given, options, onLoadError, children }) {
  const [made, setMade] = useState({ cardseal: null, elements: null });
  const look = useSame(options);
  const newest = useNewest({ onLoadError, look });

  useEffect(() => {
    let isOver = false;
    Promise.resolve(given).then(
      (cardseal) => {
        // The first one stays: elements belong to the key that they were made with.
        if (cardseal && !isOver) setMade((was) => (was.cardseal ? was : { cardseal, elements: cardseal.elements(newest.current.look) }));
      },
      (error) => isOver || newest.current.onLoadError?.(error),
    );
    return () => {
      isOver = true;
    };
  }, [given]);
  useEffect(() => made.elements?.update(look), [made, look]);

  return createElement(Context.Provider, { value: made }, children);
}

function useMade() {
  const made = useContext(Context);
  if (!made) throw new Error(OUTSIDE);
  return made;
}

/** Cardseal, or null until it is loaded. */
export const useCardseal = () => useMade().cardseal;

/** The group of elements, or null until Cardseal is loaded. */
export const useElements = () => useMade().elements;

function component(type, displayName) {
  function Component({ id, className, options, ...properties }) {
    const { elements } = useMade();
    const place = useRef(null);
    const mounted = useRef(null);
    const look = useSame(options);
    const newest = useNewest({ look, properties });

    useEffect(() => {
      if (!elements) return undefined;
      const present = elements.getElement(type);
      let element = mounted.current;
      if (element && element === present && leaving.has(element)) leaving.delete(element);
      else {
        // Another component's that was taken off the page in this very commit.
        if (leaving.delete(present)) present.destroy();
        element = elements.create(type, { ...newest.current.look, ...vetoes(newest) });
        for (const [event, property] of Object.entries(EVENTS)) {
          const tell = (payload) => newest.current.properties[property]?.(event === "ready" ? element : payload);
          element.on(event, tell);
        }
        element.mount(place.current);
        mounted.current = element;
      }
      return () => {
        leaving.add(element);
        queueMicrotask(() => leaving.delete(element) && element.destroy());
      };
    }, [elements]);
    useEffect(() => {
      mounted.current?.update(look);
    }, [look]);

    return createElement("div", { id, className, ref: place });
  }
  Component.displayName = displayName;
  return Component;
}

function vetoes(newest) {
  const asked = VETOES.filter((name) => newest.current.properties[name]);
  return Object.fromEntries(asked.map((name) => [name, (facts) => newest.current.properties[name]?.(facts)]));
}

/** All fields in one frame. */
export const CardElement = component("card", "CardElement");
/** The fields in the page's own layout. */
export const CardNumberElement = component("cardNumber", "CardNumberElement");
export const CardExpiryElement = component("cardExpiry", "CardExpiryElement");
export const CardCvcElement = component("cardCvc", "CardCvcElement");
/** Further fields in the page's own layout: the holder's name and postal code, and the checkbox to save the card. */
export const CardNameElement = component("cardName", "CardNameElement");
export const PostalCodeElement = component("postalCode", "PostalCodeElement");
export const SaveCardElement = component("saveCard", "SaveCardElement");
/** The security code of a card that is saved already. */
export const CvcElement = component("cvc", "CvcElement");
