/**
 * The rules of `crates/card` once more, for browsers without WebAssembly: what a number, an expiry date, a CVV is.
 *
 * Whatever is a table there (brands, ranges, test numbers, postal codes, words) is TABLES here, which the build writes from
 * it. The rest is short and is held against the Rust with random input (`tests/plain.rs`).
 */

/** Prefixes `51-55,2221-2720`, whose digits count. */
const parseRanges = (ranges, brand) =>
  ranges.split(",").map((range) => {
    const [from, to = from] = range.split("-");
    return { from: Number(from), to: Number(to), length: from.length, brand };
  });

/** The brands, `unknown` last. */
export const BRANDS = TABLES.brands.map(([id, name, lengths, cvcLength, cvcLabel]) => ({ id, name, lengths, cvcLength, cvcLabel }));
export const brandOfId = (id) => BRANDS.find((brand) => brand.id === id);
export const UNKNOWN = brandOfId("unknown");
const ranges = (lists) => lists.flatMap(([id, list]) => parseRanges(list, brandOfId(id)));
const RANGES = ranges(TABLES.ranges);
const CO_BADGES = ranges(TABLES.coBadges);

const mayHold = ({ from, to, length }, digits) => {
  const known = Math.min(length, digits.length);
  const scale = 10 ** (length - known);
  const begin = Number(digits.slice(0, known));
  return Math.floor(from / scale) <= begin && begin <= Math.floor(to / scale);
};
const holds = (range, digits) => range.length <= digits.length && mayHold(range, digits);

/** A set of brands is a list of them in the table's order. */
export const setOf = (brands) => BRANDS.filter((brand) => brands.includes(brand));

/** The merchant's own brands, as the vault's field session lists them, in the shape of those of the tables. */
export const ownBrands = (list) =>
  (list ?? []).map(({ cvc_length, prefixes, ...rest }) => ({
    ...rest,
    isOwn: true,
    cvcLength: cvc_length,
    // What is not there is not asked for.
    cvcLabel: cvc_length ? "CVC" : "",
    ranges: prefixes.map((range) => range.split("-")),
  }));
const holdsOwn = ({ ranges }, digits) =>
  ranges.some(([from, to = from]) => {
    const head = digits.slice(0, from.length);
    return head.length === from.length && from <= head && head <= to;
  });

/** The brand of a whole or partial number; UNKNOWN until the digits settle it. One of `own`, else the longest prefix wins. */
export const brandOf = (digits, own = []) => own.find((brand) => holdsOwn(brand, digits)) ?? listedBrandOf(digits);
const listedBrandOf = (digits) =>
  RANGES.reduce((best, range) => (holds(range, digits) && range.length >= best.length ? range : best), {
    length: 0,
    brand: UNKNOWN,
  }).brand;

/** The brands that a number which begins so may have. */
export const possibleBrands = (digits) => {
  const open = RANGES.filter((range) => range.length > digits.length && mayHold(range, digits));
  const settled = listedBrandOf(digits);
  return setOf([...open.map((range) => range.brand), ...(settled === UNKNOWN ? [] : [settled])]);
};

/** The networks that a card with this number may run on. */
export const networksOf = (digits) => {
  const brand = listedBrandOf(digits);
  if (brand === UNKNOWN) return [];
  return setOf([brand, ...CO_BADGES.filter((range) => holds(range, digits)).map((range) => range.brand)]);
};

const ZEROS = [0x30, 0x0660, 0x06f0, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x17e0, 0xff10];

/** The ASCII digit that a character of any script stands for; none if it is no digit. */
export const asciiDigit = (char) => {
  const code = char.codePointAt(0);
  // The scripts of India are laid out alike, Devanagari to Malayalam.
  const isIndian = code >= 0x0966 && code <= 0x0d6f;
  const zero = isIndian ? code - ((code - 0x0966) % 0x80) : ZEROS.find((zero) => code >= zero && code < zero + 10);
  return code - zero < 10 ? String(code - zero) : undefined;
};

/** The digits of what was typed or pasted, in ASCII. */
export const digitsOf = (text) => [...text].map((char) => asciiDigit(char) ?? "").join("");

