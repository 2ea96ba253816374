/**
 * The frame without WebAssembly: it takes over the form that the document brought, with what was typed meanwhile, and does
 * for it what `src/browser/frame.rs` does. The last of the files that the build makes one script of.
 *
 * `front` is the document's first script, which both serve; `parts` are the functions of its second that both share, which
 * seal and post.
 */
import { editCvc, editExpiry, editNumber } from "./edit.js";
import { ASKED_AS, CARD_FIELDS, faultOfCode, FIELDS, fieldOf, Form, say, sayFault } from "./form.js";
import {
  brandOfId,
  digitsOf,
  isPostalNumeric,
  monthOf,
  ownBrands,
  parseCountry,
  parseExpiry,
  parseName,
  parsePostalCode,
  setOf,
  UNKNOWN,
} from "./rules.js";
import { Refusal, Vault } from "./vault.js";

/** What the page may say at most, in bytes. */
const MAX_MESSAGE = 500;

const { front } = globalThis;
const { parts } = document.querySelector("script[src]");
const query = new URLSearchParams(location.search);
const key = query.get("key") ?? "";
const layout = query.get("layout");
const mode = key.startsWith("pk_live_") ? "live" : "test";
const isSplit = layout === "split";
const isCard = !isSplit && layout !== "cvc";
/** The fields of each document. */
const groups = isSplit ? FIELDS.map((field) => [field]) : [isCard ? CARD_FIELDS : ["cvc"]];

const form = new Form(mode, layout === "cvc");
const vault = new Vault(key, parts);
/** The document that each field's input is in. */
const documents = {};
/** Digits in each input before the event at hand. */
const digitsBefore = {};
/** The facts that the page knows, in a split form each field's. */
const told = {};
const options = {};
let words = {};
let message = "";
let looks = 0;
let offered = "";

const today = () => monthOf(Date.now());
/** The document of a field. One that was taken off the page has no window any more. */
const pageOf = (field) => (documents[field]?.defaultView ? documents[field] : undefined);
const inputOf = (field) => pageOf(field)?.getElementById(field);
const valueOf = (field) => inputOf(field)?.value ?? "";
/** Which field of a split form a message is about; else the form. */
const of = (fields) => (isSplit ? fields[0] : undefined);

const read = () =>
  form.read(
    {
      number: digitsOf(valueOf("number")),
      expiry: valueOf("expiry"),
      cvc: digitsOf(valueOf("cvc")),
      name: valueOf("name"),
      postal: valueOf("postal"),
      save: Boolean(inputOf("save")?.checked),
    },
    today(),
  );

const factsOf = (fields) => {
  const fault = isSplit ? form.shown(fields[0]) : form.firstShown();
  return {
    empty: form.isEmpty(isSplit ? fields : undefined),
    complete: form.isComplete(isSplit ? fields : undefined),
    brand: form.brand.id,
    brands: form.brand.isOwn ? [form.brand.id] : form.possible.map(({ id }) => id),
    networks: form.choices().map(({ id }) => id),
    network: form.network()?.id ?? null,
    bin: fields.includes("number") ? bin() : undefined,
    error: fault && { type: "validation_error", code: fault },
  };
};

/**
 * The first digits of the number, when there are so many. Of eight, six until the number is so long that they do not give
 * it away with the last four.
 */
const bin = () => {
  const number = digitsOf(valueOf("number"));
  const many = number.length < 16 ? Math.min(vault.binDigits, 6) : vault.binDigits;
  return many && number.length >= many ? number.slice(0, many) : undefined;
};

const inWords = (fault) => sayFault(words, fault, form.brand);

/** Says what changed, to the eye, to the ear and to the page. */
function show() {
  const first = form.firstShown();
  for (const field of CARD_FIELDS) {
    const [page, input] = [pageOf(field), inputOf(field)];
    if (!input) continue;
    const fault = form.shown(field);
    const text = page.getElementById(`${field}-fault`);
    input.setAttribute("aria-invalid", String(Boolean(fault)));
    text.hidden = !fault;
    text.textContent = fault ? inWords(fault) : "";
  }
  if (inputOf("cvc")) inputOf("cvc").placeholder = form.brand.cvcLabel;
  const badge = pageOf("number")?.getElementById("number-brand");
  if (badge) {
    badge.hidden = form.brand === UNKNOWN;
    badge.textContent = badge.hidden ? "" : form.brand.name;
  }
  if (!isSplit) {
    const below = document.querySelector(".message");
    below.hidden = !message;
    below.textContent = message;
    document.querySelector(".said").textContent = first ? inWords(first) : message;
  }
  showExtras();
  tellChange();
}

