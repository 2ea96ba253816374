/** The loader's numbers: its protocol, how long it waits, how high a form may be, how often it asks. */
export const PROTOCOL = 1;
/** From the frame's `load` to a handshake; then the vault is asked why there was none. */
export const HELLO_AFTER_LOAD_MS = 2500;
/** From mount to a handshake, whatever else happens; and for the vault to say why there was none. */
export const READY_TIMEOUT_MS = 10000;
/** The frame's own requests end before this. */
export const TOKEN_TIMEOUT_MS = 120000;
/** The frame pads itself by this much so that its edge does not cut the focus ring. */
export const RING = 4;
export const MAX_HEIGHT = 2000;
/** The form's height until it reports its own, so that the page does not jump: one row, or two below this width. */
export const ONE_ROW_FROM = 600;
export const ONE_ROW_HEIGHT = 76;
export const TWO_ROWS_HEIGHT = 156;
export const FIELD_HEIGHT = 52;
export const BOX_HEIGHT = 36;
/** A frame is asked so often whether it lives: browsers do not tell a page that a frame's process ended. */
export const PING_MS = 3000;
/** After so many pings in a row without a word it is loaded anew. Pings are counted and not time: a page may have slept. */
export const MAX_SILENCE = 3;
/** After the page's script, in which its handlers are set. */
export const TELL_AFTER_MS = 1000;
