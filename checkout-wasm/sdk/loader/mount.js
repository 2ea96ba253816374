/** One frame on the page, from mount to unmount: its element, its channel, and whether it lives. */
import {
  PROTOCOL,
  HELLO_AFTER_LOAD_MS,
  READY_TIMEOUT_MS,
  TOKEN_TIMEOUT_MS,
  RING,
  MAX_HEIGHT,
  ONE_ROW_FROM,
  ONE_ROW_HEIGHT,
  TWO_ROWS_HEIGHT,
  FIELD_HEIGHT,
  BOX_HEIGHT,
  PING_MS,
  MAX_SILENCE,
} from "./limits.js";
import { MESSAGES, abortable, broken, failure, misuse, told, unreachable, vault } from "./page.js";

/** The form's themes as `color-scheme`: where frame and document differ in it, browsers paint the frame opaque. */
const SCHEMES = { light: "light", dark: "dark", auto: "light dark" };
/** Inputs whose Enter submits a form without a button only while there is no second one (HTML, 4.10.21.2). */
const BLOCKS_ENTER = "input:read-write,input[readonly]";

const themeOf = (options) => {
  const theme = options.appearance?.theme;
  return Object.hasOwn(SCHEMES, theme) ? theme : "light";
};
/** 128 bits as 32 letters: it goes into an address, where the vault refuses digits that could be a card's. */
const randomNonce = () => String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32)).map((byte) => 97 + (byte & 15)));

/**
 * One frame on the page, from mount to unmount. The fields of a split form have no channel of their own: the frame in
 * `split`, which is not shown, drives them from the vault's side and speaks for them.
 */
export class Mount {
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
