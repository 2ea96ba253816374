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
  options?: Omit<CardOptions, "onToken">;
  onToken?: CardOptions["onToken"];
  onReady?: (element: Element) => void;
  onChange?: (event: CardEvents["change"]) => void;
  onFocus?: (event: CardEvents["focus"]) => void;
  onBlur?: (event: CardEvents["blur"]) => void;
  onEscape?: (event: CardEvents["escape"]) => void;
  onSubmit?: (event: CardEvents["submit"]) => void;
  onLoadError?: (event: CardEvents["loaderror"]) => void;
}

/** All fields in one frame. */
export const CardElement: FunctionComponent<ElementProps>;
