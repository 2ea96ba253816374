/** Types of @cardseal/js and of the loader that it loads. docs/loader.md says what each does. */

export interface LoadOptions {
  /** The vault's public origin, such as `https://vault.example`. */
  vault: string;
  /** A release, for an immutable URL; without it the vault's newest, which `integrity` cannot pin. */
  version?: string;
  /** The release's `integrity`, from the vault's manifest. */
  integrity?: string;
}

/** `Cardseal` for a publishable key; null on a server. Rejects when the script cannot be loaded; then call again. */
export function loadCardseal(key: `pk_${"test" | "live"}_${string}`, options: LoadOptions): Promise<Cardseal | null>;

export interface Cardseal {
  elements(options?: ElementsOptions): Elements;
  /** Never rejects: what went wrong is in `error`. */
  createToken(element: CardElement, data?: TokenData): Promise<TokenResult>;
  /** The token of a security code alone, of the element `cvc`: good as `payment_method_options[card][cvc_token]`. */
  createToken(type: "cvc_update", element: CardElement, data?: TokenData): Promise<TokenResult>;
  /** Pays the intent and lets the buyer do what the bank asks. However often it is called at once, there is one payment. */
  confirmCardPayment(clientSecret: string, data?: ConfirmCardPaymentData, options?: ConfirmOptions): Promise<PaymentIntentResult>;
  /** Keeps the card of a SetupIntent. */
  confirmCardSetup(clientSecret: string, data?: ConfirmCardData, options?: ConfirmOptions): Promise<SetupIntentResult>;
  /** For an intent that the merchant's server confirmed and that wants an action of the buyer's. */
  handleCardAction(clientSecret: string, options?: { signal?: AbortSignal }): Promise<PaymentIntentResult>;
  handleNextAction(options: { clientSecret: string; signal?: AbortSignal }): Promise<PaymentIntentResult | SetupIntentResult>;
  retrievePaymentIntent(clientSecret: string, options?: { signal?: AbortSignal }): Promise<PaymentIntentResult>;
  retrieveSetupIntent(clientSecret: string, options?: { signal?: AbortSignal }): Promise<SetupIntentResult>;
}

/** A payment method's id, or a card: of an element, or a token. Without one the intent's own is used. */
export type CardSource =
  | string
  | { card: CardElement | { token: string }; billing_details?: BillingDetails };

/** Who pays, and where they live: the buyer's bank compares `line1` and `postal_code` (AVS). */
export interface BillingDetails {
  name?: string | null;
  email?: string | null;
  phone?: string | null;
  address?: {
    line1?: string | null;
    line2?: string | null;
    city?: string | null;
    state?: string | null;
    postal_code?: string | null;
    /** ISO 3166, two capital letters. */
    country?: string | null;
  };
}

export interface ConfirmCardData {
  payment_method?: CardSource;
  return_url?: string;
}

export interface ConfirmCardPaymentData extends ConfirmCardData {
  setup_future_usage?: "on_session" | "off_session";
  /** The security code of a saved card, given again: of the element `cvc`, or a token of it. */
  payment_method_options?: { card?: { cvc?: CardElement; cvc_token?: string } };
}

export interface ConfirmOptions {
  /** `false`: what the bank asks is left to the page. */
  handleActions?: boolean;
  /** Ends the wait with the error `aborted`; a payment that is on its way may still be made. */
  signal?: AbortSignal;
}

/** What a page may see of a PaymentIntent. */
export interface PaymentIntent {
  id: string;
  object: "payment_intent";
  amount: number;
  currency: string;
  status:
    | "requires_payment_method"
    | "requires_confirmation"
    | "requires_action"
    | "processing"
    | "requires_capture"
    | "canceled"
    | "succeeded";
  client_secret: string;
  [field: string]: unknown;
}

export interface SetupIntent {
  id: string;
  object: "setup_intent";
  status: "requires_payment_method" | "requires_confirmation" | "requires_action" | "processing" | "canceled" | "succeeded";
  client_secret: string;
  [field: string]: unknown;
}

export type PaymentIntentResult =
  | { paymentIntent: PaymentIntent; error?: undefined }
  | { paymentIntent?: undefined; error: PaymentError };

export type SetupIntentResult =
  | { setupIntent: SetupIntent; error?: undefined }
  | { setupIntent?: undefined; error: PaymentError };

