/**
 * The way to the vault in plain JavaScript: a field session that renews itself, sealing, and the token. `src/browser/vault.rs`
 * is the original; `post` and `sealCard` are the very functions that the wasm calls.
 */

/** A session that ends within this many seconds is renewed first: sealing and sending take time on a slow line. */
const RENEW_BEFORE_S = 60;

/** Answers that a new session and a new seal may cure. */
const STALE = ["session_invalid", "sealing_key_unknown", "sealed_card_replayed"];

const KINDS = {
  0: "api_connection_error",
  401: "authentication_error",
  402: "card_error",
  403: "authentication_error",
  428: "rate_limit_error",
  429: "rate_limit_error",
};

/** The `type` of the error that the page receives, as Stripe.js names them. */
export const kindOf = (status) => KINDS[status] ?? (status >= 400 && status < 500 ? "invalid_request_error" : "api_error");

/** Why there is no token: what programs compare, and words where the form has none. */
export class Refusal extends Error {
  constructor(type, code, message = "") {
    super(message);
    Object.assign(this, { type, code });
  }

  /** Sealing failed, or the form changed between check and seal. */
  static failed() {
    return new Refusal("api_error", "sealing_failed");
  }
}

/** What the vault answered; throws a Refusal for anything but success. */
const success = ({ status, body }) => {
  if (status >= 200 && status < 300) return body;
  const text = (value) => (typeof value == "string" ? value : "");
  throw status ? new Refusal(kindOf(status), text(body?.code), text(body?.title)) : new Refusal(kindOf(0), "network");
};

/** The vault as one frame sees it. */
export class Vault {
  #key;
  #parts;
  #bound;
  #session = null;

  /** How many digits of the number the page may be told, by the key's rule; none before there was a session. */
  binDigits = 0;
  /** The merchant's own brands, as the session lists them; undefined before there was one. */
  brands;

  constructor(key, parts) {
    this.#key = key;
    this.#parts = parts;
  }

  /** Takes the session that the merchant's server bound to a payment. */
  bind(session) {
    if (this.#bound === session) return;
    this.#bound = session;
    this.#session = null;
  }

  /** Fetches a session ahead of need, once. */
  prepare() {
    this.#session ??= this.#parts.post("/v1/field-sessions", undefined, { key: this.#key, session: this.#bound }).then((answer) => {
      this.binDigits = answer.body.bin_digits ?? 0;
      if (answer.status === 200) this.brands = answer.body.brands ?? [];
      return answer;
    });
    return this.#session;
  }

  /** Waits for the first session, if it is not there yet. */
  async meet() {
    if (!this.brands) await this.#fetchSession().catch(() => {});
  }

  /** Seals the card's JSON and gets a token; a stale session or key is renewed once, unseen. Throws a Refusal. */
  async tokenise(card) {
    try {
      return await this.#attempt(card);
    } catch (refused) {
      if (!STALE.includes(refused.code)) throw refused;
      this.#session = null;
      return this.#attempt(card);
    }
  }

  async #attempt(card) {
    const session = await this.#freshSession();
    const plaintext = new TextEncoder().encode(card);
    try {
      const sealed = await this.#parts.sealCard(session, this.#key, plaintext).catch(() => {
        throw Refusal.failed();
      });
      return success(await this.#parts.post("/v1/tokens", session.session, { sealed }));
    } finally {
      plaintext.fill(0);
    }
  }

  async #freshSession() {
    const session = await this.#fetchSession();
    if (session.expires_at - Date.now() / 1000 > RENEW_BEFORE_S) return session;
    this.#session = null;
    return this.#fetchSession();
  }

  async #fetchSession() {
    try {
      return success(await this.prepare());
    } catch (refused) {
      this.#session = null;
      throw refused;
    }
  }
}
