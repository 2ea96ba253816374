/**
 * What the document has beyond the three fields, and its words: elements that only some pages ask for are made here when
 * they are, since a component in the wasm costs every buyer ten times as much.
 *
 * English is in the document and the wasm; another language is fetched, once, from WORDS_URL: a file of words per locale,
 * text and nothing else, shown as text. The build puts in WORDS_URL and LOCALES.
 */

const RIGHT_TO_LEFT = /^(ar|fa|he|ur)\b/;
/** Old names, and where script or region say more than the language. */
const ALIASES = [
  [/^(no|nn)\b/, "nb"],
  [/^iw\b/, "he"],
  [/^in\b/, "id"],
  [/^tl\b/, "fil"],
  [/^es-(?!ES$)/, "es-419"],
  [/^zh-(Hant-)?(HK|MO)$/, "zh-HK"],
  [/^zh-(Hant|TW)/, "zh-TW"],
];
/** The English of what is only made here. */
const ENGLISH = {
  name: "Name on card",
  postal_code: "Postal code",
  country: "Country or region",
  save: "Save this card for future payments",
  networks: "Pay with",
};
/** What English calls a postal code there. */
const POSTAL = { US: "ZIP code", PH: "ZIP code", IE: "Eircode", IN: "PIN code" };
const POSTCODE = /^(GB|GG|IM|JE|AU|NZ|ZA|MY)$/;
const COUNTRIES =
  "ADAEAFAGAIALAMAOARATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGTGUGWGYHKHNHRHTHUIDIEILIMINIOIQISITJEJMJOJPKEKGKHKIKMKNKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSESGSHSISJSKSLSMSNSOSRSSSTSVSXSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

const root = document.documentElement;
/** The documents that have fields: this one, or the field pages of a split form. */
const documents = [document];
const byId = (id) => document.getElementById(id);
const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** The locale of ours that fits a BCP 47 tag best; English if none does. */
const pick = (tag) => {
  const alias = ALIASES.find(([pattern]) => pattern.test(tag))?.[1] ?? tag;
  return [alias, alias.split("-")[0]].find((name) => LOCALES.includes(name)) ?? "en";
};

const fetched = {};
const fetchWords = (name) =>
  (fetched[name] ??= fetch(`${WORDS_URL}${name}.json`)
    .then((answer) => answer.json())
    // Without them it is English, and the next call tries again.
    .catch(() => (delete fetched[name], null)));

/** The page's choice, or the buyer's language. */
const localeOf = (wanted) => (typeof wanted != "string" || !wanted || wanted == "auto" ? navigator.language : wanted);

/** The country that the buyer picked, else the one that the page names, else the region of the locale; empty without. */
export function countryOf(options) {
  const codes = [byId("country")?.dataset.picked, options?.country, ...localeOf(options?.locale).split("-").slice(1)];
  return codes.map(String).find((code) => /^[A-Z]{2}$/.test(code)) ?? "";
}

/** The words of the moment. */
let words = {};
/** Whose postal codes are meant, by its code, and whether those are digits. */
let postalCountry = "";
let isPostalNumeric = false;

/** Puts a field page into the language of the moment, now and from now on. */
export function addDocument(page) {
  // Those that are gone have no window.
  const live = documents.filter((one) => one.defaultView && one != page);
  documents.splice(0, documents.length, ...live, page);
  localise(page);
}

/** What is as it was is left alone, here and below: what is set is laid out again. */
function turn(its, dir) {
  if (its.dir != dir) its.dir = dir;
}

function localise(page) {
  const its = page.documentElement;
  its.lang = root.lang;
  turn(its, root.dir);
  its.toggleAttribute("data-loading", root.hasAttribute("data-loading"));
  relabel(page);
}

/**
 * Fetches the words of a locale, with the page's `own` above them, and puts the document into that language. While they
 * are on their way `data-loading` keeps the English ones unseen.
 */
export async function loadWords(wanted, own) {
  const name = pick(localeOf(wanted));
  let loaded = {};
  if (name != "en") {
    root.toggleAttribute("data-loading", true);
    loaded = await fetchWords(name);
    root.removeAttribute("data-loading");
  }
  root.lang = loaded ? name : "en";
  turn(root, loaded && RIGHT_TO_LEFT.test(name) ? "rtl" : "ltr");
  words = { ...loaded, ...own };
  documents.forEach(localise);
  return words;
}