/** An error of the loader's, or of payments in Stripe's words. */
export interface PaymentError extends CardsealError {
  code: CardsealError["code"] | PaymentCode;
  decline_code?: string;
  param?: string;
  payment_intent?: PaymentIntent;
  setup_intent?: SetupIntent;
}

/** What paying from the page answers by itself. */
export type PaymentCode =
  | "outcome_unknown"
  | "payments_not_configured"
  | "invalid_action"
  | "payment_intent_authentication_failure"
  | "setup_intent_authentication_failure";

export interface TokenData {
  /** The card holder's name. */
  name?: string;
  /** Ends the wait with the error `aborted`. */
  signal?: AbortSignal;
}

export type TokenResult = { token: Token; error?: undefined } | { token?: undefined; error: CardsealError };

export interface Token {
  id: string;
  /** What the buyer said to `fields.saveCard` or the element `saveCard`, if that was asked. */
  save_card?: boolean;
  [field: string]: unknown;
}

export type ErrorType =
  | "validation_error"
  | "card_error"
  | "api_connection_error"
  | "api_error"
  | "authentication_error"
  | "invalid_request_error"
  | "rate_limit_error";

/** What the buyer can mend; in `change` events and in results. */
export type ValidationCode =
  | "incomplete_number"
  | "invalid_number"
  | "live_card_in_test_mode"
  | "test_card_in_live_mode"
  | "brand_not_allowed"
  | "funding_not_allowed"
  | "incomplete_expiry"
  | "invalid_expiry"
  | "invalid_expiry_year_past"
  | "incomplete_cvc"
  | "invalid_cvc"
  | "incomplete_name"
  | "invalid_name"
  | "incomplete_postal_code"
  | "invalid_postal_code";

/** Why the form does not work here. */
export type LoadErrorReason =
  | "origin_not_allowed"
  | "invalid_key"
  | "blocked"
  | "csp"
  | "offline"
  | "timeout"
  | "insecure_context"
  | "wasm_unavailable";

/** What the loader itself answers. */
export type LoaderCode = "aborted" | "refused_by_page" | "element_not_mounted" | "element_unmounted" | "frame_reloaded" | "network" | "sealing_failed";

export interface CardsealError {
  type: ErrorType;
  /** One of the listed codes, or a code of the vault's. */
  code: ValidationCode | LoadErrorReason | LoaderCode | (string & {});
  /** For people. */
  message: string;
}

export type Color = `#${string}` | `rgb(${string})` | `rgba(${string})` | `hsl(${string})` | `hsla(${string})` | "transparent";
export type Length = `${number}px` | `${number}rem` | `${number}em` | "0";

export interface AppearanceVariables {
  colorPrimary?: Color;
  colorBackground?: Color;
  colorText?: Color;
  colorTextSecondary?: Color;
  colorTextPlaceholder?: Color;
  colorDanger?: Color;
  colorBorder?: Color;
  borderRadius?: Length;
  borderWidth?: Length;
  spacingUnit?: Length;
  gridRowSpacing?: Length;
  gridColumnSpacing?: Length;
  fontSizeBase?: Length;
  fontFamily?: string;
  fontLineHeight?: string;
  fontWeightNormal?: string;
  fontWeightMedium?: string;
  focusBoxShadow?: string;
  inputBoxShadow?: string;
}

type Part = ".Input" | ".Label" | ".Error" | ".Brand" | ".CheckboxInput";
type State = "" | ":hover" | ":focus" | ":disabled" | "::placeholder";
export type Rule = `${Part}${"" | "--invalid"}${State}`;
export type RuleProperty =
  | "color"
  | "backgroundColor"
  | "borderColor"
  | "borderWidth"
  | "borderStyle"
  | "borderRadius"
  | "boxShadow"
  | "outlineColor"
  | "outlineWidth"
  | "outlineStyle"
  | "outlineOffset"
  | "padding"
  | "margin"
  | "fontFamily"
  | "fontSize"
  | "fontWeight"
  | "fontStyle"
  | "lineHeight"
  | "letterSpacing"
  | "textTransform";

export interface Appearance {
  /** `auto` follows the buyer's system. */
  theme?: "light" | "dark" | "auto";
  variables?: AppearanceVariables;
  /** Families that the operator of the vault offers (`serve --font`); then name them in `fontFamily`. Nothing else is loaded. */
  fonts?: string[];
  rules?: { [rule in Rule]?: { [property in RuleProperty]?: string } };
}

