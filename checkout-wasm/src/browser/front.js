/**
 * The front of the frame, in the document's first script: the channel to the page, and what is seen of the page's options.
 *
 * It runs as soon as the fields are parsed and says `ready` once they are in their final look, take keys and focus, and every
 * call of the page's is taken. What runs the rules (the wasm, or the plain script without it: the engine) comes later and
 * takes the documents over with what was typed meanwhile. What the page asked of it until then waits here, in order.
 *
 * The page is not trusted: one handshake per document, with the parent alone, under the origin that the vault checked and
 * named in `frame-ancestors`; then one `MessageChannel` with a closed set of messages. What each is for says `channel.rs`.
 */
import { addDocument, arrange, countryOf, loadWords, mark, offer } from "./extras.js";
import { forget } from "./forget.js";
import { dress } from "./look.js";
import { findSiblings } from "./siblings.js";
import { watch } from "./watch.js";

const PROTOCOL = 1;
/** A form that is on show is painted by then. */
const PAINTED_MS = 50;
/** The ids of the inputs, in tab order. */
const FIELDS = ["number", "expiry", "cvc", "name", "postal", "save"];

/** Which messages the page may send, and what each must have. */
const FROM_PAGE = new Map(
  Object.entries({
    focus: () => true,
    blur: () => true,
    clear: () => true,
    leave: () => true,
    update: (message) => "options" in message,
    validate: () => true,
    error: ({ message }) => typeof message == "string",
    fill: (message) => "fields" in message,
    tokenise: ({ id }) => typeof id == "number",
    ping: () => true,
  }),
);

const query = new URLSearchParams(location.search);
const layout = query.get("layout");
const isSplit = layout == "split";
const isCard = !isSplit && layout != "cvc";

/** The documents that have inputs: this one, or of a split form the field pages by their field, which messages name. */
const pages = new Map();
let port;
/** What the page asks for; in a split form what it has asked for any field, the last word above those before. */
let asked;
let engine;
/** Why there will be none. */
let failure;
const waiting = [];
/** The documents in which something is typed, as far as the page was told before there was an engine. */
const filled = new Set();

let isShown;
const shown = new Promise((resolve) => (isShown = resolve));
// Opened by hand there is nobody to wait for.
if (parent === window) isShown();

/** Tells the page; before the handshake nobody listens and nothing is sent. */
const tell = (type, field, rest) => port?.postMessage({ to: "page", type, field, ...rest });

const refuse = (option) => tell("refused", undefined, { option });

/** A message of the page's, its `field` a field or nothing; none when it is not one. */
const read = (data) => {
  if (data?.to !== "frame" || !FROM_PAGE.get(data.type)?.(data)) return undefined;
  return { ...data, field: FIELDS.find((field) => field === data.field) };
};

/** The inputs of a field, or of all. */
const inputs = (field) =>
  [...pages.values()].flatMap((page) => FIELDS.filter((id) => !field || id == field).flatMap((id) => page.getElementById(id) ?? []));

/** Gives a document the look that the page asks for. */
function look(page, options) {
  dress(page, options?.appearance, refuse);
  for (const id of [...FIELDS, "country"]) page.getElementById(id)?.toggleAttribute("disabled", !!options?.disabled);
}

/** Fields and words that the page asks for, while there is no engine to ask for them. */
function show() {
  const shape = () => engine || arrange(isCard && asked.fields, countryOf(asked));
  shape();
  // Countries have other names then.
  loadWords(asked.locale, asked.words).then(shape);
}

/** Says whether anything is typed, which is all that is known without the rules. */
function report(field, page) {
  // A tick is nothing typed, but where it is all that the document has.
  const isEmpty = FIELDS.every((id) => !page.getElementById(id)?.[id == "save" ? "checked" : "value"] || (isCard && id == "save"));
  if (engine || isEmpty != filled.has(field)) return;
  filled[isEmpty ? "delete" : "add"](field);
  const facts = { empty: isEmpty, complete: false, brand: "unknown", brands: [], networks: [], network: null };
  tell("change", field, { facts });
}

/** Empties a field, or all. */
function clear(field) {
  for (const input of inputs(field)) Object.assign(input, { value: "", checked: false });
  engine?.({ type: "clear", field });
  pages.forEach((page, of) => report(of, page));
}

