/**
 * Regrouping what is typed while the caret stays where the buyer works: `src/edit.rs` in plain JavaScript.
 *
 * `typed` is `{ text, caret, digitsBefore, inputType }`, the answer `{ text, caret, digits }`.
 */
import { brandOf, digitsOf, formatExpiry, group, UNKNOWN } from "./rules.js";

const BACKWARD = "deleteContentBackward";
const FORWARD = "deleteContentForward";

/** The digits that shall stay, and how many of them are left of the caret. */
const keptDigits = ({ text, caret, digitsBefore, inputType }) => {
  let left = digitsOf(text.slice(0, caret)).length;
  const digits = digitsOf(text);
  // A deletion that hit only a separator deletes the digit beyond it, else Backspace would stick at a gap.
  const hitSeparator = digits.length === digitsBefore;
  const without = (at) => digits.slice(0, at) + digits.slice(at + 1);
  if (hitSeparator && inputType === BACKWARD && left > 0) {
    left -= 1;
    return [without(left), left];
  }
  if (hitSeparator && inputType === FORWARD && left < digits.length) return [without(left), left];
  return [digits, left];
};

const isDeletion = ({ inputType }) => inputType === BACKWARD || inputType === FORWARD;

/** Where the caret stands behind so many digits. */
const afterDigits = (text, count) => {
  if (count <= 0) return 0;
  let seen = 0;
  const at = [...text].findIndex((char) => /\d/.test(char) && (seen += 1) === count);
  return at < 0 ? text.length : at + 1;
};

const shown = (text, caret) => ({ text, caret, digits: digitsOf(text).length });

/** A card number: digits in the groups of its brand, which may be one of `own`, no longer than the brand's longest. */
export const editNumber = (typed, own) => {
  const [digits, left] = keptDigits(typed);
  const brand = brandOf(digits, own);
  const text = group(digits.slice(0, brand.lengths.at(-1)), brand);
  let caret = afterDigits(text, left);
  // A new digit at the end of a group leads into the next one.
  if (!isDeletion(typed) && text[caret] === " ") caret += 1;
  return shown(text, caret);
};

/** An expiry date, shown as `MM / YY`. */
export const editExpiry = (typed) => {
  const [digits, left] = keptDigits(typed);
  // Separators that were put in matter (`1/` is January); those that a deletion left do not.
  const text = formatExpiry(isDeletion(typed) ? digits : typed.text);
  const padded = Math.max(0, digitsOf(text).length - digits.length);
  return shown(text, typed.caret >= typed.text.length ? text.length : afterDigits(text, left + padded));
};

/** A CVV: digits, as many as the brand has. */
export const editCvc = (typed, brand) => {
  const [digits, left] = keptDigits(typed);
  const text = digits.slice(0, brand === UNKNOWN ? 4 : brand.cvcLength);
  return shown(text, Math.min(left, text.length));
};
