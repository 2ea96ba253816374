/**
 * The form's rules in plain JavaScript: what the inputs hold, whether it is right, and what the buyer is told when.
 * `src/form.rs` is the original. A fault is its code.
 */
import {
  brandOf,
  cvcState,
  hasPostalCodes,
  isMistyped,
  isPostalCode,
  isTestNumber,
  networksOf,
  numberState,
  parseExpiry,
  parseName,
  possibleBrands,
  UNKNOWN,
} from "./rules.js";

/** The ids of the inputs, in tab order. */
export const FIELDS = ["number", "expiry", "cvc", "name", "postal", "save"];
export const CARD_FIELDS = FIELDS.slice(0, 3);
/** Those in which something is typed: a tick makes no card that could be incomplete. */
const TYPED_FIELDS = FIELDS.slice(0, 5);
/** The option of each field that is there only when the page asks for it. */
export const ASKED_AS = { name: "name", postal: "postalCode", save: "save" };

const FAULTS = {
  number: ["incomplete_number", "invalid_number", "live_card_in_test_mode", "test_card_in_live_mode", "brand_not_allowed", "funding_not_allowed"],
  expiry: ["incomplete_expiry", "invalid_expiry", "invalid_expiry_year_past"],
  cvc: ["incomplete_cvc", "invalid_cvc"],
  name: ["incomplete_name", "invalid_name"],
  postal: ["incomplete_postal_code", "invalid_postal_code"],
  save: [],
};

/** The field that a fault is about. */
export const fieldOf = (fault) => FIELDS.find((field) => FAULTS[field].includes(fault));

/** The fault that the vault's error code means, where it means one. */
export const faultOfCode = (code) => {
  const fault = code === "expired_card" ? "invalid_expiry_year_past" : code;
  // What the vault calls incomplete or not allowed is no word of its own.
  return fieldOf(fault) && !/^incomplete|^brand/.test(fault) ? fault : undefined;
};

/** The key of a fault's words: `incomplete_cvc_4` where the CVV has four digits. */
const wordOf = (fault, brand) => {
  if (fieldOf(fault) === "cvc") return brand.cvcLength === 4 ? "incomplete_cvc_4" : "incomplete_cvc";
  return fault.replace(/^incomplete_(?=name|postal)/, "invalid_");
};

const MAX_WORD_BYTES = 400;

/** A word in the language of the moment, which is English where `words` has none. */
export const say = (words, key) => {
  const text = words[key];
  const fits = typeof text == "string" && new TextEncoder().encode(text).length <= MAX_WORD_BYTES;
  return fits ? text : TABLES.words[key];
};

/** What is wrong, and what to do about it. */
export const sayFault = (words, fault, brand) => say(words, wordOf(fault, brand)).replace("{brand}", () => brand.name);

const EXPIRY_FINDINGS = {
  empty: ["incomplete_expiry", false],
  incomplete: ["incomplete_expiry", false],
  month: ["invalid_expiry", true],
  far: ["invalid_expiry", true],
};

/** What the page asks the form for; nothing but the card itself unless it says so. */
const NOTHING_ASKED = { name: false, postalCode: false, country: false, save: false, allowed: null, preferred: [] };

/** The facts of the form. It keeps no digit: those stay in the inputs. */
export class Form {
  #mode;
  #isCvcAlone;
  #statuses;
  asks = NOTHING_ASKED;
  country;
  brand = UNKNOWN;
  possible = possibleBrands("");
  #networks = [];
  #choice = null;
  /** The merchant's own brands: the vault names them with the field session. */
  own = [];

