/** Node's side of `proof.rs`: reads a list of challenges from stdin, runs the frame's own `post.js`, writes the proofs. */
import { readFileSync } from "node:fs";

const { prove } = await import(
  "data:text/javascript," +
    encodeURIComponent(readFileSync(new URL("../src/browser/post.js", import.meta.url), "utf8"))
);

const proofs = [];
for (const challenge of JSON.parse(readFileSync(0, "utf8"))) proofs.push(await prove(challenge));
console.log(JSON.stringify(proofs));
