/**
 * The one script of a split form's field page. It says that the page is there to the frame that drives the fields; that
 * frame finds out by itself whether it is one of its own.
 */
const query = new URLSearchParams(location.search);
const root = document.documentElement;
root.dataset.theme = query.get("theme");
// English words must not flash on a page of another language; the frame that brings the words takes this off.
const [asked] = query.getAll("locale").filter((locale) => locale != "auto");
root.toggleAttribute("data-loading", !/^en\b/i.test(asked || navigator.language));

for (let n = 0; n < parent.length; n += 1) {
  const sibling = parent[n];
  try {
    // To this origin and no other: what is not the vault's cannot be read, and does not hear it.
    if (sibling !== window && sibling.location.href) sibling.postMessage({ cardseal: 1, type: "field" }, location.origin);
  } catch {
    // Another origin's.
  }
}
