/*
 * The checkout page: mounts the card form, turns the card into a token, hands the token to the shop's server, and
 * asks the server how the order stands until it is paid or the buyer has to try again. Nothing here sees a card.
 */
"use strict";

const form = document.getElementById("payment");
const button = document.getElementById("pay");
const message = document.getElementById("payment-message");
const orderStatus = document.getElementById("order-status");
const order = form.dataset.order;
const label = button.textContent;

/** The first answer usually takes less than a second; after a few quick looks, one every two seconds. */
const PAUSES_MS = [250, 500, 1000];
const PAUSE_MS = 2000;
/** After so many looks, some ten seconds, the buyer is told that nothing is lost. */
const PATIENCE = 7;

const say = (text) => { message.textContent = text; };
/** Set when the card form is there. */
let cardseal;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function busy(text) {
  button.disabled = Boolean(text);
  button.textContent = text || label;
  form.setAttribute("aria-busy", String(Boolean(text)));
}

function show(text, state) {
  orderStatus.textContent = text;
  orderStatus.className = state;
  orderStatus.hidden = false;
}

function close(text, state) {
  form.hidden = true;
  document.querySelector(".test-cards").hidden = true;
  document.getElementById("hosted").hidden = true;
  document.querySelector(".after").hidden = false;
  show(text, state);
  // The button that had the focus is gone; a keyboard goes on from here.
  orderStatus.focus();
}

/** Polls the order until it is settled. Only the server's word counts: it waits for the signed webhook. */
async function follow() {
  busy("Processing…");
  show("Waiting for the bank…", "waiting");
  for (let look = 0; ; look++) {
    const told = await statusOfOrder();
    if (told?.status === "paid") return close("Paid — thank you", "paid");
    if (told && told.status !== "pending") return close("This order is closed.", "closed");
    if (told?.payment === "action") {
      await act(told.client_secret);
      continue;
    }
    if (told && told.payment !== "processing") return again(told.message || "The payment did not go through. Please try again.");
    if (look === PATIENCE) show("The bank is taking its time. We keep asking: there is no need to pay again.", "waiting");
    await sleep(PAUSES_MS[look] ?? PAUSE_MS);
  }
}

/** Lets the buyer do what the bank asks. How it went is the server's word, as ever. */
async function act(clientSecret) {
  if (!cardseal) return sleep(PAUSE_MS);
  busy("Your bank asks…");
  const { error } = await cardseal.handleNextAction({ clientSecret });
  const isOpen = error?.payment_intent?.status === "requires_action";
  if (isOpen) await fetch(`/orders/${order}/leave`, { method: "POST" }).catch(() => null);
  // The news of how it went is on its way to the shop.
  else await sleep(error ? PAUSE_MS : PAUSES_MS[0]);
  busy("Processing…");
}

async function statusOfOrder() {
  try {
    const answer = await fetch(`/order-status/${order}`);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // Offline for a moment: the next look will tell.
  }
}

function again(text) {
  orderStatus.hidden = true;
  busy("");
  say(text);
}

async function pay(token) {
  const answer = await fetch(`/orders/${order}/pay`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: token.id }),
  });
  return answer.json();
}

function start() {
  if (typeof Cardseal === "undefined") {
    button.disabled = true;
    return say("The card form could not be loaded. Please reload the page, or try again later.");
  }
  cardseal = Cardseal(form.dataset.key);
  const card = cardseal.elements().create("card");
  card.on("loaderror", (event) => {
    button.disabled = true;
    say(event.message || event.error?.message || "The card form could not be loaded. Please reload the page.");
  });
  card.mount("#card");

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    say("");
    busy("Processing…");
    // A new token for each attempt: a token is good for one.
    const { token, error } = await cardseal.createToken(card);
    // What is wrong in a field is said beside the field; here only what has none.
    if (error) return again(error.type === "validation_error" ? "" : error.message);
    let told;
    try {
      told = await pay(token);
    } catch {
      // No answer says nothing about the payment: the order's status does.
      told = { status: "processing" };
    }
    if (told.status === "declined" || told.status === "closed") return again(told.message);
    await follow();
  });
}

start();
// A reload in the middle of a payment goes on where it was.
if (["processing", "action"].includes(form.dataset.payment)) follow();
