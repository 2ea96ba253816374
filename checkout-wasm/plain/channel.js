/**
 * The channel to the page: one handshake, then a `MessageChannel` with two closed sets of messages. `src/browser/channel.rs`
 * is the original and says what each message is.
 *
 * The page is not trusted. The frame answers to its parent alone, under the origin that the vault checked and named in
 * `frame-ancestors`, and takes one handshake per document.
 */
import { FIELDS } from "./form.js";

const PROTOCOL = 1;

/** Which messages the page may send, and what each must have. */
const FROM_PAGE = {
  focus: () => true,
  blur: () => true,
  clear: () => true,
  leave: () => true,
  update: (message) => "options" in message,
  validate: () => true,
  error: ({ message }) => typeof message == "string",
  fill: (message) => "fields" in message,
  tokenise: ({ id }) => typeof id == "number",
  ping: () => true,
};

/** A message of the page's, its `field` a field or nothing; none when it is not one. */
const read = (data) => {
  if (data?.to !== "frame" || !Object.hasOwn(FROM_PAGE, data.type) || !FROM_PAGE[data.type](data)) return undefined;
  return { ...data, field: FIELDS.find((field) => field === data.field) };
};

export class Channel {
  #port = null;

  get isOpen() {
    return this.#port !== null;
  }

  /** Says hello to `origin`; calls `onConnect` with the page's options at its first right answer, then `onMessage`. */
  open(origin, onConnect, onMessage) {
    if (parent === window) return;
    addEventListener("message", ({ source, origin: from, data, ports: [port] }) => {
      const isConnect = data?.cardseal === PROTOCOL && data.protocol === PROTOCOL && data.type === "connect";
      if (source !== parent || from !== origin || !isConnect || !port || this.#port) return;
      port.onmessage = (event) => {
        const message = read(event.data);
        if (message) onMessage(message);
      };
      this.#port = port;
      // The nonce goes back over the port: it pairs this frame with the mount that asked, no more.
      this.tell("connected", { nonce: data.nonce });
      onConnect(data.options);
    });
    // A malformed origin throws here, and nobody hears the hello.
    parent.postMessage({ cardseal: PROTOCOL, type: "hello" }, origin);
  }

  /** Tells the page; before the handshake nobody listens and nothing is sent. */
  tell(type, rest) {
    this.#port?.postMessage({ to: "page", type, ...rest });
  }
}