const isLuhn = (digits) => {
  const sum = [...digits].reverse().reduce((sum, digit, at) => {
    const weighed = Number(digit) * (at % 2 ? 2 : 1);
    return sum + (weighed > 9 ? weighed - 9 : weighed);
  }, 0);
  return digits !== "" && sum % 10 === 0;
};

/** The range whose cards have a check digit of their own making: a weighted sum, modulo 11. */
const NARANJA = "589562";
const NARANJA_WEIGHTS = "432765432765432";
const isNaranja = (digits) => {
  const sum = [...NARANJA_WEIGHTS].reduce((sum, weight, at) => sum + weight * (digits[at] ?? 0), 0);
  const check = 11 - (sum % 11);
  return digits.length === 16 && Number(digits[15]) === (check > 9 ? 0 : check);
};

/** How far a number has got: `empty`, `incomplete`, `valid`, `invalid`. */
export const numberState = (digits, { lengths, isOwn, luhn } = brandOf(digits)) => {
  if (!digits) return "empty";
  const hasCheckDigit = !isOwn && digits.startsWith(NARANJA) ? isNaranja : isLuhn;
  if (lengths.includes(digits.length) && (luhn === false || hasCheckDigit(digits))) return "valid";
  return digits.length >= lengths.at(-1) ? "invalid" : "incomplete";
};

/** Whether a buyer who leaves the field here has made a mistake, as opposed to not being done. */
export const isMistyped = (digits, brand) => {
  const state = numberState(digits, brand);
  // Visa lists 13 and 19, yet 16 is what people hold.
  const { lengths } = brand;
  const common = lengths.includes(16) ? 16 : lengths[0];
  return state === "invalid" || (state === "incomplete" && digits.length >= common);
};

/** `digits` with the spaces that the brand prints. */
export const group = (digits, { id, gaps: own } = brandOf(digits)) => {
  const bySix = id === "diners" ? digits.length <= 14 : id === "amex" || id === "uatp";
  const gaps = own ?? (bySix ? [4, 10] : [4, 8, 12, 16]);
  return [...digits].map((digit, at) => (gaps.includes(at) ? ` ${digit}` : digit)).join("");
};

/** Whether test mode takes this number. */
export const isTestNumber = (digits) =>
  TABLES.testNumbers.includes(digits) || (isLuhn(digits) && TABLES.testRanges.some((range) => digits.startsWith(range)));

/** How far a CVV has got. An unknown brand takes three digits or four; a merchant's own may have none. */
export const cvcState = (digits, brand) => {
  if (!digits) return brand.cvcLength ? "empty" : "valid";
  if (digits.length < brand.cvcLength) return "incomplete";
  return digits.length <= (brand === UNKNOWN ? 4 : brand.cvcLength) ? "valid" : "invalid";
};

/** The digits of a date, the month's two before the year's, whichever way it was written. */
const monthFirst = (text) => {
  const groups = [...text].map((char) => asciiDigit(char) ?? " ").join("").split(" ").filter(Boolean);
  const [first = "", second = "", third = ""] = groups.map((group) => group.slice(0, 8));
  const two = (month) => month.padStart(2, "0");
  // The year first: `2028-12`, `2028-12-31`; then `202812`, where the first two digits are no month.
  if (first.length === 4 && second) return two(second) + first;
  if (first.length === 6 && !second && first.startsWith("20")) return first.slice(4) + first.slice(0, 4);
  // A day between: `12/31/2028`.
  if (first && first.length <= 2 && second && second.length <= 2 && third.length === 4) return two(first) + third;
  if (first.length === 1 && second) return `0${first}${second}`;
  return first + second + third;
};

/** What the expiry shows while it is typed: `MM / YY`. */
export const formatExpiry = (text) => {
  let digits = monthFirst(text).slice(0, 6);
  // A month that begins with 2 to 9 is whole, and so is `1/`.
  const isWhole = digits >= "2" && digits.length < 6;
  if (isWhole || (digits.length === 1 && /[-/.]/.test(text))) digits = `0${digits}`;
  if (digits.length === 6 && digits.slice(2, 4) === "20") digits = digits.slice(0, 2) + digits.slice(4);
  if (digits.length < 2) return digits;
  // `20` and a third digit is a four-digit year on its way.
  const year = digits.slice(2);
  return `${digits.slice(0, 2)} / ${year.slice(0, year.startsWith("20") ? 3 : 2)}`;
};