const LABELS = { number: "number", expiry: "expiry", cvc: "cvc", name: "name", postal: "postal_code", country: "country" };

function relabel(page) {
  ENGLISH.postal_code = POSTAL[postalCountry] ?? (POSTCODE.test(postalCountry) ? "Postcode" : "Postal code");
  const say = (holder, property, key) => {
    if (!holder) return;
    // What the document began with is its English.
    ENGLISH[key] ??= holder[property];
    const text = words[key] ?? ENGLISH[key];
    if (holder[property] != text) holder[property] = text;
  };
  for (const [id, key] of Object.entries(LABELS)) say(page.querySelector(`label[for=${id}]`), "textContent", key);
  say(page.getElementById("expiry"), "placeholder", "expiry_format");
  say(page.querySelector(".save span"), "textContent", "save");
  say(page.querySelector("legend"), "textContent", "networks");
  const form = page.getElementById("form");
  if (page == document) say(form, "ariaLabel", "form");
  // A field page's form is named as its field is.
  else form.ariaLabel = page.querySelector("label").textContent;
  const postal = page.getElementById("postal");
  if (postal) postal.inputMode = isPostalNumeric ? "numeric" : "text";
}

const MADE = {
  name: () => field("name", "cc-name", "name"),
  country: () => {
    const select = make("select", { id: "country", autocomplete: "country" });
    select.oninput = () => (select.dataset.picked = select.value);
    return make("div", { className: "row country" }, make("label", { htmlFor: "country" }), select);
  },
  postalCode: () => field("postal", "postal-code", ""),
  saveCard: () => make("label", { className: "save" }, make("input", { type: "checkbox", id: "save" }), make("span")),
};
const made = {};

/** A field like the document's own: the CVV's row under other names. */
function field(id, autocomplete, extra) {
  const row = byId("cvc").closest(".row").cloneNode(true);
  const [label, , fault] = row.children;
  const input = row.querySelector("input");
  row.className = `row ${extra}`;
  label.htmlFor = id;
  Object.assign(input, { id, autocomplete, placeholder: "", value: "", inputMode: "text", ariaInvalid: "false" });
  input.setAttribute("aria-describedby", (fault.id = `${id}-fault`));
  Object.assign(fault, { hidden: true, textContent: "" });
  return row;
}

/**
 * Has exactly the optional elements that the page asks for, in tab order; a field that is off is not there. They are the
 * form's last, since the wasm takes over by position what is before them; and are not moved, which would cost the focus. In
 * a split form each has a document of its own, and what is said here is the country.
 */
export function arrange(asked, country, isNumeric) {
  postalCountry = country;
  isPostalNumeric = isNumeric;
  let next = null;
  for (const [name, create] of Object.entries(MADE).reverse()) {
    if (!asked?.[name]) {
      made[name] = made[name]?.remove();
      continue;
    }
    made[name] ??= create();
    if (!made[name].isConnected) byId("form").insertBefore(made[name], next);
    next = made[name];
  }
  const select = byId("country");
  if (select && select.lang != root.lang) {
    const names = new Intl.DisplayNames([(select.lang = root.lang)], { type: "region" });
    const options = COUNTRIES.match(/../g).map((code) => [names.of(code), code]);
    options.sort(([a], [b]) => a.localeCompare(b, root.lang));
    select.replaceChildren(new Option("", ""), ...options.map(([name, code]) => new Option(name, code)));
    select.value = country;
  }
  documents.forEach(relabel);
}

/**
 * The networks of a co-badged card as radio buttons (EU 2015/751 art. 8): equal, none chosen unless the page prefers
 * one, and the buyer's to change.
 */
export function offer(page, networks, chosen) {
  page.querySelector(".networks")?.remove();
  if (!networks.length) return;
  const radio = ([id, name]) => make("label", {}, make("input", { type: "radio", name: "network", id, checked: id == chosen }), name);
  const group = make("fieldset", { className: "networks" }, make("legend"), ...networks.map(radio));
  page.getElementById("number").closest(".row").append(group);
  relabel(page);
}

/** Says what is wrong with an optional field; nothing when it is right. */
export function mark(page, id, fault) {
  const input = page.getElementById(id);
  if (!input) return;
  const text = page.getElementById(`${id}-fault`);
  input.ariaInvalid = String(!!fault);
  text.hidden = !fault;
  text.textContent = fault;
}
