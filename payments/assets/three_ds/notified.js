/* The issuer's page has handed its frame back: the page around it looks how things stand. */
"use strict";
parent.postMessage({ cardseal: "3ds-part", part: document.body.dataset.part }, location.origin);
