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
(() => {
  "use strict";

  const PROTOCOL = 1;
  /** From the frame's `load` to a handshake; then the vault is asked why there was none. */
  const HELLO_AFTER_LOAD_MS = 2500;
  /** From mount to a handshake, whatever else happens; and for the vault to say why there was none. */
  const READY_TIMEOUT_MS = 10000;
  /** The frame's own requests end before this. */
  const TOKEN_TIMEOUT_MS = 120000;
  /** The frame pads itself by this much so that its edge does not cut the focus ring. */
  const RING = 4;
  const MAX_HEIGHT = 2000;
  /** The form's height until it reports its own, so that the page does not jump: one row, or two below this width. */
  const ONE_ROW_FROM = 600;
  const ONE_ROW_HEIGHT = 76;
  const TWO_ROWS_HEIGHT = 156;
  const FIELD_HEIGHT = 52;
  const BOX_HEIGHT = 36;
  /** A frame is asked so often whether it lives: browsers do not tell a page that a frame's process ended. */
  const PING_MS = 3000;
  /** After so many pings in a row without a word it is loaded anew. Pings are counted and not time: a page may have slept. */
  const MAX_SILENCE = 3;
  /** After the page's script, in which its handlers are set. */
  const TELL_AFTER_MS = 1000;
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
  /** The form's themes as `color-scheme`: where frame and document differ in it, browsers paint the frame opaque. */
  const SCHEMES = { light: "light", dark: "dark", auto: "light dark" };
  /** Inputs whose Enter submits a form without a button only while there is no second one (HTML, 4.10.21.2). */
  const BLOCKS_ENTER = "input:read-write,input[readonly]";

  const MESSAGES = {
    origin_not_allowed: "This page's origin is not registered for the publishable key.",
    invalid_key: "The vault does not know this publishable key.",
    blocked: "The card form was blocked.",
    csp: "The page's policy does not allow the vault in frame-src.",
    offline: "The browser is offline.",
    timeout: "The card form did not answer.",
    insecure_context: "The card form needs https.",
    wasm_unavailable: "The card form could not start.",
    frame_reloaded: "The card form was lost. Fill it in again.",
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
  const vault = script?.src && new URL(script.src).origin;

  /** Throws for what only the developer of the page can mend. */
  const misuse = (message) => {
    throw new Error(`Cardseal: ${message}`);
  };
  const themeOf = (options) => {
    const theme = options.appearance?.theme;
    return Object.hasOwn(SCHEMES, theme) ? theme : "light";
  };
  const failure = (type, code, message) => ({ error: { type, code, message } });
  const unreachable = () => (navigator.onLine ? "blocked" : "offline");
  const told = (reason) => ({ reason, message: MESSAGES[reason] });
  const broken = (code) => failure("api_connection_error", code, MESSAGES[code]);
  /** 128 bits as 32 letters: it goes into an address, where the vault refuses digits that could be a card's. */
  const randomNonce = () => String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32)).map((byte) => 97 + (byte & 15)));

  /** What `start` promises, or `aborted` as soon as the caller's signal says so. */
  const abortable = (signal, start) => {
    if (!signal) return start();
    const aborted = failure("invalid_request_error", "aborted", "Aborted.");
    if (signal.aborted) return Promise.resolve(aborted);
    const end = new AbortController();
    const abort = new Promise((resolve) => signal.addEventListener("abort", () => resolve(aborted), { signal: end.signal }));
    return Promise.race([start(), abort]).finally(() => end.abort());
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
      part.nonce = script.nonce;
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

  /** One card form, or one field of a split one. */
  class CardElement {
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

  /**
   * One frame on the page, from mount to unmount. The fields of a split form have no channel of their own: the frame in
   * `split`, which is not shown, drives them from the vault's side and speaks for them.
   */
  class Mount {
    #key;
    #options;
    #emit;
    #vetoes;
    #bin;
    #isBinAllowed;
    #facts;
    #split;
    #field;
    #fields = new Map();
    #frame;
    #nonce = randomNonce();
    #port;
    #isReady = false;
    #silence = 0;
    #failed;
    #waiting = [];
    #current;
    #choice = ":null";
    #settleCurrent;
    #lastId = 0;
    #timers = [];
    #end = new AbortController();

    constructor(key, options, layout, container, emit, vetoes, split, field) {
      this.container = container;
      this.#key = key;
      this.#options = options;
      this.#emit = emit;
      this.#vetoes = vetoes;
      const { signal } = this.#end;
      this.#split = split;
      this.#field = field;
      if (split) split.#fields.set(this.#field, this);
      else addEventListener("message", (event) => this.#hear(event), { signal });
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
      this.#createFrame(field ? `field-${field}` : layout);
      this.#frame.addEventListener("load", () => this.#expect(HELLO_AFTER_LOAD_MS), { signal });
      this.#expect(READY_TIMEOUT_MS, true);
      if (layout == "split") {
        this.#frame.style.display = "none";
        container.append(this.#frame);
        return;
      }
      container.replaceChildren(this.#frame);
      const isOneRow = layout == "cvc" || this.#frame.clientWidth >= ONE_ROW_FROM;
      this.#resize(field == "save" ? BOX_HEIGHT : split ? FIELD_HEIGHT : isOneRow ? ONE_ROW_HEIGHT : TWO_ROWS_HEIGHT);
    }

    get isOpen() {
      return this.#frame.isConnected;
    }

    get hasFailed() {
      return this.#failed;
    }

    /** Ends everything that this mount started. */
    close(code, message) {
      // By the channel, so that it is before whatever is asked next; a frame's own end may come later.
      this.send({ type: "leave" });
      this.#end.abort();
      this.#timers.forEach(clearTimeout);
      this.#port?.close();
      this.#frame.remove();
      const split = this.#split;
      // A call under way is of the whole form, which is not whole any more.
      (split ?? this).#settleCurrent?.(failure("invalid_request_error", code, message));
      split?.#fields.delete(this.#field);
      if (split?.#fields.size === 0) split.close(code, message);
    }

    /** Before the frame is ready messages wait here; then there, until the frame has its rules. */
    send(message) {
      if (!this.#isReady) this.#waiting.push(message);
      else if (this.#split) this.#split.send({ field: this.#field, ...message });
      else this.#port.postMessage({ to: "frame", ...message });
    }

    update(options) {
      this.#options = options;
      this.#paint();
      this.send({ type: "update", options });
    }

    tokenise(data) {
      return abortable(data?.signal, async () => {
        // Whichever field is asked, each may have a veto.
        const all = this.#split ? [...this.#split.#fields.values()] : [this];
        for (const one of all) {
          const refusal = await one.#isBinAllowed;
          // It was said when the first digits were typed, and went with the next.
          if (refusal) return one.#say(refusal);
        }
        const answer = await (this.#split ?? this).#tokenise(data);
        for (const one of answer.token ? all : []) {
          const refusal = await one.#ask("onToken", answer.token);
          if (refusal) return refusal;
        }
        return answer;
      });
    }

    /** The page's own veto: `{ continue: false, message }` refuses, in these words. */
    async #ask(veto, facts) {
      const said = await this.#vetoes[veto]?.(facts);
      if (said?.continue !== false) return null;
      const message = String(said.message ?? "This card is not accepted here.");
      return this.#say(failure("validation_error", "refused_by_page", message));
    }

    #say(refusal) {
      this.send({ type: "error", message: refusal.error.message });
      return refusal;
    }

    /** A second call while one is under way gets the same answer: a double click pays once. */
    #tokenise(data) {
      if (this.#failed) return broken(this.#failed);
      if (!this.isOpen) return failure("invalid_request_error", "element_unmounted", MESSAGES.frame_reloaded);
      return (this.#current ??= new Promise((resolve) => {
        const id = ++this.#lastId;
        const timer = setTimeout(() => this.#settleCurrent(broken("timeout")), TOKEN_TIMEOUT_MS);
        this.#settleCurrent = (result) => {
          clearTimeout(timer);
          this.#current = this.#settleCurrent = null;
          resolve(result);
        };
        this.send({ type: "tokenise", id, name: data?.name });
      }));
    }

    #createFrame(layout) {
      const frame = (this.#frame = document.createElement("iframe"));
      const query = new URLSearchParams({
        key: this.#key,
        origin: location.origin,
        locale: this.#options.locale ?? "auto",
        theme: themeOf(this.#options),
        layout,
        // By this the frames of a split form know each other.
        mount: (this.#split ?? this).#nonce,
      });
      frame.src = `${vault}/v1/frame?${query}`;
      frame.title = this.#options.title;
      frame.referrerPolicy = "origin";
      // Through the CSSOM, which no style-src refuses.
      frame.style.cssText = `display:block;border:0;width:calc(100% + ${2 * RING}px);margin:-${RING}px;height:0`;
      this.#paint();
    }

    #paint() {
      this.#frame.style.colorScheme = SCHEMES[themeOf(this.#options)];
    }

    #hear(event) {
      if (event.source !== this.#frame.contentWindow || event.origin !== vault) return;
      if (event.data?.cardseal === PROTOCOL && event.data.type === "hello") this.#connect();
    }

    #connect() {
      // A second hello is a frame that was loaded anew.
      if (this.#port) this.#lose();
      const { port1, port2 } = new MessageChannel();
      this.#port = port1;
      port1.onmessage = (event) => this.#receive(event.data);
      const greeting = { cardseal: PROTOCOL, type: "connect", protocol: PROTOCOL, nonce: this.#nonce, options: this.#options };
      this.#frame.contentWindow.postMessage(greeting, vault, [port2]);
    }

    /** The frame is gone, or is another one: the one before answers nothing any more. */
    #lose() {
      this.#port.close();
      this.#silence = 0;
      this.#isReady = false;
      this.#fields.forEach((field) => (field.#isReady = false));
      this.#settleCurrent?.(broken("frame_reloaded"));
    }

    #ping() {
      if (!this.#isReady) return;
      if (this.#silence++ < MAX_SILENCE) return this.send({ type: "ping" });
      this.#lose();
      if (!this.isOpen) return;
      [this, ...this.#fields.values()].forEach((mount) => (mount.#frame.src += ""));
      this.#expect(READY_TIMEOUT_MS, true);
    }

    #receive(message) {
      if (message?.to !== "page") return;
      this.#silence = 0;
      const field = this.#fields.get(message.field);
      if (field) return field.#receive({ ...message, field: null });
      const { type, token, error } = message;
      switch (type) {
        case "connected":
          if (message.nonce !== this.#nonce) this.#port.close();
          break;
        case "ready":
          this.#ready();
          break;
        case "change": {
          // An empty form is no news, but where there was another frame.
          const isNews = this.#facts || !message.facts.empty;
          const { bin, brand, networks, network } = (this.#facts = message.facts);
          if (bin !== this.#bin) {
            this.#bin = bin;
            this.#isBinAllowed = bin && this.#ask("onBin", { bin, brand });
          }
          if (isNews) this.#emit("change", this.#facts);
          const choice = `${networks}:${network}`;
          if (choice !== this.#choice) this.#emit("networks", { networks, network });
          this.#choice = choice;
          break;
        }
        case "refused":
          // For the developer: the form goes on without it.
          setTimeout(() => misuse(`no option: ${message.option}`));
          break;
        case "focus":
        case "blur":
        case "escape":
        case "visibility":
          this.#emit(type, message.state && { state: message.state });
          break;
        case "enter":
          this.#emit("submit");
          this.#submitForm();
          break;
        case "height":
          this.#resize(message.height);
          break;
        case "token":
          if (message.id === this.#lastId) {
            if (error?.code) this.#settleCurrent?.({ error });
            else if (token?.id) this.#settleCurrent?.({ token });
          }
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
      this.#timers.splice(0).forEach(clearTimeout);
      // A field of a split form is in the process of the frame that drives it, which knows the options of another field.
      if (this.#split) this.update(this.#options);
      else this.#timers.push(setInterval(() => this.#ping(), PING_MS));
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
      else if (!fields.some((field) => field.matches(BLOCKS_ENTER))) form.requestSubmit();
    }

    /** A refused frame fires `load` like any other, so when none is ready the vault is asked; it judges by this page's Origin. */
    #expect(delay, isLast) {
      const diagnose = async () => {
        if (this.#isReady || this.#failed) return;
        const reason = await this.#refusal();
        if (this.#isReady || this.#end.signal.aborted) return;
        // The vault sees no obstacle: a slow line may still bring the frame, until the time is up.
        if (reason || isLast) this.#fail(reason ?? "timeout");
      };
      this.#timers.push(setTimeout(diagnose, delay));
    }

    async #refusal() {
      try {
        const answer = await fetch(`${vault}/v1/frame/check?key=${this.#key}`, { credentials: "omit", signal: AbortSignal.timeout(READY_TIMEOUT_MS) });
        if (answer.ok) return null;
        const { code } = await answer.json();
        return { origin_not_allowed: code, unauthenticated: "invalid_key" }[code] ?? "blocked";
      } catch {
        return unreachable();
      }
    }

    #fail(reason) {
      if (this.#failed || !Object.hasOwn(MESSAGES, reason)) return;
      this.#failed = reason;
      this.#waiting = [];
      this.#emit("loaderror", told(reason));
      this.#fields.forEach((field) => field.#fail(reason));
      this.#settleCurrent?.(broken(reason));
    }

  }

  /** The elements of one form on the page, with a common look. */
  class Elements {
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

  if (vault && !customElements.get("cardseal-card")) customElements.define("cardseal-card", CardsealCard);
})();