  constructor(mode, isCvcAlone = false) {
    this.#mode = mode;
    this.#isCvcAlone = isCvcAlone;
    const faults = { cvc: "incomplete_cvc" };
    if (!isCvcAlone) Object.assign(faults, { number: "incomplete_number", expiry: "incomplete_expiry" });
    this.#statuses = Object.fromEntries(
      FIELDS.map((field) => [field, { isEmpty: true, fault: faults[field], isShown: false }]),
    );
  }

  /** The page asks for other things now. */
  ask(asks, country) {
    this.asks = asks;
    this.country = country;
  }

  /** Whether the form has this field. */
  has(field) {
    return CARD_FIELDS.includes(field) || this.asks[ASKED_AS[field]];
  }

  /** Takes in what the inputs hold now: number and CVV as digits, the rest as shown, and whether the box is ticked. */
  read(entry, today) {
    this.brand = brandOf(entry.number, this.own);
    const { isOwn } = this.brand;
    this.possible = isOwn ? [] : possibleBrands(entry.number);
    this.#networks = isOwn ? [] : networksOf(entry.number);
    if (!this.#openNetworks().includes(this.#choice)) this.#choice = null;
    // A finding is a fault, and whether it is one however the buyer goes on typing.
    const findings = {
      number: this.#isCvcAlone ? null : this.#numberFinding(entry.number),
      expiry: this.#isCvcAlone ? null : expiryFinding(entry.expiry, today),
      cvc: cvcFinding(entry.cvc, this.brand),
      name: this.asks.name ? nameFinding(entry.name) : null,
      postal: this.#postalFinding(entry.postal),
    };
    for (const field of FIELDS) {
      const status = this.#statuses[field];
      const [fault, isCertain] = findings[field] ?? [];
      const isEmpty = !entry[field];
      // An emptied field is not wrong yet; one that was empty when Pay was pressed stays so until it is filled.
      const wasEmptied = isEmpty && !status.isEmpty;
      const isShown = Boolean(fault && !wasEmptied && (status.isShown || isCertain));
      this.#statuses[field] = { isEmpty, fault, isShown };
    }
  }

  /** The buyer left a field: what is wrong with it may be said. */
  left(field) {
    const status = this.#statuses[field];
    status.isShown ||= Boolean(!status.isEmpty && status.fault);
  }

  /** The buyer wants to pay: everything wrong is said. The first fault, if any. */
  submitted() {
    for (const status of Object.values(this.#statuses)) status.isShown = Boolean(status.fault);
    return this.firstShown();
  }

  /** The vault found a fault that the rules here did not. */
  refused(fault) {
    const field = fieldOf(fault);
    if (this.has(field)) Object.assign(this.#statuses[field], { fault, isShown: true });
  }

  /** The fault to show beside a field. */
  shown(field) {
    const { fault, isShown } = this.#statuses[field];
    return isShown ? fault : undefined;
  }

  firstShown() {
    return FIELDS.map((field) => this.shown(field)).find(Boolean);
  }

  /** Whether nothing is typed in these fields. */
  isEmpty(fields = TYPED_FIELDS) {
    return fields.every((field) => this.#statuses[field].isEmpty);
  }

  /** Whether these fields have what they need. */
  isComplete(fields = FIELDS) {
    return fields.every((field) => !this.#statuses[field].fault);
  }

  /** The networks between which the buyer may choose: several on a co-badged card, else none. */
  choices() {
    const open = this.#openNetworks();
    return open.length > 1 ? open : [];
  }

  /** The buyer picks a network; one that is not offered is no choice. */
  choose(network) {
    if (this.choices().includes(network)) this.#choice = network;
  }

  /** The network to pay through: the buyer's choice, else the page's preference, else the only one it takes. */
  network() {
    const open = this.#openNetworks();
    if (!open.length) return null;
    if (open.length === 1) return this.#networks.length > 1 ? open[0] : null;
    return this.#choice ?? this.asks.preferred.find((network) => open.includes(network)) ?? null;
  }

  #taken(networks) {
    const { allowed } = this.asks;
    return allowed ? networks.filter((network) => allowed.includes(network)) : networks;
  }

  #openNetworks() {
    return this.#taken(this.#networks);
  }

  #numberFinding(digits) {
    // A 13-digit Visa may be the beginning of a 16-digit one, so a refusal by mode waits for the common length.
    const isLongEnough = digits.length >= Math.min(this.brand.lengths.at(-1), 16);
    const finding = numberFinding(digits, this.brand, this.#mode, isLongEnough);
    if (!digits || this.brand.isOwn || this.#openNetworks().length || !this.asks.allowed) return finding;
    // A refused brand is said as soon as the number can be of no other.
    const isSettled = !this.#taken(this.possible).length;
    if (isSettled && this.brand !== UNKNOWN) return ["brand_not_allowed", true];
    return finding ?? ["brand_not_allowed", isLongEnough];
  }

  #postalFinding(text) {
    if (!this.asks.postalCode || (!text && !hasPostalCodes(this.country))) return null;
    if (!text) return ["incomplete_postal_code", false];
    return isPostalCode(this.country, text) ? null : ["invalid_postal_code", false];
  }
}

const numberFinding = (digits, brand, mode, isLongEnough) => {
  const state = numberState(digits, brand);
  if (state === "invalid") return ["invalid_number", true];
  if (state === "incomplete" && isMistyped(digits, brand)) return ["invalid_number", false];
  if (state !== "valid") return ["incomplete_number", false];
  // What the operator registered for the key is taken in either mode, whatever the page says.
  if (mode === "test" ? brand.isOwn || isTestNumber(digits) : !isTestNumber(digits)) return null;
  return [mode === "test" ? "live_card_in_test_mode" : "test_card_in_live_mode", isLongEnough];
};

const expiryFinding = (text, today) => {
  const { error } = parseExpiry(text, today);
  // `12 / 20` may become `12 / 2028`.
  if (error === "past") return ["invalid_expiry_year_past", !text.endsWith("20")];
  return error ? EXPIRY_FINDINGS[error] : null;
};

const cvcFinding = (digits, brand) => {
  const state = cvcState(digits, brand);
  if (state === "valid") return null;
  return state === "invalid" ? ["invalid_cvc", true] : ["incomplete_cvc", false];
};

const nameFinding = (text) => {
  if (!/\P{White_Space}/u.test(text)) return ["incomplete_name", false];
  return parseName(text) ? null : ["invalid_name", false];
};