function showExtras() {
  for (const field of ["name", "postal"].filter(pageOf)) {
    const fault = form.shown(field);
    front.mark(pageOf(field), field, fault ? inWords(fault) : "");
  }
  const choices = form.choices().map(({ id, name }) => [id, name]);
  if (!pageOf("number") || offered === (offered = choices.join())) return;
  front.offer(pageOf("number"), choices, form.network()?.id ?? "");
}

function tellChange() {
  for (const fields of groups.filter(([field]) => pageOf(field))) {
    const facts = factsOf(fields);
    const now = JSON.stringify(facts);
    if (told[fields[0]] === now) continue;
    told[fields[0]] = now;
    if (facts.error) facts.error.message = inWords(facts.error.code);
    front.tell("change", of(fields), { facts });
  }
}

/** The page's words, as text and of a length that stays readable. */
function tellBuyer(text) {
  if (new TextEncoder().encode(text).length <= MAX_MESSAGE) message = text;
}

const isFocused = (input) => input.ownerDocument.activeElement === input;
const focus = (field) => inputOf(field)?.focus();

/** An input event: the text is regrouped, the caret kept, the facts told. */
function typed(field, inputType) {
  const input = inputOf(field);
  const { value: text } = input;
  const before = { text, caret: input.selectionStart ?? text.length, digitsBefore: digitsBefore[field] ?? 0, inputType };
  const edit = { number: (typed) => editNumber(typed, form.own), expiry: editExpiry, cvc: (typed) => editCvc(typed, form.brand) }[field];
  const shown = edit ? edit(before) : { text, digits: 0 };
  digitsBefore[field] = shown.digits;
  if (shown.text !== text) {
    input.value = shown.text;
    // Autofill writes where the focus is not, and Safari moves the focus to a caret that is set.
    if (isFocused(input)) input.setSelectionRange(shown.caret, shown.caret);
  }
  vault.prepare().then(register);
  tellBuyer("");
  read();
  show();
}

/** Takes in what the field session brought: the merchant's own brands, once. A number that was there before is grouped as theirs. */
function register() {
  if (!form.own.length && vault.brands?.length) {
    form.own = ownBrands(vault.brands);
    if (inputOf("number")) typed("number", "");
  }
  tellChange();
}

function clear(fields) {
  for (const field of fields) {
    const input = inputOf(field);
    if (input) Object.assign(input, { value: "", checked: false });
    digitsBefore[field] = 0;
  }
  read();
  show();
}

/** The buyer picked: a network by its radio, or the country. */
function picked({ id, value }) {
  if (id === "country") ask(form.asks, parseCountry(value));
  else if (brandOfId(id)) {
    form.choose(brandOfId(id));
    show();
  }
}

function listen(page) {
  const fieldAt = ({ target }) => FIELDS.find((field) => field === target.id);
  page.addEventListener("input", (event) => {
    const field = fieldAt(event);
    // Autofill dispatches a plain Event: it has no `inputType`, which reads as no deletion.
    if (field) typed(field, event.inputType);
    else picked(event.target);
  });
  page.addEventListener("focusout", (event) => {
    const field = fieldAt(event);
    if (!field) return;
    form.left(field);
    show();
  });
}

/** Takes over a document that holds these fields, with what was typed before there was anybody to read it. */
function takeOver(fields, page) {
  for (const field of fields) documents[field] = page;
  if (isCard) documents.name = documents.postal = documents.save = page;
  // A page that came in the place of another has no networks to choose from yet.
  offered = "";
  listen(page);
  for (const field of fields) {
    digitsBefore[field] = 0;
    if (valueOf(field)) typed(field, "");
  }
  ask(form.asks, form.country);
}

const refuse = (option) => front.tell("refused", undefined, { option });

/** The brands of a list in the page's options. */
function brandsIn(name) {
  if (!Array.isArray(options[name])) return undefined;
  return options[name].flatMap((id) => {
    const brand = brandOfId(id);
    if (!brand) refuse(name);
    return brand ?? [];
  });
}

