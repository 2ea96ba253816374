/**
 * Watches one document's form: how high it is, and whether the buyer can see it.
 *
 * The observers are the document's own: those of a frame that is not on show are never called.
 */

/** A form narrower than this, in CSS pixels, is not on show: a word per line would make the page jump. */
const MIN_BREADTH = 64;
/** The least that browsers allow. */
const DELAY_MS = 100;

/** Calls `height(pixels)`, and `seen("visible" | "covered" | "offscreen")`, at first and at each change. */
export function watch(document, height, seen) {
  const { ResizeObserver, IntersectionObserver } = document.defaultView;
  const form = document.getElementById("form");
  new ResizeObserver(() => {
    const box = form.getBoundingClientRect();
    if (box.width >= MIN_BREADTH) height(Math.ceil(box.height));
  }).observe(form);

  let last;
  const observer = new IntersectionObserver(
    (entries) => {
      const { isIntersecting, isVisible } = entries.at(-1);
      // Browsers without the second version do not say: then nothing is known to be in the way.
      const now = !isIntersecting ? "offscreen" : isVisible === false ? "covered" : "visible";
      if (now !== last) seen((last = now));
    },
    { threshold: [0, 0.5, 1], trackVisibility: true, delay: DELAY_MS },
  );
  observer.observe(form);
}
