/**
 * When what was typed is wiped: some time after the last key, when the document goes, and the code already when the page
 * was out of sight for a while. Less would lose the form to a buyer who looks the card up in a banking app.
 */

const IDLE_MS = 15 * 60_000;
const AWAY_MS = 5 * 60_000;

let idle;
let away;
let typedAt;
let leftAt;

/** Calls `wipe(field)` for each field that is to be forgotten; of a split form each document is given. */
export function forget(document, wipe) {
  const wipeAway = () => wipe("cvc");
  const wipeIdle = () => {
    wipe("number");
    wipeAway();
  };
  const typed = () => {
    clearTimeout(idle);
    idle = setTimeout(wipeIdle, IDLE_MS);
    typedAt = Date.now();
  };
  // There may be something in it already.
  typed();
  document.addEventListener("input", typed);
  document.addEventListener("visibilitychange", () => {
    const now = Date.now();
    clearTimeout(away);
    if (document.hidden) {
      away = setTimeout(wipeAway, AWAY_MS);
      leftAt = now;
      return;
    }
    // A device that slept, or froze the page, ran no timer.
    if (now - leftAt > AWAY_MS) wipeAway();
    if (now - typedAt > IDLE_MS) wipeIdle();
  });
  // Out of sight for the back button, or for good.
  document.defaultView.addEventListener("pagehide", () => document.querySelectorAll("input").forEach(({ id }) => wipe(id)));
}
