/**
 * Runs the files of `plain/` as the browser does, on the tasks that `plain.rs` gives on stdin (its tables, and lists of
 * calls), and answers what they say.
 */
import { readFileSync } from 'node:fs';

const { tables, own, edits, forms, texts, words } = JSON.parse(readFileSync(0, 'utf8'));
globalThis.TABLES = tables;
const rules = await import('../plain/rules.js');
const edit = await import('../plain/edit.js');
const { Form, faultOfCode, fieldOf, sayFault } = await import('../plain/form.js');
const { kindOf } = await import('../plain/vault.js');

const OWN = rules.ownBrands(own);
const brand = (id) => rules.brandOfId(id) ?? OWN.find((brand) => brand.id === id);
const ids = (brands) => brands.map(({ id }) => id);

const edited = edits.map(({ field, brand: id, ...typed }) => {
  const shown = { number: (typed) => edit.editNumber(typed, OWN), expiry: edit.editExpiry, cvc: (typed) => edit.editCvc(typed, brand(id)) }[field](typed);
  return [shown.text, shown.caret, shown.digits];
});

const FIELDS = ['number', 'expiry', 'cvc', 'name', 'postal', 'save'];
const stateOf = (form) => ({
  brand: form.brand.id,
  possible: ids(form.possible),
  choices: ids(form.choices()),
  network: form.network()?.id ?? null,
  empty: form.isEmpty(),
  first: form.firstShown() ?? null,
  fields: FIELDS.map((field) => [form.isEmpty([field]), form.isComplete([field]), form.shown(field) ?? null]),
});
const acted = forms.map(({ mode, cvc_alone, today, steps }) => {
  const form = new Form(mode, cvc_alone);
  form.own = OWN;
  return steps.map(({ act, ...given }) => {
    const acts = {
      read: () => form.read(given.entry, today),
      ask: () => form.ask({ ...given.asks, allowed: given.asks.allowed?.map(brand), preferred: given.asks.preferred.map(brand) }, given.country ?? undefined),
      left: () => form.left(given.field),
      submitted: () => form.submitted(),
      refused: () => form.refused(given.fault),
      choose: () => form.choose(brand(given.network)),
    };
    acts[act]();
    return stateOf(form);
  });
});

const read = texts.map(({ text, country }) => ({
  name: rules.parseName(text) ?? null,
  code: rules.parsePostalCode(text) ?? null,
  postal: rules.isPostalCode(country, text),
  is_numeric: rules.isPostalNumeric(country),
  holds: rules.holdsCardNumber(text),
}));

const said = words.faults.map(([fault, id]) => [sayFault({}, fault, brand(id)), fieldOf(fault)]);
const codes = words.codes.map((code) => faultOfCode(code) ?? null);
const kinds = words.statuses.map(kindOf);
process.stdout.write(JSON.stringify({ edited, acted, read, said, codes, kinds }));
