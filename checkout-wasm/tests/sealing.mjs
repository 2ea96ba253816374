/** Node's side of `sealing.rs`: reads one JSON task from stdin, runs the frame's own `seal.js`, writes JSON. */
import { readFileSync } from "node:fs";

const { seal, sealCard } = await import(
  "data:text/javascript," +
    encodeURIComponent(readFileSync(new URL("../src/browser/seal.js", import.meta.url), "utf8"))
);

const hex = (text) => new Uint8Array(Buffer.from(text, "hex"));
const toHex = (buffer) => Buffer.from(buffer).toString("hex");
const url = (bytes) => Buffer.from(bytes).toString("base64url");

const task = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await (task.vector ? runVector(task.vector) : runSeal(task))));

async function runVector(vector) {
  const kem = vector.kem_id === 0x20 ? "x25519" : "p256";
  const pair = await ephemeralPair(kem, hex(vector.skEm), hex(vector.pkEm));
  const sealed = await seal(kem, hex(vector.pkRm), hex(vector.info), hex(vector.aad), hex(vector.pt), pair);
  return { enc: toHex(sealed.enc), ct: toHex(sealed.ct) };
}

/** WebCrypto takes a given private key as JWK only. */
async function ephemeralPair(kem, d, publicKey) {
  const [algorithm, jwk] =
    kem === "x25519"
      ? [{ name: "X25519" }, { kty: "OKP", crv: "X25519", x: url(publicKey) }]
      : [
          { name: "ECDH", namedCurve: "P-256" },
          { kty: "EC", crv: "P-256", x: url(publicKey.slice(1, 33)), y: url(publicKey.slice(33)) },
        ];
  return {
    publicKey: await crypto.subtle.importKey("jwk", jwk, algorithm, true, []),
    privateKey: await crypto.subtle.importKey("jwk", { ...jwk, d: url(d) }, algorithm, false, ["deriveBits"]),
  };
}

async function runSeal({ seal: session, key, plaintext }) {
  const card = new TextEncoder().encode(plaintext);
  let copy;
  card.slice = () => (copy = Uint8Array.from(card));
  try {
    const sealed = await sealCard(session, key, card);
    return { ...sealed, copy_is_wiped: copy.every((byte) => byte === 0) };
  } catch (error) {
    return { error: String(error) };
  }
}
