/** Renders the app's checkout on node, as a server would. */
import { StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { Checkout } from "./checkout.jsx";

const [, , settings] = process.argv;
// What app.jsx hydrates, text for text.
process.stdout.write(
  renderToString(
    <StrictMode>
      <Checkout settings={JSON.parse(settings)} theme="light" />
      <button id="anew">Start anew</button>
      <button id="away">Card away</button>
      <button id="dark">Dark</button>
    </StrictMode>,
  ),
);
