/** Types of @cardseal/react. */
import type { Cardseal, CardElement as Element, CardEvents, CardOptions, Elements as Group, ElementsOptions } from "@cardseal/js";
import type { FunctionComponent, ReactNode } from "react";

export interface ElementsProps {
  /** What `loadCardseal` gives: made once, outside of the component. */
  cardseal: Cardseal | null | PromiseLike<Cardseal | null>;
  options?: ElementsOptions;
  /** The script could not be loaded. */
  onLoadError?: (error: Error) => void;
  children?: ReactNode;
}
export const Elements: FunctionComponent<ElementsProps>;

/** Cardseal; null on a server and until it is loaded. */
export function useCardseal(): Cardseal | null;
/** The group of elements; null on a server and until Cardseal is loaded. */
export function useElements(): Group | null;

export interface ElementProps {
  id?: string;
  className?: string;
  /** Plain data; the functions among the options are properties of their own. */
  options?: Omit<CardOptions, "onBin" | "onToken">;
  onBin?: CardOptions["onBin"];
  onToken?: CardOptions["onToken"];
  onReady?: (element: Element) => void;
  onChange?: (event: CardEvents["change"]) => void;
  onFocus?: (event: CardEvents["focus"]) => void;
  onBlur?: (event: CardEvents["blur"]) => void;
  onEscape?: (event: CardEvents["escape"]) => void;
  onSubmit?: (event: CardEvents["submit"]) => void;
  onNetworks?: (event: CardEvents["networks"]) => void;
  onVisibility?: (event: CardEvents["visibility"]) => void;
  onLoadError?: (event: CardEvents["loaderror"]) => void;
}

/** All fields in one frame. */
export const CardElement: FunctionComponent<ElementProps>;
/** The fields in the page's own layout. All three, in one `Elements`, make a card. */
export const CardNumberElement: FunctionComponent<ElementProps>;
export const CardExpiryElement: FunctionComponent<ElementProps>;
export const CardCvcElement: FunctionComponent<ElementProps>;
/** What the token has beside those three, where it is asked for. */
export const CardNameElement: FunctionComponent<ElementProps>;
export const PostalCodeElement: FunctionComponent<ElementProps>;
export const SaveCardElement: FunctionComponent<ElementProps>;
/** The security code of a card that is saved already. */
export const CvcElement: FunctionComponent<ElementProps>;