/** Cards are issued for some years at most; more than this ahead is a typing error. */
const MAX_YEARS = 50;

/** The month of an instant in the zone furthest behind: a card is good until its month has ended everywhere. */
export const monthOf = (milliseconds) => {
  const date = new Date(milliseconds - 12 * 3600 * 1000);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1 };
};

/** `{ year, month }` of a typed expiry, or `{ error }`: `empty`, `incomplete`, `month`, `past`, `far`. */
export const parseExpiry = (text, today) => {
  const digits = monthFirst(text);
  const [month, rest] = [Number(digits.slice(0, 2)), digits.slice(2)];
  if (!digits) return { error: "empty" };
  if (rest.length !== 2 && rest.length !== 4) return { error: "incomplete" };
  const year = Number(rest) + (rest.length === 2 ? 2000 : 0);
  if (month < 1 || month > 12) return { error: "month" };
  if (year < today.year || (year === today.year && month < today.month)) return { error: "past" };
  return year > today.year + MAX_YEARS ? { error: "far" } : { year, month };
};

// A UUID, or a word in hex of a digest's or a trace id's length: machines name things so.
const ID = "(?:[\\da-f]{8}-[\\da-f]{4}-[1-8][\\da-f]{3}-[89ab][\\da-f]{3}-[\\da-f]{12}|(?=\\d*[a-f])(?:[\\da-f]{16}|[\\da-f]{32}|[\\da-f]{40}|[\\da-f]{64}))(?![\\da-z])";
const HEX_ID = new RegExp(ID, "iy");
const RUN = new RegExp(`\\d(?:(?:[ -](?!${ID}))?\\d)*`, "iy");

/** Whether `text` holds a whole digit run that could be a card number. A machine's id in hex is passed over. */
export const holdsCardNumber = (text) => {
  for (let at = 0; at < text.length; at += 1) {
    HEX_ID.lastIndex = RUN.lastIndex = at;
    const isAlone = !/[\da-z]/i.test(text[at - 1] ?? "");
    if (isAlone && HEX_ID.test(text)) at = HEX_ID.lastIndex - 1;
    else if (RUN.test(text)) {
      const digits = text.slice(at, RUN.lastIndex).replace(/\D/g, "");
      if (brandOf(digits) !== UNKNOWN && numberState(digits) === "valid") return true;
      at = RUN.lastIndex - 1;
    }
  }
  return false;
};

const trim = (text) => text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");

/** The holder's name as it is sealed; none when it is no name. */
export const parseName = (text) => {
  const name = trim(text);
  const fits = name && [...name].length <= 100 && !/\p{Cc}/u.test(name);
  return fits && !holdsCardNumber(name) ? name : undefined;
};

/** The postal code as it is sealed; none when it can be no country's. */
export const parsePostalCode = (text) => {
  const code = trim([...text].map((char) => asciiDigit(char) ?? char).join(""));
  return /^[\da-z -]{1,16}$/i.test(code) && !holdsCardNumber(code) ? code : undefined;
};

/** A country's two letters; none for anything else. */
export const parseCountry = (text) => (/^[A-Z]{2}$/.test(text) ? text : undefined);

const postalShapes = (country) =>
  country && TABLES.postal.split(" ").find((entry) => entry.startsWith(country))?.slice(2);

/** Whether a country has postal codes at all. */
export const hasPostalCodes = (country) => postalShapes(country) !== "-";

/** Whether a country's codes are digits, so that a phone may show its number pad. */
export const isPostalNumeric = (country) => /^[9,]+$/.test(postalShapes(country) ?? "");

/** Whether `text` is a postal code of `country`: `9` is a digit in a shape, `A` a letter, `*` either. */
export const isPostalCode = (country, text) => {
  const code = [...text].map((char) => (/[ -]/.test(char) ? "" : (asciiDigit(char) ?? char))).join("");
  const shapes = postalShapes(country);
  const fits = (shape) =>
    shape.length === code.length &&
    [...shape].every((kind, at) => (kind === "9" ? /\d/ : kind === "A" ? /[a-z]/i : /./).test(code[at]));
  return /^[\da-z]{2,12}$/i.test(code) && (!shapes || shapes === "-" || shapes.split(",").some(fits));
};
