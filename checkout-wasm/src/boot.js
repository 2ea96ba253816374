/**
 * Starts what runs the rules: compiles the wasm under its digest while `front.js` shows the form, and hands it to
 * wasm-bindgen's `__wbg_init` once that is done.
 *
 * The build puts this behind the glue, in the document's second script, and fills in WASM_URL and WASM_INTEGRITY. The
 * scripts' own hashes stand in the CSP, so that they pin the whole frame. (`integrity` on a preload is ignored by
 * Chromium; on `fetch` it is not.)
 *
 * Without WebAssembly (iOS Lockdown Mode), and where the wasm does not come, the script in plain JavaScript takes the form
 * over instead. The document names it, with its digest, but gives it no type that runs: setting an element's `src` would
 * need a Trusted Types policy, putting one that has it into the document again does not.
 */

const startPlain = () =>
  new Promise((onload, onerror) => {
    const script = document.querySelector("script[src]");
    document.body.append(Object.assign(script, { parts: PARTS, type: "module", onload, onerror }));
  });

const start = async () => {
  await front.shown;
  // Without WebAssembly this throws, too.
  const compile = async () => WebAssembly.compileStreaming(fetch(WASM_URL, { integrity: WASM_INTEGRITY }));
  const module = await compile().catch(() => null);
  return module ? __wbg_init({ module_or_path: module }) : startPlain();
};

start().catch(() => front.fail(typeof WebAssembly == "undefined" ? "wasm_unavailable" : "blocked"));