function obey(message) {
  const { type, field, options } = message;
  if (type == "ping") tell("pong");
  else if (type == "blur") inputs().forEach((input) => input.ownerDocument.activeElement == input && input.blur());
  else if (type == "clear") clear(field);
  else if (type == "leave") {
    clear(field);
    if (field) pages.delete(field);
    engine?.(message);
  } else {
    if (type == "update") {
      asked = { ...asked, ...options };
      pages.forEach((page, of) => (!field || !of || of == field) && look(page, options));
      if (!engine) show();
    }
    if (engine) engine(message);
    // What is typed until the engine comes is right where the focus is.
    else if (type == "focus") inputs(field)[0]?.focus();
    else if (!failure) waiting.push(message);
  }
}

/** Shows a document to the page: it has its look, and reports itself. */
function greet(field, page) {
  watch(
    page,
    (height) => tell("height", field, { height }),
    (state) => tell("visibility", field, { state }),
  );
  tell("ready", field);
  report(field, page);
}

/** Takes in a document with inputs. */
function take(field, page) {
  if (pages.get(field) == page) return;
  pages.set(field, page);
  filled.delete(field);
  if (isSplit) addDocument(page);
  page.addEventListener("input", () => report(field, page));
  // Focus that stays in the document is no news to the page around it.
  page.addEventListener("focusin", ({ relatedTarget }) => relatedTarget || tell("focus", field));
  page.addEventListener("focusout", ({ relatedTarget }) => relatedTarget || tell("blur", field));
  page.addEventListener("keydown", ({ key }) => /^(Escape|Enter)$/.test(key) && tell(key.toLowerCase(), field));
  forget(page, (id) => FIELDS.includes(id) && clear(id));
  engine?.({ type: "page", field, page });
  if (!port) return;
  look(page, asked);
  greet(field, page);
}

if (isSplit) findSiblings((field, page) => FIELDS.includes(field) && take(field, page));
else take(undefined, document);

addEventListener("message", ({ source, origin, data, ports: [given] }) => {
  const isConnect = data?.cardseal === PROTOCOL && data.protocol === PROTOCOL && data.type === "connect";
  if (source !== parent || origin !== query.get("origin") || !isConnect || !given || port) return;
  port = given;
  port.onmessage = (event) => {
    const message = read(event.data);
    if (message) obey(message);
  };
  // The nonce goes back over the port: it pairs this frame with the mount that asked, no more.
  tell("connected", undefined, { nonce: data.nonce });
  // Without a secure context there is no WebCrypto, and without it no sealing.
  if (!isSecureContext) failure = "insecure_context";
  if (failure) return fail(failure);
  asked = { ...data.options };
  waiting.unshift({ type: "update", options: asked });
  pages.forEach((page) => look(page, asked));
  show();
  if (isSplit) tell("ready");
  pages.forEach((page, field) => greet(field, page));
  // The form is painted first; where nothing is, in a frame that is not on show, time goes by instead.
  requestAnimationFrame(() => setTimeout(isShown));
  setTimeout(isShown, PAINTED_MS);
});

/** The fields cannot work here. */
function fail(reason) {
  failure = reason;
  waiting.length = 0;
  tell("loaderror", undefined, { reason });
}

/** From now on `act` gets each document, then each message of the page's that is for the rules, those that wait first. */
async function serve(act) {
  engine = act;
  const [options, ...rest] = waiting.splice(0);
  // What is asked for decides how what was typed is read.
  if (options) act(options);
  pages.forEach((page, field) => act({ type: "page", field, page }));
  for (const message of rest) {
    act(message);
    // As it would have come: what one begins is under way before the next.
    await null;
  }
}

globalThis.front = { arrange, countryOf, fail, loadWords, mark, offer, serve, shown, tell };

document.documentElement.dataset.theme = query.get("theme");
// So that its words come along with the wasm; the page's options ask for the same ones.
loadWords(query.get("locale"));
// A malformed origin throws here, and nobody hears the hello.
if (parent !== window) parent.postMessage({ cardseal: PROTOCOL, type: "hello" }, query.get("origin"));
