/**
 * Sealing: HPKE (RFC 9180), base mode, one message, over WebCrypto.
 *
 * DHKEM(X25519 | P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Every output here fits one hash, so each HKDF-Expand
 * is a single HMAC. The `hpke` crate opens what this seals, and the CFRG vectors pin it (`tests/sealing.rs`).
 */

const SUITES = {
  x25519: { id: 0x20, algorithm: { name: "X25519" } },
  p256: { id: 0x10, algorithm: { name: "ECDH", namedCurve: "P-256" } },
};
const INFO = "cardseal/tokenise/1";
const AAD_VERSION = "1";
// An absent salt is as many zeros as the hash has bytes (RFC 5869 §2.2); WebCrypto refuses an empty key.
const NO_SALT = new Uint8Array(32);

const bytes = (part) => (typeof part == "string" ? new TextEncoder().encode(part) : new Uint8Array(part));
const concat = (...parts) => new Uint8Array(parts.flatMap((part) => [...bytes(part)]));

async function hmac(key, ...parts) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return crypto.subtle.sign("HMAC", imported, concat(...parts));
}

// RFC 9180 §4: LabeledExtract and LabeledExpand.
const extract = (suite, salt, label, ikm) => hmac(salt, "HPKE-v1", suite, label, ikm);
const expand = async (suite, prk, label, info, length) =>
  (await hmac(prk, [0, length], "HPKE-v1", suite, label, info, [1])).slice(0, length);

/**
 * Seals `plaintext` to the serialised public key `recipient`. `ephemeral` is for the test vectors alone: in use each
 * message has a key pair of its own.
 */
export async function seal(kem, recipient, info, aad, plaintext, ephemeral) {
  const { subtle } = crypto;
  const { id, algorithm } = SUITES[kem];
  const publicKey = await subtle.importKey("raw", recipient, algorithm, false, []);
  const pair = ephemeral ?? (await subtle.generateKey(algorithm, false, ["deriveBits"]));
  const enc = await subtle.exportKey("raw", pair.publicKey);
  const dh = await subtle.deriveBits({ name: algorithm.name, public: publicKey }, pair.privateKey, 256);

  // §4.1 Encap: ExtractAndExpand.
  const kemSuite = concat("KEM", [0, id]);
  const eae = await extract(kemSuite, NO_SALT, "eae_prk", dh);
  const shared = await expand(kemSuite, eae, "shared_secret", concat(enc, recipient), 32);

  // §5.1 KeySchedule, mode 0 (base), no PSK.
  const suite = concat("HPKE", [0, id, 0, 1, 0, 2]);
  const context = concat(
    [0],
    await extract(suite, NO_SALT, "psk_id_hash", ""),
    await extract(suite, NO_SALT, "info_hash", info),
  );
  const secret = await extract(suite, shared, "secret", "");
  const key = await subtle.importKey("raw", await expand(suite, secret, "key", context, 32), "AES-GCM", false, ["encrypt"]);
  // §5.2: the first message's nonce is the base nonce.
  const iv = await expand(suite, secret, "base_nonce", context, 12);
  const ct = await subtle.encrypt({ name: "AES-GCM", iv, additionalData: bytes(aad) }, key, plaintext);
  return { enc, ct };
}

const toBase64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
const fromBase64url = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

/** Seals a card under the first key of the session whose suite this browser has (X25519 is missing in some). */
export async function sealCard(session, publishableKey, plaintext) {
  // The caller's buffer is wasm memory, which moves when it grows: this copy is ours, and is wiped.
  const card = plaintext.slice();
  let failure = "no sealing key of a known suite";
  try {
    for (const { kid, kem, public_key } of session.sealing.filter((key) => SUITES[key.kem])) {
      const aad = [AAD_VERSION, kid, session.mode, publishableKey, session.jti].join("|");
      try {
        const { enc, ct } = await seal(kem, fromBase64url(public_key), INFO, aad, card);
        return { kid, enc: toBase64url(enc), ct: toBase64url(ct) };
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  } finally {
    card.fill(0);
  }
}
