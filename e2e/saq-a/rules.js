/**
 * What breaks a merchant's SAQ A eligibility on a payment page, or weakens what it rests on: PCI DSS 4.0.1, SAQ A r1 and
 * FAQ 1588. Judges the facts of look.js; docs/saq-a.md explains each rule.
 */

const NUMBER = /card.{0,3}(num|no\b|nr)|cc.?num|\bpan\b|kreditkarte|tarjeta|carte bancaire/i;
const CODE = /\bcv[vc]2?\b|\bcsc\b|security.?code|card.?code|pr[uü]f(nummer|ziffer)|cryptogramme/i;
const EXPIRY = /cc-exp|card.{0,3}exp|expir(y|ation)/i;
/** `/v1/cardseal.js` for development, `/v1/cardseal-<version>.js` for everybody else. */
const LOADER = /\/cardseal(-[0-9A-Za-z.-]+)?\.js$/;
const SCRIPT_HOLES = ["'unsafe-eval'", '*', 'https:', 'http:', 'data:', 'blob:'];

const origin = (url) => {
  try {
    return new URL(url).origin;
  } catch {
    return 'null';
  }
};
const isLocal = (url) => /^(localhost|127\.0\.0\.1|\[::1\]|.*\.localhost)$/.test(new URL(url).hostname);

/**
 * The findings for the facts of a page: `{ level: 'fail' | 'warn', rule, found, advice }`. `inventory` is the merchant's
 * list of scripts and frames: `{ scripts: [{ url, why, integrity }], frames: [{ url, why }] }`.
 */
export function judge(facts, inventory = null) {
  const findings = [];
  const say = (level) => (rule, found, advice) => findings.push({ level, rule, found, advice });
  const [fail, warn] = [say('fail'), say('warn')];
  const own = origin(facts.url);
  const documents = [facts.main, ...facts.frames.map((frame) => frame.document).filter(Boolean)];
  const scripts = documents.flatMap((document) => document.scripts);
  const loader = scripts.find((script) => script.src && LOADER.test(new URL(script.src).pathname));
  const vault = loader && origin(loader.src) !== own ? origin(loader.src) : null;

  if (facts.status >= 400) fail('page', `the page answered ${facts.status}`, 'Give the address of a payment page that shows the card form without a login.');
  inputs(documents, fail, warn);
  form(facts, loader, vault, own, fail);
  transport(facts, fail, warn);
  scriptList(scripts, loader, vault, own, inventory, fail, warn);
  frameList(facts, vault, own, inventory, warn);
  policy(facts, vault, fail, warn);
  headers(facts, warn);
  connections(facts, vault, own, warn);
  return findings;
}

function inputs(documents, fail, warn) {
  for (const input of documents.flatMap((document) => document.inputs)) {
    if (['hidden', 'submit', 'button', 'checkbox', 'radio'].includes(input.type)) continue;
    const found = `an input of the page itself (${input.name || 'without a name'})`;
    const advice = 'Remove it: number and code may be typed into the vault’s frame only. A page that takes them itself is SAQ D.';
    if (/cc-(number|csc)/.test(input.autocomplete) || NUMBER.test(input.name) || CODE.test(input.name)) fail('card_input', found, advice);
    else if (EXPIRY.test(input.name)) warn('card_input', found, 'The vault’s frame asks for the expiry date; do not ask again.');
  }
}

function form(facts, loader, vault, own, fail) {
  if (!loader) return fail('loader', 'no loader (cardseal.js) on this page', 'Give the page that shows the card form; load the form by a script tag from the vault.');
  if (!vault) return fail('loader', 'the loader comes from the page’s own origin', 'Load it from the vault: the form must come whole from the provider.');
  if (!LOADER.exec(new URL(loader.src).pathname)[1]) {
    fail('loader_release', 'the loader is /v1/cardseal.js, which changes under the page', 'Use the release’s own address, /v1/cardseal-<version>.js, with its integrity: both are in the vault’s manifest.');
  } else if (!/^sha(256|384|512)-/.test(loader.integrity)) {
    fail('loader_integrity', 'the loader has no integrity', 'Add integrity="sha384-.." crossorigin from the vault’s manifest.');
  }
  const cards = facts.frames.filter((frame) => origin(frame.url) === vault);
  if (cards.length === 0) fail('card_frame', 'no frame of the vault is on the page', 'Open the page in the state that shows the card form; see whether its policy lets the vault be framed.');
  return undefined;
}

function transport(facts, fail, warn) {
  const isHttps = facts.url.startsWith('https:');
  if (!isHttps && isLocal(facts.url)) warn('https', 'the page is served over http', 'Fine on this machine only: buyers need https.');
  else if (!isHttps) fail('https', 'the page is served over http', 'Serve it over https: who can change the page on its way can change what the buyer types into.');
  const plain = isHttps ? facts.requests.filter((request) => request.url.startsWith('http:')) : [];
  for (const request of plain) fail('mixed_content', `${request.type} over http: ${request.url}`, 'Load it over https.');
  for (const { action } of facts.main.forms) {
    if (isHttps && action.startsWith('http:')) fail('mixed_content', `a form posts over http: ${action}`, 'Post it over https.');
  }
}

