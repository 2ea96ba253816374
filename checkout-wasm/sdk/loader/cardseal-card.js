/** `<cardseal-card>`: the card form for forms without script. */
import { TELL_AFTER_MS } from "./limits.js";
import { misuse, told } from "./page.js";

/**
 * `<cardseal-card publishable-key=".." required>` in a form: a field like any other, whose value is a token. It holds
 * `submit` back, tokenises, and submits again with the token as `cardseal_token` or under its own `name`.
 */
export class CardsealCard extends HTMLElement {
  static formAssociated = true;
  static observedAttributes = ["required", "theme"];

  #internals = this.attachInternals();
  #box = document.createElement("div");
  #cardseal;
  #card = null;
  #facts = { empty: true, complete: false };
  #isLoaded = false;
  #loadError;
  #isBusy = false;
  #isPassing = false;
  #listening = new AbortController();

  constructor() {
    super();
    // An inline host with a block in it takes the whole line, as a block would; `hidden` works as on any element.
    this.attachShadow({ mode: "open" }).append(this.#box);
    this.addEventListener("invalid", () => this.#showFaults());
    // What a label's click sends.
    this.addEventListener("click", () => this.focus());
  }

  get form() {
    return this.#internals.form;
  }
  get validity() {
    return this.#internals.validity;
  }
  get validationMessage() {
    return this.#internals.validationMessage;
  }
  get willValidate() {
    return this.#internals.willValidate;
  }
  checkValidity() {
    return this.#internals.checkValidity();
  }
  reportValidity() {
    return this.#internals.reportValidity();
  }
  focus() {
    this.#card?.focus();
  }
  setError(message) {
    this.#card?.setError(message);
  }
  get required() {
    return this.hasAttribute("required");
  }
  set required(on) {
    this.toggleAttribute("required", on);
  }
  get disabled() {
    return this.hasAttribute("disabled");
  }
  set disabled(on) {
    this.toggleAttribute("disabled", on);
  }

  connectedCallback() {
    this.#facts = { empty: true, complete: false };
    this.#isLoaded = false;
    this.#loadError = null;
    try {
      this.#cardseal = window.Cardseal(this.getAttribute("publishable-key"));
    } catch (error) {
      // The form is held, and once its page listens it is told why there is nothing to fill in.
      setTimeout(() => {
        this.#hear("loaderror", told("invalid_key"));
        throw error;
      }, TELL_AFTER_MS);
      return;
    }
    this.#card = this.#cardseal.elements().create("card", this.#options());
    for (const name of ["ready", "change", "escape", "loaderror"]) {
      this.#card.on(name, (detail) => this.#hear(name, detail));
    }
    this.#card.mount(this.#box);
    this.#judge();
  }

  disconnectedCallback() {
    this.#card?.destroy();
    this.#card = null;
    this.#setToken(null);
  }

  attributeChangedCallback() {
    this.#card?.update(this.#options());
    this.#judge();
  }

  formAssociatedCallback(form) {
    this.#listening.abort();
    this.#listening = new AbortController();
    // Before the page's own handlers, which then see one submit: that with the token.
    form?.addEventListener("submit", (event) => this.#hold(event), { capture: true, signal: this.#listening.signal });
  }

  formDisabledCallback() {
    this.#card?.update(this.#options());
  }

  formResetCallback() {
    this.#setToken(null);
    this.#card?.clear().setError(null);
  }

  #options() {
    return { disabled: this.matches(":disabled"), appearance: { theme: this.getAttribute("theme") } };
  }

  #hear(name, detail) {
    if (name == "ready") this.#isLoaded = true;
    if (name == "change") this.#facts = detail;
    if (name == "loaderror") {
      this.#loadError = detail.message;
      this.#box.setAttribute("role", "alert");
      this.#box.textContent = detail.message;
    }
    this.#judge();
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #judge() {
    const { empty, complete, error } = this.#facts;
    const flags = { valueMissing: empty && this.required, badInput: !empty && !complete };
    const isWrong = flags.valueMissing || flags.badInput;
    const message = this.#loadError ?? error?.message ?? "Fill in the card details.";
    const anchor = this.#box.firstElementChild;
    if (isWrong && anchor) this.#internals.setValidity(flags, message, anchor);
    else this.#internals.setValidity(isWrong ? flags : {}, message);
  }

  #showFaults() {
    this.#card?._validate();
    // Where the browser has chosen this field to focus, the fault's input is meant; it can reach the frame only.
    setTimeout(() => this.shadowRoot.activeElement && this.focus());
  }

  #setToken(token) {
    const data = new FormData();
    if (token) data.set(this.getAttribute("name") || "cardseal_token", token.id);
    // The second argument is what the browser keeps for a restored page: nothing, a token is good for one.
    this.#internals.setFormValue(token ? data : null, "");
  }

  async #hold(event) {
    if (this.#isPassing || this.matches(":disabled")) return;
    this.#setToken(null);
    if (this.#card && (this.#isLoaded || this.#loadError) && this.#facts.empty && !this.required) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const { form } = this;
    const { submitter } = event;
    const method = submitter?.hasAttribute("formmethod") ? submitter.formMethod : form.method;
    if (method == "get") {
      this.setError("This form cannot take cards.");
      misuse('a form with <cardseal-card> needs method="post".');
    }
    if (this.#isBusy || !this.#card) return;
    this.#isBusy = true;
    const { token, error } = await this.#cardseal.createToken(this.#card);
    this.#isBusy = false;
    if (error) {
      if (error.type != "validation_error") this.setError(error.message);
      this.dispatchEvent(new CustomEvent("error", { detail: error }));
    } else if (this.form === form) {
      this.#setToken(token);
      // The frame has wiped the CVV, but what is submitted is the token.
      this.#internals.setValidity({});
      this.#isPassing = true;
      try {
        form.requestSubmit(submitter?.form === form ? submitter : null);
      } finally {
        this.#isPassing = false;
        this.#judge();
      }
    }
  }
}