export interface ElementsOptions {
  appearance?: Appearance;
  /** A BCP 47 tag; `auto`, as without it, is the buyer's language. */
  locale?: string;
  /** Strings of your own above those of the language, by the keys of docs/loader.md. */
  words?: { [key: string]: string };
  /** A field session that your server bound to a payment (`POST /v1/sessions`): tokens are good for that payment only. */
  session?: string;
}

/** A whole card in one frame, the fields of a split form, or the security code of a card that is stored already. */
export type ElementType = "card" | "cardNumber" | "cardExpiry" | "cardCvc" | "cardName" | "postalCode" | "saveCard" | "cvc";

/** What a veto answers; nothing lets the card pass. */
export type Verdict = { continue: boolean; message?: string } | undefined | void;

export interface CardOptions extends ElementsOptions {
  disabled?: boolean;
  /** Further fields of a `card`; what is not `true` is not in the form. A split form has them as elements of their own. */
  fields?: { name?: boolean; country?: boolean; postalCode?: boolean; saveCard?: boolean };
  /** ISO 3166-1 alpha-2: whose postal codes are meant, and the country picked beforehand. */
  country?: string;
  /** Brands you take, by their names in docs/brands.md; all without it. */
  allowedBrands?: string[];
  /** Networks picked beforehand on a co-badged card, the best first; the buyer may pick another. */
  preferredNetwork?: string[];
  /** Asked for each new `bin`, where the key shows it; `{ continue: false, message }` refuses the card. At creation only. */
  onBin?: (facts: { bin: string; brand: string }) => Verdict | Promise<Verdict>;
  /** Asked for each token before the page gets it; `{ continue: false, message }` refuses it in these words. At creation only. */
  onToken?: (token: Token) => Verdict | Promise<Verdict>;
  /** The iframe's title, for assistive technology; at mount only. */
  title?: string;
}

export interface Elements {
  create(type: ElementType, options?: CardOptions): CardElement;
  getElement(type: ElementType): CardElement | null;
  update(options: ElementsOptions): void;
}

export interface CardEvents {
  ready: { elementType: ElementType };
  change: {
    elementType: ElementType;
    /** Nothing is typed; of `saveCard`, there is no tick. */
    empty: boolean;
    complete: boolean;
    brand: string;
    /** Brands that the number may still have. */
    brands: string[];
    /** Networks that the buyer may choose from: of a co-badged card. */
    networks: string[];
    network: string | null;
    /** The first 6 or 8 digits, where the operator made the key with `--show-bin`. */
    bin?: string;
    error?: { type: "validation_error"; code: ValidationCode; message: string };
  };
  /** The choice of networks has changed. */
  networks: { elementType: ElementType; networks: string[]; network: string | null };
  focus: { elementType: ElementType };
  blur: { elementType: ElementType };
  escape: { elementType: ElementType };
  /** Enter in the frame; the form around it is submitted as by a field of its own. */
  submit: { elementType: ElementType };
  /** Whether the buyer can see the form: `covered` by something of the page's, or `offscreen`. Where the browser tells. */
  visibility: { elementType: ElementType; state: "visible" | "covered" | "offscreen" };
  loaderror: { elementType: ElementType; reason: LoadErrorReason; message: string };
}

type Handler<E extends keyof CardEvents> = (event: CardEvents[E]) => void;

export interface CardElement {
  mount(target: string | Element): this;
  unmount(): this;
  destroy(): void;
  on<E extends keyof CardEvents>(event: E, handler: Handler<E>): this;
  once<E extends keyof CardEvents>(event: E, handler: Handler<E>): this;
  off<E extends keyof CardEvents>(event: E, handler?: Handler<E>): this;
  update(options: Omit<CardOptions, "title" | "onBin" | "onToken">): this;
  focus(): this;
  blur(): this;
  clear(): this;
  /** Says `message` below the fields until the buyer types; null takes it back. */
  setError(message: string | null): this;
}

/** `<cardseal-card publishable-key="pk_.." required>`. */
export interface CardsealCardElement extends HTMLElement {
  readonly form: HTMLFormElement | null;
  readonly validity: ValidityState;
  readonly validationMessage: string;
  readonly willValidate: boolean;
  required: boolean;
  disabled: boolean;
  checkValidity(): boolean;
  reportValidity(): boolean;
  setError(message: string | null): void;
}

declare global {
  interface Window {
    Cardseal?: (key: string) => Cardseal;
  }
  interface HTMLElementTagNameMap {
    "cardseal-card": CardsealCardElement;
  }
}
