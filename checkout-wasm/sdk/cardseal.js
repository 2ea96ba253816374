/**
 * cardseal.js: the loader on the merchant's page. It mounts the vault's card frame and hands out tokens.
 *
 * No card value ever comes here: the frame seals the card and posts it to the vault itself. What crosses is the
 * protocol below, over one MessageChannel per mount, its origins pinned both ways.
 *
 *   frame → page, once, by postMessage to the origin the vault checked:  {cardseal: 1, type: "hello" | "loaderror"}
 *   page → frame, once, by postMessage to the vault:  {cardseal: 1, type: "connect", protocol, nonce, options} + port
 *   page → frame, port:  {to: "frame", type: "focus" | "blur" | "clear" | "update" | "tokenise", ..}
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

  const MESSAGES = {
    origin_not_allowed: "This page's origin is not registered for the publishable key.",
    invalid_key: "The vault does not know this publishable key.",
    blocked: "The card form was blocked: by the page's Content-Security-Policy, an extension or the network.",
    offline: "The browser is offline.",
    timeout: "The card form did not answer in time.",
    insecure_context: "The card form needs a page served over https.",
    wasm_unavailable: "This browser has no WebAssembly.",
  };

  const script = document.currentScript;
  const vault = script && script.src ? new URL(script.src).origin : null;

  /** Throws for what only the developer of the page can mend. */
  const misuse = (message) => {
    throw new Error(`Cardseal: ${message}`);
  };
  const failure = (type, code, message) => ({ error: { type, code, message } });
  const randomNonce = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /** One card form. */
  class CardElement {
    #key;
    #options;
    #handlers = new Map();
    #mount = null;
    #isDestroyed = false;

    constructor(key, options) {
      this.#key = key;
      this.#options = options;
    }

    /** Puts the form into `target`, a selector or an element. Mounting again in the same place changes nothing. */
    mount(target) {
      if (this.#isDestroyed) misuse("this element was destroyed.");
      const container = typeof target == "string" ? document.querySelector(target) : target;
      if (!(container instanceof Element)) misuse(`no element to mount in: ${target}`);
      if (this.#mount?.container === container) return this;
      this.unmount();
      this.#mount = new Mount(this.#key, this.#options, container, (event, payload) => this.#emit(event, payload));
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
      this.#mount?.send({ type: "update", options: this.#options });
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
    #frame;
    #nonce = randomNonce();
    #port = null;
    #isReady = false;
    #failed = null;
    #waiting = [];
    #pending = new Map();
    #current = null;
    #nextId = 1;
    #handshakeTimers = [];
    #end = new AbortController();

    constructor(key, options, container, emit) {
      this.container = container;
      this.#key = key;
      this.#options = options;
      this.#emit = emit;
      const { signal } = this.#end;
      addEventListener("message", (event) => this.#hear(event), { signal });
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

    /** A second call while one is under way gets the same answer: a double click pays once. */
    tokenise(data) {
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
      const query = new URLSearchParams({ key: this.#key, origin: location.origin });
      frame.src = `${vault}/v1/frame?${query}`;
      frame.title = this.#options.title ?? "Secure card payment form";
      frame.referrerPolicy = "origin";
      // Through the CSSOM, which no style-src refuses. A colour scheme unlike the frame's would paint it white.
      Object.assign(frame.style, {
        display: "block",
        border: "0",
        width: `calc(100% + ${2 * RING}px)`,
        margin: `-${RING}px`,
        height: "0",
        colorScheme: "light",
      });
      return frame;
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
          const { empty, complete, brand, error } = message;
          this.#emit("change", { empty, complete, brand, error });
          break;
        }
        case "focus":
        case "blur":
        case "escape":
          this.#emit(message.type);
          break;
        case "enter":
          this.#submitForm();
          break;
        case "height":
          this.#resize(message.height);
          break;
        case "token":
          this.#settle(message.id, message.error ? { error: message.error } : { token: message.token });
          break;
        case "loaderror":
          this.#fail(message.reason);
          break;
      }
    }

    #ready() {
      this.#isReady = true;
      this.#failed = null;
      this.#handshakeTimers.splice(0).forEach(clearTimeout);
      this.#emit("ready");
      this.#waiting.splice(0).forEach((message) => this.send(message));
    }

    #resize(height) {
      if (height > 0 && height <= MAX_HEIGHT) this.#frame.style.height = `${height}px`;
    }

    /** Enter does what it does in a field of the page's own form: it clicks the default button, if that is enabled. */
    #submitForm() {
      const form = this.container.closest("form");
      if (!form) return;
      const submit = [...form.elements].find((element) => element.type === "submit" || element.type === "image");
      if (submit) submit.click();
      else form.requestSubmit();
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
        this.#made.delete(type);
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
    return {
      elements: (options = {}) => new Elements(key, options),
      createToken: (element, data) => {
        if (!(element instanceof CardElement)) misuse("createToken needs a card element.");
        return element._tokenise(key, data);
      },
    };
  };
})();