function scriptList(scripts, loader, vault, own, inventory, fail, warn) {
  const listed = new Map((inventory?.scripts ?? []).map((script) => [script.url, script]));
  for (const script of scripts.filter((one) => one.src && one !== loader)) {
    const entry = listed.get(script.src);
    const isTheirs = origin(script.src) !== own && origin(script.src) !== vault;
    if (isTheirs && !entry) {
      fail('script_inventory', `a third party’s script without an entry in the inventory: ${script.src}`, 'Remove it, or add it with a reason and an integrity to the inventory (--inventory): PCI DSS 6.4.3.');
    } else if (inventory && !entry && origin(script.src) !== vault) {
      warn('script_inventory', `not in the inventory: ${script.src}`, 'Add it with a reason: each script of a payment page is one to account for.');
    }
    if (entry && !entry.why) fail('script_inventory', `no reason in the inventory: ${script.src}`, 'Write down what the script is for.');
    if (isTheirs && !script.integrity) warn('script_integrity', `a third party’s script without integrity: ${script.src}`, 'Pin it: integrity="sha384-.." crossorigin; or host a copy that you have read.');
    if (entry?.integrity && script.integrity !== entry.integrity) fail('script_integrity', `another integrity than in the inventory: ${script.src}`, 'Find out who changed it, then correct one of the two.');
  }
}

function frameList(facts, vault, own, inventory, warn) {
  const listed = (inventory?.frames ?? []).map((frame) => origin(frame.url));
  for (const url of facts.main.frames) {
    const from = origin(url);
    if (from === 'null' || from === own || from === vault || listed.includes(from)) continue;
    warn('frames', `a frame from elsewhere: ${url}`, 'A look-alike card form is the usual attack: keep payment pages free of other frames, or list this one (--inventory).');
  }
}

/** Directives of every enforced policy; a directive that several have is as strict as the strictest, so each is looked at. */
function policy(facts, vault, fail, warn) {
  const header = facts.headers['content-security-policy'];
  const texts = [...(header ? header.split(/,(?=\s*[a-z-]+-src|\s*default-src)/) : []), ...facts.main.policies].filter((text) => text.trim());
  if (texts.length === 0) {
    return fail('csp', 'no Content-Security-Policy', 'Send the header of docs/saq-a.md: it decides which scripts run and which frames show.');
  }
  const policies = texts.map((text) => new Map(text.split(';').map((part) => part.trim().split(/\s+/)).filter(([name]) => name).map(([name, ...values]) => [name.toLowerCase(), values])));
  const of = (name) => policies.map((one) => one.get(name) ?? one.get('default-src')).filter(Boolean);
  const strict = (lists, isHole) => lists.some((values) => !isHole(values));
  const hasHole = (values) => {
    const keyed = values.some((value) => /^'(nonce|sha\d+)-/.test(value));
    return (values.includes("'unsafe-inline'") && !keyed) || values.some((value) => SCRIPT_HOLES.includes(value));
  };
  const script = of('script-src');
  if (!strict(script, hasHole)) {
    fail('csp_scripts', script.length ? `script-src ${script[0].join(' ')}` : 'scripts are not restricted', "Name origins, hashes or nonces in script-src, without 'unsafe-inline', 'unsafe-eval', data: or whole schemes.");
  }
  if (!strict(of('frame-src').concat(of('child-src')), (values) => values.some((value) => ['*', 'https:', 'http:', 'data:'].includes(value)))) {
    fail('csp_frames', 'frames are not restricted', `Set frame-src to the vault’s origin (${vault ?? 'https://vault.example'}) and that of payments.`);
  }
  for (const [name, why] of [
    ['base-uri', 'an injected <base> could redirect the page’s scripts'],
    ['form-action', 'an injected form could post what is typed elsewhere'],
  ]) {
    if (!policies.some((one) => one.has(name))) warn('csp', `${name} is missing: ${why}`, `Add ${name} ${name === 'base-uri' ? "'none'" : "'self'"}.`);
  }
  if (!policies.some((one) => one.has('frame-ancestors')) && !facts.headers['x-frame-options']) {
    warn('csp', 'frame-ancestors is missing: another site could show this page as its own', "Add frame-ancestors 'none' (as a header: a meta tag cannot).");
  }
  if (!policies.some((one) => one.has('report-to') || one.has('report-uri'))) {
    warn('csp', 'violations are not reported', 'Add report-to: an attack is noticed by the report that it causes (PCI DSS 11.6.1).');
  }
  return undefined;
}

function headers(facts, warn) {
  const { headers: sent } = facts;
  if (facts.url.startsWith('https:') && !sent['strict-transport-security']) warn('headers', 'no Strict-Transport-Security', 'Send max-age=63072000; includeSubDomains.');
  if (sent['x-content-type-options'] !== 'nosniff') warn('headers', 'no X-Content-Type-Options: nosniff', 'Send it.');
  if (facts.main.workers) warn('service_worker', 'a service worker answers for this page', 'It can change every script of the page: keep payment pages out of its scope.');
}

function connections(facts, vault, own, warn) {
  const mine = facts.requests.filter((request) => request.frame === 'main' && ['xhr', 'fetch', 'ping', 'websocket', 'beacon'].includes(request.type));
  const others = new Set(mine.map((request) => origin(request.url)).filter((one) => one !== own && one !== vault));
  for (const other of others) warn('connections', `the page sends requests to ${other}`, 'Leave only what the payment needs in connect-src: the vault, payments, your own server.');
}
