/**
 * cardseal.js: the loader on the merchant's page. It mounts the vault's card frame and hands out tokens, by script
 * (`Cardseal(key)`) or without (`<cardseal-card publishable-key>` in a form).
 *
 * No buyer's card ever comes here: the frame seals it and posts it to the vault itself. What crosses is the protocol
 * below, over one MessageChannel per mount, its origins pinned both ways. `fill` carries a test card inwards, from a
 * merchant's own browser tests; a frame in live mode drops it.
 *
 *   frame → page, once, by postMessage to the origin the vault checked:  {cardseal: 1, type: "hello" | "loaderror"}
 *   page → frame, once, by postMessage to the vault:  {cardseal: 1, type: "connect", protocol, nonce, options} + port
 *   page → frame, port:  {to: "frame", type: "focus" | "blur" | "clear" | "update" | "validate" | "error" | "fill" | "tokenise",
 *                          ..}
 *   frame → page, port:  {to: "page", type: "connected" | "ready" | "change" | "focus" | "blur" | "escape" | "enter" |
 *                         "height" | "token" | "loaderror", ..}
 *
 * Anything else is dropped. Verbs, events and results follow Stripe.js, because people know them.
 */
(() => {
  "use strict";

  const PROTOCOL = 1;
  /** From the frame's `load` to a handshake; then the vault is asked why there was none. */
  const HELLO_AFTER_LOAD_MS = 2500;
  /** From mount to a handshake, whatever else happens. */
  const READY_TIMEOUT_MS = 10000;
  /** The frame's own requests end before this. */
  const TOKEN_TIMEOUT_MS = 120000;
  /** The frame pads itself by this much so that its edge does not cut the focus ring. */
  const RING = 4;
  const MAX_HEIGHT = 2000;
  /** The form's height until it reports its own, so that the page does not jump: one row, or two below this width. */
  const ONE_ROW = { from: 600, height: 76 };
  const TWO_ROWS_HEIGHT = 156;
  /** The form's themes as `color-scheme`: where frame and document differ in it, browsers paint the frame opaque. */
  const SCHEMES = { light: "light", dark: "dark", auto: "light dark" };
  /** Input types whose Enter submits a form without a button only while there is no second one (HTML, 4.10.21.2). */
  const BLOCKS_ENTER = /^(text|search|url|tel|email|password|date|month|week|time|datetime-local|number)$/;

  const MESSAGES = {
    origin_not_allowed: "This page's origin is not registered for the publishable key.",
    invalid_key: "The vault does not know this publishable key.",
    blocked: "The card form was blocked: by an extension, the network or the page's Content-Security-Policy.",
    csp: "The page's Content-Security-Policy does not allow the vault in frame-src.",
    offline: "The browser is offline.",
    timeout: "The card form did not answer in time.",
    insecure_context: "The card form needs a page served over https.",
    wasm_unavailable: "This browser has no WebAssembly.",
  };

  /** What paying from the page needs, which a page that only tokenises does not: fetched at first use. The build fills in. */
  const PAYMENTS = { file: "{payments.file}", integrity: "{payments.integrity}" };

  const PAYMENT_VERBS = [
    "confirmCardPayment",
    "confirmCardSetup",
    "retrievePaymentIntent",
    "retrieveSetupIntent",
    "handleCardAction",
    "handleNextAction",
  ];

  const script = document.currentScript;
  const nonce = script?.nonce;
  const vault = script && script.src ? new URL(script.src).origin : null;

  /** Throws for what only the developer of the page can mend. */
  const misuse = (message) => {
    throw new Error(`Cardseal: ${message}`);
  };
  const themeOf = (options) => {
    const theme = options.appearance?.theme;
    return Object.hasOwn(SCHEMES, theme) ? theme : "light";
  };
  const failure = (type, code, message) => ({ error: { type, code, message } });
  const randomNonce = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /** What `start` promises, or `aborted` as soon as the caller's signal says so. */
  const abortable = (signal, start) => {
    const aborted = failure("invalid_request_error", "aborted", "The call was aborted.");
    if (signal?.aborted) return Promise.resolve(aborted);
    const answer = start();
    if (!signal) return answer;
    return new Promise((resolve, reject) => {
      const abort = () => resolve(aborted);
      signal.addEventListener("abort", abort);
      const settle = (how) => (result) => {
        signal.removeEventListener("abort", abort);
        how(result);
      };
      answer.then(settle(resolve), settle(reject));
    });
  };

  let payments = null;
  let policy;
  /** payments.js, once. */
  const loadPayments = () =>
    (payments ??= new Promise((resolve, reject) => {
      const part = document.createElement("script");
      // Pages that require Trusted Types allow the policy by this name.
      policy ??= window.trustedTypes?.createPolicy("cardseal", { createScriptURL: (url) => url });
      const url = `${vault}/v1/${PAYMENTS.file}`;
      part.crossOrigin = "anonymous";
      part.integrity = PAYMENTS.integrity;
      part.nonce = nonce;
      part.src = policy ? policy.createScriptURL(url) : url;
      part.addEventListener("cardseal", ({ detail }) => resolve(detail));
      part.addEventListener("load", () => part.remove());
      part.addEventListener("error", () => {
        part.remove();
        payments = null;
        reject();
      });
      document.head.append(part);
    }));

  /** One card form. */
  class CardElement {
    #key;
    #options;
    #vetoes;
    #handlers = new Map();
    #mount = null;
    #isDestroyed = false;

    constructor(key, { onBin, onToken, ...options }) {
      this.#key = key;
      this.#options = options;
      this.#vetoes = { onBin, onToken };
    }

    /** Puts the form into `target`, a selector or an element. Mounting again in the same place changes nothing. */
    mount(target) {
      if (this.#isDestroyed) misuse("this element was destroyed.");
      const container = typeof target == "string" ? document.querySelector(target) : target;
      if (!(container instanceof Element)) misuse(`no element to mount in: ${target}`);
      if (this.#mount?.container === container) return this;
      this.unmount();
      const emit = (event, payload) => this.#emit(event, payload);
      this.#mount = new Mount(this.#key, this.#options, container, emit, this.#vetoes);
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
      this.#handlers.clear();
      this.#isDestroyed = true;
    }

    on(event, handler) {
      if (typeof handler != "function") misuse("on(event, handler) needs a function.");
      if (!this.#handlers.has(event)) this.#handlers.set(event, new Set());
      this.#handlers.get(event).add(handler);
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
      this.#mount?.send({ type: "error", message: message == null ? "" : String(message) });
      return this;
    }

    focus() {
      this.#mount?.send({ type: "focus" });
      return this;
    }

    blur() {
      this.#mount?.send({ type: "blur" });
      return this;
    }

    clear() {
      this.#mount?.send({ type: "clear" });
      return this;
    }

    /** For Cardseal's createToken. */
    _tokenise(key, data) {
      if (key !== this.#key) misuse("the element belongs to another publishable key.");
      if (this.#mount) return this.#mount.tokenise(data);
      return Promise.resolve(failure("invalid_request_error", "element_not_mounted", "Mount the card element first."));
    }

    /** For the custom element: says what is wrong in the fields, as at submit, and leaves the focus. */
    _validate() {
      this.#mount?.send({ type: "validate" });
    }

    #emit(event, payload) {
      for (const handler of [...(this.#handlers.get(event) ?? [])]) {
        try {
          handler({ elementType: "card", ...payload });
        } catch (error) {
          // A handler's fault is the page's to see, and not the form's to die of.
          setTimeout(() => {
            throw error;
          });
        }
      }
    }
  }

  /** One frame on the page, from mount to unmount. */
  class Mount {
    #key;
    #options;
    #emit;
    #vetoes;
    #bin;
    #isBinAllowed;
    #facts;
    #frame;
    #nonce = randomNonce();
    #port = null;
    #isReady = false;
    #failed = null;
    #waiting = [];
    #pending = new Map();
    #current = null;
    #choice = ":null";
    #nextId = 1;
    #handshakeTimers = [];
    #end = new AbortController();

    constructor(key, options, container, emit, vetoes) {
      this.container = container;
      this.#key = key;
      this.#options = options;
      this.#emit = emit;
      this.#vetoes = vetoes;
      const { signal } = this.#end;
      addEventListener("message", (event) => this.#hear(event), { signal });
      const refused = ({ disposition, effectiveDirective, blockedURI }) => {
        const isOurs = disposition == "enforce" && effectiveDirective == "frame-src" && blockedURI.startsWith(vault);
        if (isOurs) this.#fail("csp");
      };
      addEventListener("securitypolicyviolation", refused, { signal });
      // The driver of merchants' own browser tests (docs/testing.md): it fills and tells facts, never a value.
      const drive = ({ detail }) => {
        if (detail.fill) this.send({ type: "fill", fields: detail.fill });
        detail.state = { ready: this.#isReady, ...this.#facts };
      };
      if (key.startsWith("pk_test_")) container.addEventListener("cardseal:test", drive, { signal });
      this.#frame = this.#createFrame();
      const diagnose = (delay, isLast) => this.#handshakeTimers.push(setTimeout(() => this.#diagnose(isLast), delay));
      this.#frame.addEventListener("load", () => diagnose(HELLO_AFTER_LOAD_MS, false), { signal });
      diagnose(READY_TIMEOUT_MS, true);
      container.replaceChildren(this.#frame);
      const isOneRow = this.#frame.clientWidth >= ONE_ROW.from;
      this.#resize(isOneRow ? ONE_ROW.height : TWO_ROWS_HEIGHT);
    }

    /** Ends everything that this mount started. */
    close(code, message) {
      this.#end.abort();
      this.#handshakeTimers.forEach(clearTimeout);
      this.#port?.close();
      this.#frame.remove();
      this.#settleAll(failure("invalid_request_error", code, message));
    }

    /** Before the frame is ready messages wait. */
    send(message) {
      if (this.#isReady) this.#port.postMessage({ to: "frame", ...message });
      else this.#waiting.push(message);
    }

    update(options) {
      this.#options = options;
      this.#paint();
      this.send({ type: "update", options });
    }

    tokenise(data) {
      return abortable(data?.signal, async () => {
        const refusal = await this.#isBinAllowed;
        if (refusal) return refusal;
        const answer = await this.#tokenise(data);
        return (answer.token && (await this.#ask("onToken", answer.token))) || answer;
      });
    }

    /** The page's own veto: `{ continue: false, message }` refuses, in these words. */
    async #ask(veto, facts) {
      const said = await this.#vetoes[veto]?.(facts);
      if (said?.continue !== false) return null;
      const message = String(said.message ?? "This card is not accepted here.");
      this.send({ type: "error", message });
      return failure("validation_error", "refused_by_page", message);
    }

    /** A second call while one is under way gets the same answer: a double click pays once. */
    #tokenise(data) {
      if (this.#failed) return Promise.resolve(failure("api_connection_error", this.#failed, MESSAGES[this.#failed]));
      this.#current ??= new Promise((resolve) => {
        const id = this.#nextId++;
        const giveUp = () => this.#settle(id, failure("api_connection_error", "timeout", MESSAGES.timeout));
        this.#pending.set(id, { resolve, timer: setTimeout(giveUp, TOKEN_TIMEOUT_MS) });
        this.send({ type: "tokenise", id, name: data?.name });
      });
      return this.#current;
    }

    #createFrame() {
      const frame = document.createElement("iframe");
      const query = new URLSearchParams({
        key: this.#key,
        origin: location.origin,
        theme: themeOf(this.#options),
        locale: this.#options.locale ?? "auto",
      });
      frame.src = `${vault}/v1/frame?${query}`;
      frame.title = this.#options.title ?? "Secure card payment form";
      frame.referrerPolicy = "origin";
      // Through the CSSOM, which no style-src refuses.
      Object.assign(frame.style, {
        display: "block",
        border: "0",
        width: `calc(100% + ${2 * RING}px)`,
        margin: `-${RING}px`,
        height: "0",
        colorScheme: SCHEMES[themeOf(this.#options)],
      });
      return frame;
    }

    #paint() {
      this.#frame.style.colorScheme = SCHEMES[themeOf(this.#options)];
    }

    #hear(event) {
      if (event.source !== this.#frame.contentWindow || event.origin !== vault) return;
      if (event.data?.cardseal !== PROTOCOL) return;
      if (event.data.type === "hello") this.#connect();
      else if (event.data.type === "loaderror") this.#fail(event.data.reason);
    }

    #connect() {
      // A second hello is a frame that was loaded anew: its predecessor answers nothing any more.
      if (this.#port) {
        this.#port.close();
        this.#isReady = false;
        this.#settleAll(failure("api_connection_error", "frame_reloaded", "The card form was reloaded; try again."));
      }
      const channel = new MessageChannel();
      this.#port = channel.port1;
      this.#port.onmessage = (event) => this.#receive(event.data);
      const greeting = { cardseal: PROTOCOL, type: "connect", protocol: PROTOCOL, nonce: this.#nonce, options: this.#options };
      this.#frame.contentWindow.postMessage(greeting, vault, [channel.port2]);
    }

    #receive(message) {
      if (message?.to !== "page") return;
      switch (message.type) {
        case "connected":
          if (message.nonce !== this.#nonce) this.#port.close();
          break;
        case "ready":
          this.#ready();
          break;
        case "change": {
          const { empty, complete, brand, brands, networks, network, bin, error } = message;
          this.#facts = { empty, complete, brand, brands, networks, network, bin, error };
          if (bin !== this.#bin) {
            this.#bin = bin;
            this.#isBinAllowed = bin && this.#ask("onBin", { bin, brand });
          }
          this.#emit("change", this.#facts);
          const choice = `${networks}:${network}`;
          if (choice !== this.#choice) this.#emit("networks", { networks, network });
          this.#choice = choice;
          break;
        }
        case "refused":
          // For the developer: the form goes on without it.
          setTimeout(() => misuse(`the option "${message.option}" is not one the form takes.`));
          break;
        case "focus":
        case "blur":
        case "escape":
          this.#emit(message.type);
          break;
        case "enter":
          this.#emit("submit");
          this.#submitForm();
          break;
        case "height":
          this.#resize(message.height);
          break;
        case "token":
          if (message.error?.code) this.#settle(message.id, { error: message.error });
          else if (message.token?.id) this.#settle(message.id, { token: message.token });
          break;
        case "loaderror":
          this.#fail(message.reason);
          break;
      }
    }

    #ready() {
      if (this.#isReady) return;
      this.#isReady = true;
      this.#failed = null;
      this.#handshakeTimers.splice(0).forEach(clearTimeout);
      this.#emit("ready");
      this.#waiting.splice(0).forEach((message) => this.send(message));
    }

    #resize(height) {
      if (typeof height == "number" && height > 0 && height <= MAX_HEIGHT) this.#frame.style.height = `${height}px`;
    }

    /** Enter does what it does in a field of the page's own form: it clicks the default button, if that is enabled. */
    #submitForm() {
      const form = this.container.closest("form") ?? this.container.getRootNode().host?.form;
      if (!form) return;
      const fields = [...form.elements];
      const submit = fields.find((field) => field.type === "submit");
      if (submit) submit.click();
      else if (!fields.some((field) => BLOCKS_ENTER.test(field.type))) form.requestSubmit();
    }

    /** A refused frame fires `load` like any other, so the vault is asked; it judges by this page's Origin. */
    async #diagnose(isLast) {
      if (this.#isReady || this.#failed) return;
      const reason = await this.#refusal();
      if (this.#isReady || this.#end.signal.aborted) return;
      // The vault sees no obstacle: a slow line may still bring the frame, until the time is up.
      if (reason || isLast) this.#fail(reason ?? "timeout");
    }

    async #refusal() {
      try {
        const query = new URLSearchParams({ key: this.#key });
        const answer = await fetch(`${vault}/v1/frame/check?${query}`, { credentials: "omit", signal: this.#end.signal });
        if (answer.ok) return null;
        const { code } = await answer.json();
        return code === "origin_not_allowed" ? code : code === "unauthenticated" ? "invalid_key" : "blocked";
      } catch {
        return navigator.onLine ? "blocked" : "offline";
      }
    }

    #fail(reason) {
      if (this.#failed || !Object.hasOwn(MESSAGES, reason)) return;
      this.#failed = reason;
      this.#waiting = [];
      this.#emit("loaderror", { reason, message: MESSAGES[reason] });
      this.#settleAll(failure("api_connection_error", reason, MESSAGES[reason]));
    }

    #settle(id, result) {
      const asked = this.#pending.get(id);
      if (!asked) return;
      clearTimeout(asked.timer);
      this.#pending.delete(id);
      this.#current = null;
      asked.resolve(result);
    }

    #settleAll(result) {
      for (const id of [...this.#pending.keys()]) this.#settle(id, result);
    }
  }

  /** The elements of one form on the page, with a common look. */
  class Elements {
    #key;
    #options;
    #made = new Map();

    constructor(key, options) {
      this.#key = key;
      this.#options = options;
    }

    create(type, options) {
      if (type !== "card") misuse(`there is no element "${type}".`);
      if (this.#made.has(type)) misuse(`this group has a "${type}" element already.`);
      const element = new CardElement(this.#key, { ...this.#options, ...options });
      const destroy = element.destroy;
      element.destroy = () => {
        if (this.#made.get(type) === element) this.#made.delete(type);
        destroy.call(element);
      };
      this.#made.set(type, element);
      return element;
    }

    getElement(type) {
      return this.#made.get(type) ?? null;
    }

    update(options) {
      this.#options = { ...this.#options, ...options };
      for (const element of this.#made.values()) element.update(options);
    }
  }

  window.Cardseal ??= function Cardseal(key) {
    if (!vault) misuse("load cardseal.js by a script tag of its own from the vault.");
    if (vault === location.origin) misuse("cardseal.js must come from the vault, not from the page's own origin.");
    if (/^(sk|rk)_/.test(key)) misuse("this is a secret key. Roll it now, and use a publishable key (pk_..) on pages.");
    if (!/^pk_(test|live)_[0-9A-Za-z]+$/.test(key)) misuse("not a publishable key (pk_test_.. or pk_live_..).");
    const createToken = (element, data) => {
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
        const reason = navigator.onLine ? "blocked" : "offline";
        return failure("api_connection_error", reason, MESSAGES[reason]);
      }
      return made[verb](...given);
    };
    return cardseal;
  };

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(":host{display:block}:host([hidden]){display:none}");

  /**
   * `<cardseal-card publishable-key=".." required>` in a form: a field like any other, whose value is a token. It holds
   * `submit` back, tokenises, and submits again with the token as `cardseal_token` or under its own `name`.
   */
  class CardsealCard extends HTMLElement {
    static formAssociated = true;
    static observedAttributes = ["required", "theme"];

    #internals = this.attachInternals();
    #box = document.createElement("div");
    #cardseal;
    #card = null;
    #facts = { empty: true, complete: false };
    #isLoaded = false;
    #loadError = null;
    #isBusy = false;
    #isPassing = false;
    #listening = new AbortController();

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [sheet];
      root.append(this.#box);
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
      this.#cardseal = window.Cardseal(this.getAttribute("publishable-key"));
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
      if (this.#isPassing || !this.#card || this.matches(":disabled")) return;
      this.#setToken(null);
      if ((this.#isLoaded || this.#loadError) && this.#facts.empty && !this.required) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      const { form } = this;
      const { submitter } = event;
      const method = submitter?.hasAttribute("formmethod") ? submitter.formMethod : form.method;
      if (method == "get") {
        this.setError("This form cannot take cards.");
        misuse('a form with <cardseal-card> needs method="post": a token has no place in an address.');
      }
      if (this.#isBusy) return;
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

  if (vault && !customElements.get("cardseal-card")) customElements.define("cardseal-card", CardsealCard);
})();
