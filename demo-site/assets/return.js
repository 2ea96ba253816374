/*
 * The page after the hosted page: that the buyer came back proves nothing, so it asks the shop's server how the order
 * stands, every two seconds, until the signed webhook has made it paid.
 */
"use strict";

const { order } = document.getElementById("return").dataset;
const line = document.getElementById("order-status");

function end(text, state) {
  line.textContent = text;
  line.className = state;
  document.querySelector(".after").hidden = false;
}

async function follow() {
  for (let look = 0; ; look++) {
    const answer = await fetch(`/order-status/${order}`).catch(() => null);
    const told = answer?.ok ? await answer.json() : null;
    if (told?.status === "paid") return end("Paid — thank you", "paid");
    if (told && told.status !== "pending") return end("This order is closed.", "closed");
    if (look === 6) line.textContent = "Still processing. We keep asking: there is no need to pay again.";
    await new Promise((resolve) => setTimeout(resolve, look < 3 ? 400 : 2000));
  }
}

follow();
