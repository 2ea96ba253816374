/** What pays from the page: fetched at first use, under its digest. */
import { script, vault } from "./page.js";

/** What paying from the page needs, which a page that only tokenises does not: fetched at first use. The build fills in. */
const PAYMENTS = { file: "{payments.file}", integrity: "{payments.integrity}" };

export const PAYMENT_VERBS = [
  "confirmCardPayment",
  "confirmCardSetup",
  "retrievePaymentIntent",
  "retrieveSetupIntent",
  "handleCardAction",
  "handleNextAction",
];

let payments = null;
let policy;
/** payments.js, once. */
export const loadPayments = () =>
  (payments ??= new Promise((resolve, reject) => {
    const part = document.createElement("script");
    // Pages that require Trusted Types allow the policy by this name.
    policy ??= window.trustedTypes?.createPolicy("cardseal", { createScriptURL: (url) => url });
    const url = `${vault}/v1/${PAYMENTS.file}`;
    part.crossOrigin = "anonymous";
    part.integrity = PAYMENTS.integrity;
    part.nonce = script.nonce;
    part.src = policy ? policy.createScriptURL(url) : url;
    part.addEventListener("cardseal", ({ detail }) => resolve(detail));
    part.addEventListener("load", () => part.remove());
    part.addEventListener("error", () => {
      part.remove();
      payments = null;
      reject();
    });
    document.head.append(part);
  }));
