/** Runs `extras.js` without a browser: which locale it picks for each tag on stdin, and the direction of the document. */
import { readFileSync } from 'node:fs';

const { tags, locales } = JSON.parse(readFileSync(0, 'utf8'));
const root = { toggleAttribute() {}, removeAttribute() {}, hasAttribute: () => false };
Object.assign(globalThis, {
  document: { documentElement: root, getElementById: () => null, querySelector: () => null },
  LOCALES: locales,
  WORDS_URL: '',
  fetch: async () => ({ json: async () => ({}) }),
});
const { loadWords } = await import('../src/browser/extras.js');
const picked = [];
for (const tag of tags) {
  await loadWords(tag);
  picked.push([root.lang, root.dir]);
}
process.stdout.write(JSON.stringify(picked));
