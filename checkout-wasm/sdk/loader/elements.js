/** What `elements()` gives: card forms and fields, with their handlers, over one mount each. */
import { Mount } from "./mount.js";
import { failure, misuse } from "./page.js";

/** The elements: a whole card, the security code of a card that is stored already, or one field of a split form, by its id. */
const TYPES = {
  card: null,
  cvc: null,
  cardNumber: "number",
  cardExpiry: "expiry",
  cardCvc: "cvc",
  cardName: "name",
  postalCode: "postal",
  saveCard: "save",
};

/** One card form, or one field of a split one. */
export class CardElement {
  #key;
  #type;
  #group;
  #options;
  #vetoes;
  #handlers = new Map();
  #mount;
  #isDestroyed = false;

  constructor(key, type, group, { onBin, onToken, ...options }) {
    this.#key = key;
    this.#type = type;
    this.#group = group;
    this.#options = options;
    this.#vetoes = { onBin, onToken };
  }

  /** Puts the form into `target`, a selector or an element. Mounting again in the same place changes nothing, unless it failed. */
  mount(target) {
    if (this.#isDestroyed) misuse("this element was destroyed.");
    const container = typeof target == "string" ? document.querySelector(target) : target;
    if (!(container instanceof Element)) misuse(`no element: ${target}`);
    if (this.#mount?.container === container && !this.#mount.hasFailed) return this;
    this.unmount();
    const type = this.#type;
    const field = TYPES[type];
    const options = { title: `Secure ${type.replace(/[A-Z]/, " $&").toLowerCase()} form`, ...this.#options };
    const emit = (event, payload) => this.#emit(event, payload);
    if (field && container.getRootNode() !== document) misuse("no split fields in a shadow tree.");
    const split = field && this.#group._split(options);
    this.#mount = new Mount(this.#key, options, type, container, emit, this.#vetoes, split, field);
    return this;
  }

  /** Takes the form off the page; what was typed is gone. */
  unmount() {
    this.#mount?.close("element_unmounted", "The card form was taken off the page.");
    this.#mount = null;
    return this;
  }

  /** Unmounts for good. */
  destroy() {
    this.unmount();
    this.#group._forget(this.#type, this);
    this.#handlers.clear();
    this.#isDestroyed = true;
  }

  on(event, handler) {
    if (typeof handler != "function") misuse("on() needs a function.");
    this.#handlers.set(event, (this.#handlers.get(event) ?? new Set()).add(handler));
    return this;
  }

  off(event, handler) {
    if (handler) this.#handlers.get(event)?.delete(handler);
    else this.#handlers.delete(event);
    return this;
  }

  once(event, handler) {
    const first = (payload) => {
      this.off(event, first);
      handler(payload);
    };
    return this.on(event, first);
  }

  update(options) {
    this.#options = { ...this.#options, ...options };
    this.#mount?.update(this.#options);
    return this;
  }

  /** Says `message` below the fields until the buyer types; null takes it back. */
  setError(message) {
    return this.#send({ type: "error", message: String(message ?? "") });
  }

  focus() {
    return this.#send({ type: "focus" });
  }

  blur() {
    return this.#send({ type: "blur" });
  }

  clear() {
    return this.#send({ type: "clear" });
  }

  /** For Cardseal's createToken. */
  _tokenise(key, data) {
    if (key !== this.#key) misuse("the element belongs to another publishable key.");
    return this.#mount?.tokenise(data) ?? Promise.resolve(failure("invalid_request_error", "element_not_mounted", "Mount the element first."));
  }

  /** For the custom element: says what is wrong in the fields, as at submit, and leaves the focus. */
  _validate() {
    this.#send({ type: "validate" });
  }

  #send(message) {
    this.#mount?.send(message);
    return this;
  }

  #emit(event, payload) {
    for (const handler of [...(this.#handlers.get(event) ?? [])]) {
      try {
        handler({ elementType: this.#type, ...payload });
      } catch (error) {
        // A handler's fault is the page's to see, and not the form's to die of.
        setTimeout(() => {
          throw error;
        });
      }
    }
  }
}

/** The elements of one form on the page, with a common look. */
export class Elements {
  #key;
  #options;
  #made = new Map();
  #split = null;

  constructor(key, options) {
    this.#key = key;
    this.#options = options;
  }

  create(type, options) {
    if (!Object.hasOwn(TYPES, type)) misuse(`no element: ${type}`);
    if (this.#made.has(type)) misuse(`there is a "${type}" element already.`);
    const element = new CardElement(this.#key, type, this, { ...this.#options, ...options });
    this.#made.set(type, element);
    return element;
  }

  /** The frame that drives the split fields, for as long as there are any. */
  _split(options) {
    if (!this.#split?.isOpen) this.#split = new Mount(this.#key, options, "split", document.body, () => {}, {});
    return this.#split;
  }

  _forget(type, element) {
    if (this.#made.get(type) === element) this.#made.delete(type);
  }

  getElement(type) {
    return this.#made.get(type) ?? null;
  }

  update(options) {
    this.#options = { ...this.#options, ...options };
    for (const element of this.#made.values()) element.update(options);
  }
}
