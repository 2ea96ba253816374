/*
 * The hosted page: mounts the vault's card form, confirms the session's one intent, and goes where the session says once
 * payments says that it is complete. Nothing here sees a card, and nothing here decides what is paid.
 */
"use strict";

const { session, mode, key, secret, accent, left } = document.querySelector("main").dataset;
const form = document.getElementById("payment");
const button = document.getElementById("submit");
const message = document.getElementById("message");
const status = document.getElementById("status");
const label = button.textContent;

/** Pauses between looks at the session while the bank takes its time. */
const PAUSES_MS = [0, 250, 500, 1000];
const PAUSE_MS = 2000;
/** After so many looks the buyer is told that nothing is lost. */
const PATIENCE = 8;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function busy(on) {
  button.disabled = on;
  button.textContent = on ? "Processing…" : label;
  form.setAttribute("aria-busy", String(on));
}

function show(text) {
  status.textContent = text;
  status.hidden = false;
}

function again(text) {
  status.hidden = true;
  message.textContent = text;
  busy(false);
}

function close(text) {
  form.hidden = true;
  show(text);
  // The button that had the focus is gone; a keyboard goes on from here.
  status.focus();
}

async function look() {
  try {
    const answer = await fetch(`/c/pay/${session}/status`);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // Offline for a moment: the next look will tell.
  }
}

/** Waits until payments says that the session is complete. Only its word counts. */
async function follow() {
  for (let count = 0; ; count++) {
    await sleep(PAUSES_MS[count] ?? PAUSE_MS);
    const told = await look();
    if (told?.status === "complete") {
      close(mode === "setup" ? "Card saved. Taking you back…" : "Paid. Taking you back…");
      return location.replace(told.redirect);
    }
    if (told?.status === "expired") return location.reload();
    if (count === PATIENCE) show("The bank is taking its time. We keep asking: there is no need to pay again.");
  }
}

/** The sentence for the buyer; what is wrong in a field is said beside the field. */
const words = (error) => (error.type === "validation_error" ? "" : error.message);

function start() {
  if (typeof Cardseal === "undefined") {
    button.disabled = true;
    message.textContent = "The card form could not be loaded. Please reload the page, or try again later.";
    return;
  }
  const cardseal = Cardseal(key);
  const appearance = { variables: { colorPrimary: accent, fontSizeBase: "16px" } };
  const card = cardseal.elements({ appearance }).create("card");
  card.on("loaderror", (event) => {
    button.disabled = true;
    message.textContent = event.message || "The card form could not be loaded. Please reload the page.";
  });
  card.on("submit", () => form.requestSubmit());
  card.mount("#card");

  let underWay = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    // However often it is pressed, there is one payment.
    if (underWay) return;
    underWay = true;
    message.textContent = "";
    busy(true);
    const confirm = mode === "setup" ? cardseal.confirmCardSetup : cardseal.confirmCardPayment;
    const { error, ...done } = await confirm(secret, { payment_method: { card } });
    const intent = done.paymentIntent ?? done.setupIntent ?? error?.payment_intent;
    const told = error && !["processing", "succeeded"].includes(intent?.status) ? await look() : null;
    if (told?.status === "expired") return location.reload();
    if (error && error.code !== "outcome_unknown" && told && told.status !== "complete") {
      underWay = false;
      return again(words(error));
    }
    await follow();
  });
  // What is open here is not open for ever.
  setTimeout(() => { if (!underWay) location.reload(); }, Math.min(Number(left) + 1000, 2 ** 31 - 1));
}

start();
