/**
 * payments.js: paying from the page with a client secret. The loader fetches it, under integrity, at the first call that
 * needs it, and it hands itself over by an event on its own script element.
 *
 * It speaks to payments, whose address the vault tells. No card comes here: of an element it gets a token. What the bank
 * asks of the buyer (3-D Secure) is shown in one frame, a page of payments:
 *
 *   3-D Secure page → page, by postMessage to the origin in its `?origin=`:
 *     {cardseal: "3ds", status: "challenge"}   there is something for the buyer to see: until then nothing is shown
 *     {cardseal: "3ds", status: "complete"}    it is over
 *
 * Verbs, arguments and results are those of Stripe.js.
 */
(() => {
  "use strict";

  /** A POST goes out again under its idempotency key, which makes it the same call, until somebody answers. */
  const RESENDS_MS = [1000, 2000, 4000, 8000];
  const ANSWER_TIMEOUT_MS = 40000;
  /** After the 3-D Secure page is through, payments may need a moment more. */
  const LOOKS_MS = [0, 500, 1000, 2000];

  /** A 3-D Secure page that says nothing for so long is shown all the same: the buyer sees that something goes on. */
  const SHOWN_AFTER_MS = 3000;

  /** By the kind of the client secret. */
  const KINDS = {
    pi: { path: "payment_intents", name: "paymentIntent", field: "payment_intent", failure: "last_payment_error" },
    seti: { path: "setup_intents", name: "setupIntent", field: "setup_intent", failure: "last_setup_error" },
  };

  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  /** Ends a call with `{ error }`. */
  class Refused extends Error {
    constructor(type, code, message, more) {
      super(message);
      this.error = { type, code, message, ...more };
    }
  }
  const connection = (code, message) => new Refused("api_connection_error", code, message);

  /** Client secret → the confirmation that is under way: however often the buyer clicks, there is one. */
  const underWay = new Map();

  const make = ({ key, vault, createToken }) => {
    let asked;

    /** The address of payments; a failure is forgotten. */
    const payments = () => {
      asked ??= askVault().catch((error) => {
        asked = undefined;
        throw error;
      });
      return asked;
    };

    const askVault = async () => {
      let answer;
      try {
        answer = await fetch(`${vault}/v1/frame/check?${new URLSearchParams({ key })}`, { credentials: "omit" });
        answer = { ok: answer.ok, ...(await answer.json()) };
      } catch {
        throw navigator.onLine ? connection("blocked", "The vault could not be reached.") : connection("offline", "The browser is offline.");
      }
      if (!answer.ok) throw new Refused("authentication_error", answer.code, answer.title);
      if (!answer.payments_url) {
        throw new Refused("invalid_request_error", "payments_not_configured", "The vault does not know an address of payments: start it with --payments-url.");
      }
      return answer.payments_url;
    };

    const secretOf = (clientSecret) => {
      const match = /^((pi|seti)_[0-9A-Za-z]+)_secret_[0-9A-Za-z_-]+$/.exec(clientSecret);
      if (!match) throw new Error("Cardseal: not a client secret (pi_.._secret_.. or seti_.._secret_..).");
      return { id: match[1], kind: KINDS[match[2]], clientSecret };
    };

    const request = async (url, options) => {
      const answer = await fetch(url, {
        ...options,
        headers: { authorization: `Bearer ${key}`, ...options.headers },
        credentials: "omit",
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      return { status: answer.status, body: await answer.json() };
    };

    const retrieve = async ({ id, kind, clientSecret }) => {
      const url = `${await payments()}/v1/${kind.path}/${id}?${new URLSearchParams({ client_secret: clientSecret })}`;
      let answer;
      try {
        answer = await request(url, {});
      } catch {
        throw connection("network", "Payments could not be reached.");
      }
      if (answer.status != 200) throw refusal(answer.body);
      return answer.body;
    };

    const post = async ({ id, kind }, params) => {
      const url = `${await payments()}/v1/${kind.path}/${id}/confirm`;
      if (!navigator.onLine) throw connection("offline", "The browser is offline.");
      const headers = { "content-type": "application/x-www-form-urlencoded", "idempotency-key": randomKey() };
      for (const pause of [...RESENDS_MS, null]) {
        // No answer, one that says nothing, or 409: the same key is at work. Each is settled by asking again.
        const { status, body } = await request(url, { method: "POST", headers, body: form(params) }).catch(() => ({ status: 0 }));
        if (status == 200) return body;
        const isAnswer = status && status != 409 && status != 429 && status < 500;
        if (isAnswer) throw refusal(body);
        if (pause) await sleep(pause);
      }
      throw connection("outcome_unknown", "No answer came, so it is not known whether the payment went through. Retrieve the intent before you pay again.");
    };

    /** What the page is told of an intent: a decline is an error, with the intent in it. */
    const told = (intent, kind) => {
      const failed = intent[kind.failure];
      if (intent.status == "requires_payment_method" && failed) return { error: { ...failed, [kind.field]: intent } };
      return { [kind.name]: intent };
    };

    /** Lets the buyer do what the bank asks. */
    const act = async (intent, secret, signal) => {
      const { next_action: action } = intent;
      if (intent.status != "requires_action" || action?.type != "use_stripe_sdk") return intent;
      const base = new URL(await payments()).origin;
      const url = new URL(action.use_stripe_sdk.url, base);
      // Payments' answer names the page, and no other origin may be shown as the bank's.
      if (url.origin != base) throw new Refused("api_error", "invalid_action", "The 3-D Secure page is not one of payments.");
      url.searchParams.set("origin", location.origin);
      await challenge(url, signal);
      let now = intent;
      for (const pause of LOOKS_MS) {
        await sleep(pause);
        now = await retrieve(secret);
        if (now.status != "requires_action") return now;
      }
      const message = "The bank did not get an answer from you. Try again, or use another card.";
      throw new Refused("invalid_request_error", `${secret.kind.field}_authentication_failure`, message, { [secret.kind.field]: now });
    };

    const confirm = async (secret, data, options) => {
      const { payment_method: method, ...params } = data;
      const { cvc, ...card } = params.payment_method_options?.card ?? {};
      if (cvc) card.cvc_token = await created(cvc, { signal: options.signal });
      if (params.payment_method_options) params.payment_method_options = { ...params.payment_method_options, card };
      params.client_secret = secret.clientSecret;
      params.use_stripe_sdk = true;
      if (typeof method == "string") params.payment_method = method;
      else if (method) {
        // The address is on its way while the card is sealed.
        payments().catch(() => {});
        const { billing_details } = method;
        params.payment_method_data = { type: "card", card: { token: await tokenOf(method, options.signal) }, billing_details };
      }
      const intent = await post(secret, params);
      return told(options.handleActions === false ? intent : await act(intent, secret, options.signal), secret.kind);
    };

    const tokenOf = async ({ card, billing_details: details }, signal) => {
      if (typeof card?.token == "string") return card.token;
      return created(card, { name: details?.name, signal });
    };

    const created = async (element, data) => {
      const { token, error } = await createToken(element, data);
      if (error) throw new Refused(error.type, error.code, error.message);
      return token.id;
    };

    /** Any failure becomes `{ error }`; misuse stays an exception. */
    const settled = async (work) => {
      try {
        return await work();
      } catch (error) {
        if (error instanceof Refused) return { error: error.error };
        throw error;
      }
    };

    const confirmOnce = (clientSecret, data = {}, options = {}) => {
      const secret = secretOf(clientSecret);
      if (!underWay.has(clientSecret)) {
        const confirming = settled(() => confirm(secret, data, options));
        underWay.set(clientSecret, confirming);
        const over = () => underWay.delete(clientSecret);
        confirming.then(over, over);
      }
      return underWay.get(clientSecret);
    };
    const look = (clientSecret) => {
      const secret = secretOf(clientSecret);
      return settled(async () => ({ [secret.kind.name]: await retrieve(secret) }));
    };
    const handle = (clientSecret, options) => {
      const secret = secretOf(clientSecret);
      return settled(async () => told(await act(await retrieve(secret), secret, options?.signal), secret.kind));
    };

    return {
      confirmCardPayment: confirmOnce,
      confirmCardSetup: confirmOnce,
      retrievePaymentIntent: look,
      retrieveSetupIntent: look,
      handleCardAction: handle,
      handleNextAction: (options) => handle(options?.clientSecret, options),
    };
  };

  const refusal = (body) => {
    const { type, code, message, ...more } = body?.error ?? {};
    return new Refused(type ?? "api_error", code, message ?? "Payments refused the call.", more);
  };

  const randomKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /** `a[b][c]=d`, as Stripe writes nested parameters. */
  const form = (params) => {
    const pairs = new URLSearchParams();
    const add = (name, value) => {
      if (value === undefined || value === null) return;
      if (typeof value == "object") Object.entries(value).forEach(([inner, one]) => add(`${name}[${inner}]`, one));
      else pairs.append(name, value);
    };
    Object.entries(params).forEach(([name, value]) => add(name, value));
    return pairs;
  };

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    dialog { box-sizing: border-box; inline-size: min(100vw, 640px); block-size: min(100dvh, 720px); max-inline-size: none;
      max-block-size: none; padding: 0; border: 0; border-radius: 8px; overflow: hidden; background: #fff; color: #1a1a1a;
      color-scheme: light; }
    dialog[open] { display: flex; flex-direction: column; }
    dialog::backdrop { background: rgb(0 0 0 / 60%); }
    .bar { display: flex; justify-content: space-between; align-items: center; padding-inline-start: 16px;
      border-block-end: 1px solid #ccc; font: 16px / 1.4 system-ui, sans-serif; }
    button { flex: none; min-inline-size: 48px; min-block-size: 48px; padding-inline: 16px; border: 0; background: none; color: inherit; font: inherit;
      cursor: pointer; }
    button:focus-visible { outline: 2px solid; outline-offset: -4px; }
    iframe { flex: 1; inline-size: 100%; border: 0; }
    @media (max-width: 640px) { dialog { border-radius: 0; inline-size: 100vw; block-size: 100dvh; } }
    @media (forced-colors: active) { dialog { border: 1px solid; } }
  `);

  /** Opens the 3-D Secure page, out of sight while nothing is asked, until it is through or the buyer closes it. */
  const challenge = (url, signal) =>
    new Promise((resolve) => {
      const make = (name, properties) => Object.assign(document.createElement(name), properties);
      const host = make("div");
      const title = "Confirm the payment with your bank";
      const dialog = make("dialog", { ariaLabel: title });
      // No header element: it would be a second banner beside the shop's.
      const bar = make("div", { className: "bar" });
      const words = make("span", { textContent: title });
      const close = make("button", { type: "button", textContent: "Cancel" });
      // The bank's page must not take the shop's page elsewhere.
      const frame = make("iframe", { title, src: url.href, referrerPolicy: "origin" });
      frame.sandbox.add("allow-scripts", "allow-same-origin", "allow-forms", "allow-popups");
      bar.append(words, close);
      dialog.append(bar, frame);
      const root = host.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [sheet];
      root.append(dialog);

      const listening = new AbortController();
      const show = () => dialog.open || dialog.showModal();
      const patience = setTimeout(show, SHOWN_AFTER_MS);
      const end = () => {
        clearTimeout(patience);
        listening.abort();
        dialog.close();
        host.remove();
        resolve();
      };
      const hear = ({ source, origin, data }) => {
        const isTheirs = source === frame.contentWindow && origin === url.origin;
        if (!isTheirs || data?.cardseal !== "3ds") return;
        if (data.status === "challenge") show();
        if (data.status === "complete") end();
      };
      const over = { signal: listening.signal };
      addEventListener("message", hear, over);
      close.addEventListener("click", end, over);
      dialog.addEventListener("close", end, over);
      signal?.addEventListener("abort", end, over);
      document.body.append(host);
    });

  document.currentScript.dispatchEvent(new CustomEvent("cardseal", { detail: make }));
})();
