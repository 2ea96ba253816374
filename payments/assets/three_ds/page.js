/*
 * The 3-D Secure page's script. What it shows and where it goes on is the server's word, which it asks for; what comes
 * from the bank's frames only makes it ask.
 *
 *   step "method"     post the 3DS Method into a hidden frame, wait for its notification, at most ten seconds
 *   step "browser"    tell the server of this browser; the issuer is asked
 *   step "challenge"  post the challenge into a frame that fills the page
 *   step "wait"       look until it is over
 *
 * The page that frames this one is told, at its registered origin only:
 *   {cardseal: "3ds", status: "challenge"}   there is something for the buyer to see
 *   {cardseal: "3ds", status: "complete"}    it is over: retrieve the intent
 */
"use strict";

const { id, step, origin } = document.body.dataset;
const words = document.getElementById("words");
const form = document.getElementById("on");

const METHOD_TIMEOUT_MS = 10000;
const LOOK_MS = 700;
/** A payment that is still on its way after so many looks is followed by whoever asked for it. */
const SETTLING_LOOKS = 25;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const tell = (status) => origin && parent.postMessage({ cardseal: "3ds", status }, origin);

/** Resolves when the issuer's page hands the frame of this part back. */
const handedBack = (part) =>
  new Promise((resolve) => {
    addEventListener("message", ({ origin: from, data }) => {
      if (from === location.origin && data?.cardseal === "3ds-part" && data.part === part) resolve(true);
    });
  });

async function status() {
  try {
    const answer = await fetch(`/3ds/${id}/status`);
    return answer.ok ? await answer.json() : {};
  } catch {
    return {}; // Offline for a moment: the next look will tell.
  }
}

/** The browser, as EMV wants to know it. */
const browser = (threeDSCompInd) => ({
  threeDSCompInd,
  browserJavaEnabled: false,
  browserLanguage: navigator.language,
  browserColorDepth: screen.colorDepth,
  browserScreenHeight: screen.height,
  browserScreenWidth: screen.width,
  browserTZ: new Date().getTimezoneOffset(),
});

async function method() {
  const back = handedBack("method");
  form.submit();
  const completed = await Promise.race([back, sleep(METHOD_TIMEOUT_MS)]);
  return completed ? "Y" : "N";
}

async function introduce(completed) {
  for (let pause = 500; ; pause = Math.min(2 * pause, 8000)) {
    try {
      const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(browser(completed)) };
      const answer = await fetch(`/3ds/${id}/browser`, options);
      if (answer.status < 500) return;
    } catch {
      // Offline for a moment.
    }
    await sleep(pause);
  }
}

function challenge() {
  const frame = document.querySelector("iframe");
  words.hidden = true;
  frame.hidden = false;
  form.submit();
  frame.focus();
  tell("challenge");
  handedBack("challenge").then(() => {
    frame.remove();
    words.hidden = false;
  });
}

async function follow() {
  for (let settling = 0; ; ) {
    const now = await status();
    if (now.status === "challenge" && step !== "challenge") return location.reload();
    if (now.status === "settling" && step === "challenge") words.textContent = "Thank you. The payment is being made…";
    settling += now.status === "settling";
    if (now.status === "complete" || settling > SETTLING_LOOKS) {
      if (origin) return tell("complete");
      if (now.redirect) return location.replace(now.redirect);
      words.textContent = "This is done. You can close this page.";
      return;
    }
    await sleep(LOOK_MS);
  }
}

async function start() {
  if (step === "challenge") challenge();
  if (step === "method") await introduce(await method());
  if (step === "browser") await introduce("U");
  await follow();
}

start();