/** Takes the page's options: what the form asks for at once, its words when they are there. */
async function heed(given) {
  Object.assign(options, given);
  vault.bind(typeof options.session == "string" ? options.session : undefined);
  const asked = options.fields ?? {};
  const allowed = brandsIn("allowedBrands");
  const asks = {
    name: Boolean(asked.name),
    postalCode: Boolean(asked.postalCode),
    country: Boolean(asked.country),
    save: Boolean(asked.saveCard),
    allowed: allowed ? setOf(allowed) : null,
    preferred: (brandsIn("preferredNetwork") ?? []).slice(0, 4),
  };
  ask(asks, parseCountry(front.countryOf(options)));
  const current = (looks += 1);
  const loaded = await front.loadWords(options.locale, options.words);
  if (looks !== current) return;
  words = loaded;
  // What is wrong is said anew, and countries have other names.
  ask(form.asks, form.country);
}

function ask(asks, country) {
  front.arrange(isCard && options.fields, country ?? "", isPostalNumeric(country));
  const has = Object.entries(ASKED_AS).map(([field, name]) => [name, Boolean(pageOf(field))]);
  // Other layouts have the fields that have a document, and no more.
  form.ask(isCard ? asks : { ...asks, ...Object.fromEntries(has), country: false }, country);
  read();
  show();
}

/** What there is to do, by `front.js` or for the page through it; `field` is the one it is about. */
const COMMANDS = {
  page: ({ field, page }) => {
    const fields = groups.find((some) => !field || some.includes(field));
    if (fields) takeOver(fields, page);
  },
  focus: ({ field }) => {
    const fault = form.firstShown();
    focus(field ?? (fault ? fieldOf(fault) : groups[0][0]));
  },
  clear: ({ field }) => clear(field ? [field] : FIELDS),
  // The page takes a field, or the form, away: the inputs are empty already.
  leave: ({ field }) => {
    if (!field) return;
    delete documents[field];
    ask(form.asks, form.country);
  },
  update: ({ options: given }) => heed(given),
  validate: () => {
    form.submitted();
    show();
  },
  error: ({ message }) => {
    tellBuyer(message);
    show();
  },
  // The driver of a merchant's own browser tests. In live mode nobody fills but the buyer.
  fill: ({ fields }) => {
    for (const field of FIELDS) {
      const given = fields?.[field];
      const input = mode === "test" && given !== undefined && inputOf(field);
      if (!input) continue;
      if (typeof given == "string") input.value = given;
      else input.checked = Boolean(given);
      typed(field, "");
      form.left(field);
      show();
    }
  },
  tokenise: async ({ id, name }) => answer(id, await tokenise(name).catch((refused) => refused)),
};

/** The card's JSON for sealing, in the contract's order. */
function plaintext(name) {
  const cvc = digitsOf(valueOf("cvc"));
  if (layout === "cvc") return JSON.stringify({ cvc });
  const { year, month } = parseExpiry(valueOf("expiry"), today());
  const { asks } = form;
  return JSON.stringify({
    number: digitsOf(valueOf("number")),
    exp_month: month,
    exp_year: year,
    cvc: cvc || undefined,
    name: asks.name ? parseName(valueOf("name")) : name,
    postal_code: parsePostalCode(valueOf("postal")),
    country: asks.country || asks.postalCode ? form.country : undefined,
    network: form.network()?.id,
  });
}

async function tokenise(given) {
  tellBuyer("");
  const submit = () => {
    read();
    const fault = form.submitted();
    show();
    return fault;
  };
  let fault = submit();
  if (fault && fieldOf(fault) === "number" && !form.isEmpty(["number"])) {
    // It may be a brand of the merchant's own, which only the session names.
    await vault.meet();
    register();
    fault = submit();
  }
  if (fault) {
    focus(fieldOf(fault));
    throw new Refusal("validation_error", fault, inWords(fault));
  }
  const name = typeof given == "string" && !form.asks.name ? given : undefined;
  if (name !== undefined && !parseName(name)) throw new Refusal("validation_error", "invalid_name", inWords("invalid_name"));
  const token = await vault.tokenise(plaintext(name && parseName(name)));
  const save = inputOf("save");
  return save ? { ...token, save_card: save.checked } : token;
}

function answer(id, result) {
  if (!(result instanceof Error)) {
    // PCI DSS 3.3.1 in spirit: number and code have done their work, and nobody else shall read them here.
    clear(["number", "cvc"]);
    front.tell("token", undefined, { id, token: result });
    return;
  }
  const { type, code, message } = result instanceof Refusal ? result : Refusal.failed();
  const fault = faultOfCode(code);
  if (fault) {
    form.refused(fault);
    show();
  }
  const own = code === "network" ? say(words, "offline") : message || say(words, "failed");
  front.tell("token", undefined, { id, error: { type, code, message: fault ? inWords(fault) : own } });
}

front.serve((message) => COMMANDS[message.type](message));
