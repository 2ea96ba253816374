/** A merchant's React app: checkout in StrictMode, rendered on the server first, with a page that takes the card away. */
import { StrictMode, useState } from "react";
import { hydrateRoot } from "react-dom/client";
import { Checkout } from "./checkout.jsx";

function App() {
  const [round, setRound] = useState(0);
  const [isShown, setShown] = useState(true);
  const [theme, setTheme] = useState("light");
  return (
    <>
      {isShown && <Checkout key={round} settings={window.settings} theme={theme} />}
      <button id="anew" onClick={() => setRound(round + 1)}>Start anew</button>
      <button id="away" onClick={() => setShown(!isShown)}>Card away</button>
      <button id="dark" onClick={() => setTheme("dark")}>Dark</button>
    </>
  );
}

const recovered = (error) => window.faults.push(`hydration: ${error.message}`);
hydrateRoot(document.querySelector("#root"), <StrictMode><App /></StrictMode>, { onRecoverableError: recovered });
