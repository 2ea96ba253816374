/**
 * Starts the frame: fetches the wasm under its digest and hands it to wasm-bindgen's `__wbg_init`.
 *
 * The build puts this behind the glue, in the document's one script, and fills in WASM_URL and WASM_INTEGRITY. The
 * script's own hash stands in the CSP, so that one hash pins the whole frame. (`integrity` on a preload is ignored by
 * Chromium; on `fetch` it is not.)
 *
 * Without WebAssembly (iOS Lockdown Mode) the script in plain JavaScript takes the form over instead. The document names
 * it, with its digest, but gives it no type that runs: setting an element's `src` would need a Trusted Types policy,
 * putting one that has it into the document again does not.
 */

// The theme before anything else: a light form must not flash on a dark page. Styles know three values.
const asked = new URLSearchParams(location.search);
document.documentElement.dataset.theme = asked.get("theme");
// And the language, so that its words come along with the wasm; the wasm asks for the same ones.
loadWords(asked.get("locale"));

const startPlain = () =>
  new Promise((onload, onerror) => {
    const script = document.querySelector("script[src]");
    document.body.append(Object.assign(script, { parts: PARTS, type: "module", onload, onerror }));
  });

Promise.resolve()
  .then(() =>
    typeof WebAssembly == "undefined"
      ? startPlain()
      : __wbg_init({ module_or_path: fetch(WASM_URL, { integrity: WASM_INTEGRITY }) }),
  )
  .catch(() => {
    // Without wasm there is no handshake, so this one message goes by itself, to the origin that the vault checked.
    const origin = new URLSearchParams(location.search).get("origin");
    const reason = !isSecureContext
      ? "insecure_context"
      : typeof WebAssembly == "undefined"
        ? "wasm_unavailable"
        : "blocked";
    if (origin && parent != window) parent.postMessage({ cardseal: 1, type: "loaderror", reason }, origin);
  });
