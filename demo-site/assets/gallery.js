/*
 * The gallery: one section per sample of the card form, mounted when it comes into view. `fill` goes by the test driver
 * (docs/testing.md), which a form of a test key has.
 */
"use strict";

const LOCALES = ["en", "ar", "bg", "cs", "da", "de", "el", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko", "nl", "no", "pl", "pt-BR", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh", "zh-TW"];
const GOOD = { number: "4242424242424242", expiry: "1240", cvc: "123" };

const SAMPLES = [
  { id: "default", title: "As it comes", note: "No option at all." },
  { id: "filled", title: "Filled in", note: "Grouped as the brand prints it.", fill: GOOD },
  { id: "amex", title: "Another brand", note: "15 digits in groups of 4, 6 and 5, and a code of four.", fill: { number: "378282246310005", expiry: "0931", cvc: "1234" } },
  { id: "errors", title: "What is wrong, in words", note: "Said beside each field and to screen readers.", fill: { number: "4242424242424241", expiry: "1220", cvc: "12" } },
  { id: "message", title: "The page's own words", note: "card.setError(..)", fill: GOOD, message: "Your card was declined. Try another card." },
  { id: "disabled", title: "Disabled", note: "While the payment is under way.", options: { disabled: true }, fill: GOOD },
  { id: "dark", title: "Dark", note: "The frame's colour scheme goes with it: no white box.", scheme: "dark", options: { appearance: { theme: "dark" } }, fill: { ...GOOD, cvc: "" } },
  { id: "auto", title: "As the system has it", note: "Light or dark, by the buyer's setting.", scheme: "auto", options: { appearance: { theme: "auto" } } },
  {
    id: "shop",
    title: "In a shop's own look",
    note: "Tokens are parsed, never pasted: what is no colour or length is left out.",
    options: {
      appearance: {
        variables: {
          colorPrimary: "#1f4d3a", colorBackground: "#fffdf9", colorText: "#1d2420", colorTextSecondary: "#5c655f",
          colorBorder: "#8a8371", colorDanger: "#9b2c21", borderRadius: "14px", spacingUnit: "5px", fontSizeBase: "18px",
          fontFamily: "Georgia, serif",
        },
      },
    },
    fill: { ...GOOD, cvc: "" },
  },
  {
    id: "night",
    title: "A dark look of its own",
    note: "A theme, and tokens on top of it.",
    scheme: "dark",
    options: { appearance: { theme: "dark", variables: { colorPrimary: "#c4a7ff", colorBackground: "#221a35", colorBorder: "#8d7bb5", borderRadius: "0px" } } },
    fill: { number: "5555555555554444", expiry: "", cvc: "" },
  },
  { id: "cobadge", title: "Co-badged card", note: "Two networks: the buyer chooses, neither is preselected (EU 2015/751, article 8).", fill: { ...GOOD, number: "4000002500001001" } },
  { id: "brands", title: "Only some brands", note: "allowedBrands: Visa and Mastercard.", options: { allowedBrands: ["visa", "mastercard"] }, fill: { number: "378282246310005", expiry: "1240", cvc: "1234" } },
  { id: "optional", title: "More fields", note: "Name, postal code, country and consent to save; all off by default.", options: { fields: { name: true, postalCode: true, country: true, saveCard: true }, country: "DE" }, fill: GOOD },
  {
    id: "own-brand",
    title: "A card of the shop's own",
    note: "The operator rules it for the key (keys create --card-rules): here 15 digits in groups of 6, 4 and 5, no check digit and no security code.",
    key: document.querySelector(".gallery").dataset.ruledKey,
    fill: { number: "700712345678902", expiry: "1240" },
  },
  {
    id: "split",
    title: "Each field in a place of its own",
    note: "elements.create(\"cardNumber\"), \"cardExpiry\", \"cardCvc\": the page labels them and shows what is wrong.",
    types: { cardNumber: "Card number", cardExpiry: "Expiry date", cardCvc: "Security code" },
    fill: GOOD,
  },
  {
    id: "split-more",
    title: "And the rest of it",
    note: "\"cardName\", \"postalCode\" and \"saveCard\" beside them; the box brings its own words.",
    types: { cardNumber: "Card number", cardExpiry: "Expiry date", cardCvc: "Security code", cardName: "Name on card", postalCode: "Postcode", saveCard: "" },
    options: { country: "GB" },
    fill: { ...GOOD, number: "4000002500001001", name: "Ada Lovelace", postal: "94107", save: true },
  },
  { id: "cvc", title: "The security code alone", note: "For a card that is saved already: elements.create(\"cvc\").", types: { cvc: "" }, fill: { cvc: "123" } },
  { id: "rtl", title: "Right to left", note: "Labels from the right, numbers from the left; native digits are taken.", locale: "ar", options: { locale: "ar" }, fill: { number: "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", expiry: "١٢٤٠", cvc: "" } },
  { id: "locales", title: "Other languages", note: "Words are fetched when they are needed.", pick: LOCALES, options: { locale: "de" } },
  { id: "refused", title: "When it cannot load", note: "loaderror, with the reason.", key: "pk_test_0000000000000000000000000000000000000000" },
];

