/**
 * The merchant's look: an allow-listed set of variables and rules, each value parsed as what it is for, never a CSS string.
 *
 * Names follow Stripe's Appearance API. What does not parse is left out and told to the page's developer: a page can make
 * the form ugly, but cannot load, move or cover anything with it. Every pattern is anchored at both ends, and none takes a
 * bracket, quote or word beyond those of its kind. `tests/look.mjs` tries to get past them.
 */

const matches = (pattern) => (value) => pattern.test(value);
const COLOR = "(?:transparent|#(?:[0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})|(?:rgb|hsl)a?\\([\\d., %/]{5,40}\\))";
const SHADOW = `(?:inset|0|-?1?\\d(?:\\.\\d{1,3})?px|${COLOR})`;
const FONT = "(?:[a-z][\\w -]*|\"[\\w -]+\"|'[\\w -]+')";

const color = matches(new RegExp(`^${COLOR}$`, "i"));
const shadow = matches(new RegExp(`^(?=.{1,200}$)(?:none|${SHADOW}(?:,? ${SHADOW})+)$`, "i"));
const fonts = matches(new RegExp(`^(?=.{1,200}$)${FONT}(?:, ?${FONT})*$`, "i"));
const weight = matches(/^(?:normal|bold|[1-9]00)$/);
const style = matches(/^(?:none|solid|dashed|dotted|double)$/);
/** In CSS pixels; `em` and `rem` count as 16. */
const pixels = (value) => {
  const [, number, unit] = /^(\d{1,3}(?:\.\d{1,3})?)(px|r?em)$/.exec(value) ?? [];
  return value === "0" ? 0 : number * (unit == "px" ? 1 : 16);
};
const length = (least, most) => (value) => pixels(value) >= least && pixels(value) <= most;
const lengths = (most) => (value) => value.split(" ").length <= 4 && value.split(" ").every(length(0, most));
const lineHeight = (value) => /^[12](?:\.\d{1,3})?$/.test(value) || length(12, 64)(value);

/** `appearance.variables`: the custom property of `frame.css` that each sets. */
export const VARIABLES = {
  colorPrimary: ["--primary", color],
  colorBackground: ["--background", color],
  colorText: ["--text", color],
  colorTextSecondary: ["--text-secondary", color],
  colorTextPlaceholder: ["--placeholder", color],
  colorDanger: ["--danger", color],
  colorBorder: ["--border", color],
  borderRadius: ["--radius", length(0, 32)],
  borderWidth: ["--border-width", length(0, 6)],
  spacingUnit: ["--unit", length(2, 8)],
  gridRowSpacing: ["--row-gap", length(0, 40)],
  gridColumnSpacing: ["--column-gap", length(0, 40)],
  // What is typed stays at 16 px or more: below that iOS zooms into the page on focus.
  fontSizeBase: ["--font-size", length(16, 24)],
  fontFamily: ["--font", fonts],
  fontLineHeight: ["--line-height", lineHeight],
  fontWeightNormal: ["--weight", weight],
  fontWeightMedium: ["--weight-medium", weight],
  focusBoxShadow: ["--focus-shadow", shadow],
  inputBoxShadow: ["--input-shadow", shadow],
};

/** What a rule of `appearance.rules` may set. */
export const PROPERTIES = {
  color,
  backgroundColor: color,
  borderColor: color,
  borderWidth: lengths(6),
  borderStyle: style,
  borderRadius: lengths(32),
  boxShadow: shadow,
  outlineColor: color,
  outlineWidth: length(0, 6),
  outlineStyle: style,
  outlineOffset: length(0, 4),
  padding: lengths(24),
  margin: lengths(24),
  fontFamily: fonts,
  fontSize: length(12, 24),
  fontWeight: weight,
  fontStyle: matches(/^(?:normal|italic)$/),
  lineHeight,
  letterSpacing: length(0, 4),
  textTransform: matches(/^(?:none|uppercase|lowercase|capitalize)$/),
};

/** What a rule may speak of, in which state. `:not(#a)` gives it the weight to win against `frame.css`. */
const PARTS = {
  ".Input": ":is([type=text],select)",
  ".Label": ":is(label,legend)",
  ".Error": ".fault",
  ".Brand": ".brand",
  ".CheckboxInput": "[type=checkbox]",
};
const STATES = { "": "", ":hover": ":hover", ":focus": ":focus", ":disabled": ":disabled", "::placeholder": "::placeholder" };
const RULE = /^(\.[A-Z]\w+)(--invalid)?(:.*)?$/;

const own = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);

/** The declarations of a page's appearance as CSS text, and the names of what was refused. */
export function parse(appearance) {
  const refused = [];
  const declarations = [];
  for (const [name, value] of Object.entries(appearance?.variables ?? {})) {
    const [property, accepts] = own(VARIABLES, name) ?? [];
    if (accepts && accepts(String(value))) declarations.push([property, String(value)]);
    else refused.push(name);
  }
  let css = "";
  for (const [name, rule] of Object.entries(appearance?.rules ?? {})) {
    const [, part, invalid = "", state = ""] = RULE.exec(name) ?? [];
    const elements = own(PARTS, part);
    if (!elements || own(STATES, state) === undefined) {
      refused.push(name);
      continue;
    }
    const body = Object.entries(rule ?? {}).map(([property, value]) => {
      const isSmall = property == "fontSize" && part == ".Input" && !(pixels(String(value)) >= 16);
      if (!isSmall && own(PROPERTIES, property)?.(String(value))) {
        return `${property.replace(/[A-Z]/g, "-$&").toLowerCase()}:${value};`;
      }
      refused.push(`${name} ${property}`);
      return "";
    });
    css += `${elements}:not(#a)${invalid && "[aria-invalid=true]"}${state}{${body.join("")}}`;
  }
  return { declarations, css, refused };
}

/**
 * Puts a document into the page's look; `refuse` hears the names of what was refused. The CSSOM takes it; a style attribute
 * or element would be refused by the document's CSP.
 */
export function dress(page, appearance, refuse) {
  const root = page.documentElement;
  const { declarations, css, refused } = parse(appearance);
  const theme = /^(?:dark|auto)$/.exec(appearance?.theme)?.[0] ?? "light";
  // What is as it was is left alone: a page laid out twice before it is seen is late.
  if (root.dataset.theme != theme) root.dataset.theme = theme;
  if (root.hasAttribute("style")) root.removeAttribute("style");
  for (const [property, value] of declarations) root.style.setProperty(property, value);
  if (css || page.adoptedStyleSheets.length) {
    // A sheet is good for the document whose window made it.
    const sheet = new page.defaultView.CSSStyleSheet();
    sheet.replaceSync(css);
    page.adoptedStyleSheets = [sheet];
  }
  if (refused.length) refuse(refused.join(", "));
  if (Array.isArray(appearance?.fonts)) loadFonts(page, appearance.fonts, refuse);
}

let offered;
/** Loads fonts that the operator offers, by their families; any other name is refused and asks nobody. */
async function loadFonts(page, families, refuse) {
  offered ??= fetch("assets/fonts.json").then((answer) => answer.json()).catch(() => ({}));
  const files = await offered;
  for (const family of families) {
    if (own(files, family)) page.fonts.add(new page.defaultView.FontFace(family, `url(${files[family]})`, { display: "swap" }));
    else refuse(`fonts ${family}`);
  }
}
