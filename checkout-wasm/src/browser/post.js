/**
 * The frame's one way onto the network: a same-origin JSON POST that gives `{status, body}`, and status 0 when no
 * answer came. Where the vault asks for proof of work it is done here, and whoever called does not learn of it.
 */

const TIMEOUT_MS = 30_000;
/** A proof may come too late, and is asked for anew. */
const ROUNDS = 4;
/** The vault does not wait longer for a proof. */
const WORK_MS = 110_000;
/** So long at a time the page waits for the work: half a frame. */
const BATCH_MS = 8;

export async function post(path, bearer, body) {
  const headers = { "content-type": "application/json" };
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  for (let round = 0; ; round += 1) {
    let answer;
    try {
      const response = await fetch(path, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      answer = { status: response.status, body: await response.json() };
    } catch {
      return { status: 0, body: {} };
    }
    if (answer.status != 428 || round == ROUNDS) return answer;
    headers["cardseal-proof"] = await prove(answer.body.challenge);
  }
}

/** `{salt}.{n}` with the first `n` whose SHA-256 begins with `bits` (at most 32) zero bits. */
export async function prove({ salt, bits }) {
  // Most of the text is the same at each try, and so is the state after it.
  const text = `${salt}.`;
  const length = text.length & ~63;
  const start = absorb(START, text.slice(0, length));
  const rest = text.slice(length);
  const channel = new MessageChannel();
  const end = performance.now() + WORK_MS;
  let until = 0;
  for (let n = 0; ; n += 1) {
    if (n % 256 == 0 && performance.now() > until) {
      // A timer would be slowed down in a tab behind.
      await new Promise((resolve) => {
        channel.port1.onmessage = resolve;
        channel.port2.postMessage(0);
      });
      until = performance.now() + BATCH_MS;
    }
    const isProof = Math.clz32(absorb(start, rest + n, length)[0]) >= bits;
    if (isProof || until > end) {
      channel.port1.close();
      return text + n;
    }
  }
}

// SHA-256 (FIPS 180-4) in place of WebCrypto's, which makes a promise of each of a hundred thousand short hashes.
const primes = [];
for (let n = 2; primes.length < 64; n += 1) if (primes.every((prime) => n % prime)) primes.push(n);
/** The first 32 bits of the fractions (§4.2.2, §5.3.3). */
const fractions = (roots) => roots.map((root) => (root * 2 ** 32) | 0);
const ROUND = fractions(primes.map(Math.cbrt));
const START = fractions(primes.slice(0, 8).map(Math.sqrt));
const words = new Int32Array(64);

const rotate = (x, by) => (x >>> by) | (x << (32 - by));

/** The state after `text`: the message's end where it is told how much was `before`, else whole blocks of 64 characters. */
function absorb(state, text, before) {
  const size = before === undefined ? text.length : text.length + 9;
  for (let at = 0; at < size; at += 64) {
    words.fill(0);
    for (let n = at; n < at + 64 && n < size; n += 1) {
      words[(n & 63) >> 2] |= (n < text.length ? text.charCodeAt(n) : n == text.length && 128) << (24 - (n & 3) * 8);
    }
    if (size > text.length && at + 64 >= size) words[15] = (before + text.length) * 8;
    state = compress(state);
  }
  return state;
}

/** §6.2.2 */
function compress(state) {
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < 64; t += 1) {
    if (t > 15) {
      const [x, y] = [words[t - 15], words[t - 2]];
      words[t] = words[t - 16] + words[t - 7] + (rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3)) + (rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10));
    }
    const one = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[t] + words[t]) | 0;
    const two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  return [a, b, c, d, e, f, g, h].map((word, at) => (word + state[at]) | 0);
}