/** An element with properties and children. */
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

const gallery = document.querySelector(".gallery");

for (const sample of SAMPLES) {
  // A shop without a key of rules has nothing to show there.
  if (sample.key === "") continue;
  const place = make("div", { className: "places" });
  const said = make("p", { className: "said" });
  said.setAttribute("role", "status");
  const head = [make("h2", { textContent: sample.title, id: `${sample.id}-title` }), make("p", { className: "note", textContent: sample.note })];
  const section = make("section", { id: sample.id, className: `sample ${sample.scheme ?? ""}` }, ...head, place, said);
  section.setAttribute("aria-labelledby", `${sample.id}-title`);
  if (sample.locale) Object.assign(place, { lang: sample.locale, dir: "rtl" });
  if (sample.options) section.append(make("details", {}, make("summary", { textContent: "Options" }), make("pre", {}, make("code", { textContent: JSON.stringify(sample.options, null, 2) }))));
  document.querySelector("#samples").append(section);
  if (sample.pick) pick(sample, section, place);
  whenSeen(section, () => show(sample, place, said));
}

/** Mounting is left until somebody could see it. */
function whenSeen(section, start) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    start();
  }, { rootMargin: "200px" });
  observer.observe(section);
}

function show(sample, place, said) {
  place.replaceChildren();
  const elements = Cardseal(sample.key ?? gallery.dataset.key).elements(sample.options);
  for (const [type, label] of Object.entries(sample.types ?? { card: "" })) {
    const mount = make("div", { className: "mount" });
    place.append(label ? make("div", { className: "labelled" }, make("p", { className: "label", textContent: label }), mount) : mount);
    const element = elements.create(type, sample.options);
    element.on("loaderror", ({ message }) => {
      element.unmount();
      said.textContent = message;
    });
    element.on("ready", () => {
      mount.dataset.ready = "yes";
      if (sample.fill) mount.dispatchEvent(new CustomEvent("cardseal:test", { detail: { fill: sample.fill } }));
      if (sample.message) element.setError(sample.message);
    });
    element.mount(mount);
  }
}

function pick(sample, section, place) {
  const select = make("select", {}, ...sample.pick.map((locale) => make("option", { value: locale, textContent: new Intl.DisplayNames([locale], { type: "language" }).of(locale) })));
  select.value = sample.options.locale;
  place.before(make("label", { className: "pick" }, "Language ", select));
  const said = section.querySelector(".said");
  select.addEventListener("change", () => {
    const isRtl = ["ar", "fa", "he", "ur"].includes(select.value);
    Object.assign(place, { lang: select.value, dir: isRtl ? "rtl" : "ltr" });
    show({ ...sample, options: { locale: select.value } }, place, said);
  });
}
