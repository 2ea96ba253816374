/**
 * Finds the field pages of this mount among the frames beside this one, on the same page.
 *
 * The page set up the frames and is not trusted, so each is judged here: it is of this origin (its address could not
 * be read otherwise), under the same parent, at the same path, and its mount id, key and page are this frame's own.
 * Values then go from document to document; no channel of the page's carries them.
 */

const FIELD = "field-";

/** Calls `found(field, document)` for each field page, those that are there and those that come later. */
export function findSiblings(found) {
  // A sibling's nodes are of its own realm: for `instanceof`, which the wasm asks, a node is what its type says.
  for (const [type, kind] of [[Element, 1], [Text, 3], [Comment, 8]]) {
    Object.defineProperty(type, Symbol.hasInstance, { value: (node) => node?.nodeType === kind });
  }
  const own = new URLSearchParams(location.search);
  const judge = (sibling) => {
    try {
      const its = new URLSearchParams(sibling.location.search);
      const layout = its.get("layout");
      const isOfThisMount =
        sibling.parent === parent &&
        sibling.location.pathname === location.pathname &&
        own.get("mount") &&
        ["mount", "key", "origin"].every((name) => its.get(name) === own.get(name));
      if (!isOfThisMount || !layout.startsWith(FIELD)) return;
      // Half a page has half its elements: it would be taken for whole, and never be looked at again.
      if (sibling.document.readyState != "loading") found(layout.slice(FIELD.length), sibling.document);
      else sibling.addEventListener("DOMContentLoaded", () => judge(sibling), { once: true });
    } catch {
      // Another origin's.
    }
  };
  addEventListener("message", ({ data, origin, source }) => {
    if (origin === location.origin && data?.cardseal === 1 && data.type === "field") judge(source);
  });
  for (let n = 0; n < parent.length; n += 1) judge(parent[n]);
}
