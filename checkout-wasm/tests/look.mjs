/**
 * Tries to get past `look.js`: what must be taken, what must not, and 100,000 values made of pieces of CSS. Writes what
 * went wrong to stdout as JSON.
 */
globalThis.CSSStyleSheet = class {};
const { parse, VARIABLES, PROPERTIES } = await import('../src/browser/look.js');

const wrong = [];
const variable = (name, value) => parse({ variables: { [name]: value } }).declarations.length === 1;
const property = (name, value, part = '.Label') => /\{.+\}/.test(parse({ rules: { [part]: { [name]: value } } }).css);

const TAKEN = [
  ['colorPrimary', '#0570de', '#fff', '#00000080', 'rgba(0, 0, 0, 0.5)', 'rgb(0 0 0 / 50%)', 'hsl(210, 50%, 40%)', 'transparent'],
  ['borderRadius', '0', '0px', '12px', '0.5rem'],
  ['fontSizeBase', '16px', '1.125rem'],
  ['fontWeightNormal', '500', 'bold'],
  ['fontLineHeight', '1.4', '24px'],
  ['focusBoxShadow', 'none', '0 0 0 3px rgba(10, 91, 214, 0.3)', '0 0 0 3px #fff, inset 0 -1px 2px #cccccc'],
  ['fontFamily', "Inter, 'Helvetica Neue', sans-serif", '"Open Sans"'],
];
for (const [name, ...values] of TAKEN) for (const value of values) if (!variable(name, value)) wrong.push(`refused ${name}: ${value}`);

const ATTACKS = [
  '', ' ', 'red;', 'url(https://evil.example/x)', 'URL(//e)', 'u\\72l(//e)', "image-set('//e' 1x)", '-webkit-image-set(url(x) 1x)',
  'src(//e)', 'expression(alert(1))', "@import '//e'", '@font-face', 'var(--x)', 'var(--x, url(//e))', 'env(x)', 'attr(value)',
  'calc(1px + 1px)', 'paint(x)', 'element(#number)', '#fff;position:fixed', '#fff}*{display:none', '#fff/**/', '/* */#fff', '#fff\n',
  '\n#fff', '#ffg', '1.5e1px', '-1px', '99999px', '12px !important', 'javascript:alert(1)', 'rgb(url(//e))', '\uff03fff', 'rgb(1,2,3',
  '#fff\u0000', 'x;background:url(//e)', "'x, y", "a'b", '"\\"', '1000', '0.5px ;',
];
for (const value of ATTACKS) {
  for (const name of Object.keys(VARIABLES)) {
    if (variable(name, value) && !(name == 'fontFamily' && /^[a-z ]+$/i.test(value))) wrong.push(`took ${name}: ${value}`);
  }
  for (const name of Object.keys(PROPERTIES)) if (property(name, value)) wrong.push(`took a rule's ${name}: ${value}`);
}

const REFUSED = [
  [{ variables: { colorPrimary: 'red' } }, 'colorPrimary'],
  [{ variables: { borderRadius: '99px' } }, 'borderRadius'],
  [{ variables: { fontSizeBase: '12px' } }, 'fontSizeBase'],
  [{ variables: { constructor: '#fff' } }, 'constructor'],
  [{ variables: { __proto__: null, toString: '#fff' } }, 'toString'],
  [{ variables: { colorPrimary: { toString: () => 'url(x)' } } }, 'colorPrimary'],
  [{ rules: { body: { color: '#fff' } } }, 'body'],
  [{ rules: { '.Input, body': { color: '#fff' } } }, '.Input, body'],
  [{ rules: { '.Input:not(x)': { color: '#fff' } } }, '.Input:not(x)'],
  [{ rules: { '.Input{}*': { color: '#fff' } } }, '.Input{}*'],
  [{ rules: { '.Input': { position: 'fixed' } } }, '.Input position'],
  [{ rules: { '.Input': { backgroundImage: 'none' } } }, '.Input backgroundImage'],
  [{ rules: { '.Input': { fontSize: '14px' } } }, '.Input fontSize'],
  [{ rules: { '.Input': { constructor: 'x' } } }, '.Input constructor'],
];
for (const [appearance, name] of REFUSED) {
  const { refused } = parse(appearance);
  if (refused.join() !== name) wrong.push(`${JSON.stringify(appearance)} refused ${refused}, not ${name}`);
}
const RULES = [
  [{ '.Input': { borderColor: '#fff', padding: '8px 12px' } }, ':is([type=text],select):not(#a){border-color:#fff;padding:8px 12px;}'],
  [{ '.Input--invalid:focus': { color: '#fff' } }, ':is([type=text],select):not(#a)[aria-invalid=true]:focus{color:#fff;}'],
  [{ '.Label': { fontSize: '14px', textTransform: 'uppercase' } }, ':is(label,legend):not(#a){font-size:14px;text-transform:uppercase;}'],
];
for (const [rules, css] of RULES) if (parse({ rules }).css !== css) wrong.push(`${JSON.stringify(rules)} gave ${parse({ rules }).css}`);

// Whatever is taken is one value: no end of a declaration or rule, no escape, no comment, no function but a colour's.
const PIECES = [
  '#fff', 'rgb(', 'hsl(', 'url(', 'var(', 'expression(', '@import', '/*', '*/', '\\72', ';', '}', '{', '1px', '0', ',', ', ', ' ', 'inset',
  'none', ')', "'", '"', 'Inter', '!important', ':', '<', '\n', '%', '.5', '1,2,3)',
];
let seed = 1;
const random = (below) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % below;
let taken = 0;
for (let round = 0; round < 100_000; round += 1) {
  const value = Array.from({ length: 1 + (random(1 << 16) % 6) }, () => PIECES[random(1 << 20) % PIECES.length]).join('');
  for (const name of ['colorText', 'borderRadius', 'focusBoxShadow', 'fontFamily', 'fontWeightNormal', 'fontLineHeight']) {
    if (!variable(name, value)) continue;
    taken += 1;
    const functions = (value.match(/[\w-]*\(/g) ?? []).every((open) => /^(rgb|hsl)a?\($/.test(open));
    const isOne = !/[;{}@\\!*:<\n]/.test(value) && functions;
    const isBalanced = value.split('(').length === value.split(')').length && (value.match(/'/g)?.length ?? 0) % 2 === 0;
    if (!isOne || !isBalanced) wrong.push(`took ${name}: ${JSON.stringify(value)}`);
  }
}
process.stdout.write(JSON.stringify({ wrong, taken }));
