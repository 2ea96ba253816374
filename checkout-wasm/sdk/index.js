/**
 * @cardseal/js: loads the vault's loader script once and gives `Cardseal(key)`. Importing it touches nothing, so that a
 * server can render the page; the script itself always comes from the vault, never from a bundle.
 */

/** Script URL → what its load promises. */
const loading = new Map();

/** For pages that require Trusted Types; made at first use. */
let policy;

/**
 * `Cardseal` for a publishable key, from the vault at `vault`; null on a server. A call while another is under way waits
 * for the same script; a failed load is forgotten, so that the next call tries again.
 */
export async function loadCardseal(key, { vault, version, integrity }) {
  if (typeof document === "undefined") return null;
  const url = new URL(version ? `/v1/cardseal-${version}.js` : "/v1/cardseal.js", vault).href;
  if (!loading.has(url)) {
    const load = script(url, integrity);
    loading.set(url, load);
    load.catch(() => loading.delete(url));
  }
  return (await loading.get(url))(key);
}

function script(url, integrity) {
  // One that the page wrote itself has done the work.
  if (window.Cardseal && [...document.scripts].some((present) => present.src === url)) return Promise.resolve(window.Cardseal);
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    policy ??= window.trustedTypes?.createPolicy("cardseal-js", { createScriptURL: (given) => given });
    element.src = policy ? policy.createScriptURL(url) : url;
    if (integrity) {
      element.crossOrigin = "anonymous";
      element.integrity = integrity;
    }
    const fail = () => {
      element.remove();
      reject(new Error(`Cardseal: ${url} could not be loaded.`));
    };
    element.addEventListener("load", () => (window.Cardseal ? resolve(window.Cardseal) : fail()));
    element.addEventListener("error", fail);
    document.head.append(element);
  });
}
