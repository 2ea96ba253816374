/** Where the loader runs, and the words for what goes wrong there. */
export const script = document.currentScript;
export const vault = script?.src && new URL(script.src).origin;

/** Throws for what only the developer of the page can mend. */
export const misuse = (message) => {
  throw new Error(`Cardseal: ${message}`);
};

export const MESSAGES = {
  origin_not_allowed: "This page's origin is not registered for the publishable key.",
  invalid_key: "The vault does not know this publishable key.",
  blocked: "The card form was blocked.",
  csp: "The page's policy does not allow the vault in frame-src.",
  offline: "The browser is offline.",
  timeout: "The card form did not answer.",
  insecure_context: "The card form needs https.",
  wasm_unavailable: "The card form could not start.",
  frame_reloaded: "The card form was lost. Fill it in again.",
};

export const failure = (type, code, message) => ({ error: { type, code, message } });
export const unreachable = () => (navigator.onLine ? "blocked" : "offline");
export const told = (reason) => ({ reason, message: MESSAGES[reason] });
export const broken = (code) => failure("api_connection_error", code, MESSAGES[code]);

/** What `start` promises, or `aborted` as soon as the caller's signal says so. */
export const abortable = (signal, start) => {
  if (!signal) return start();
  const aborted = failure("invalid_request_error", "aborted", "Aborted.");
  if (signal.aborted) return Promise.resolve(aborted);
  const end = new AbortController();
  const abort = new Promise((resolve) => signal.addEventListener("abort", () => resolve(aborted), { signal: end.signal }));
  return Promise.race([start(), abort]).finally(() => end.abort());
};
