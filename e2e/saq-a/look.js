/**
 * What a browser sees of a merchant's payment page: its documents, scripts, frames, inputs, policies and requests. Facts
 * only; rules.js judges them.
 */
import { existsSync } from 'node:fs';
import { chromium } from '@playwright/test';

const ON_THIS_MACHINE = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** After `load`, for what scripts still add. */
const SETTLE_MS = 1500;
const TIMEOUT_MS = 30_000;

/** Opens `url` in a browser of its own and gives the facts. */
export async function look(url) {
  const executablePath = process.env.CARDSEAL_CHROMIUM ?? ON_THIS_MACHINE.find((path) => existsSync(path));
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath, args });
  try {
    const page = await browser.newPage();
    // Requests leave the browser as they would for a buyer; what they are is noted.
    const requests = [];
    page.on('request', (request) => requests.push({ url: request.url(), type: request.resourceType(), method: request.method(), frame: frameOf(request) }));
    const answer = await page.goto(url, { waitUntil: 'load', timeout: TIMEOUT_MS });
    await page.waitForTimeout(SETTLE_MS);
    const main = await page.evaluate(readDocument);
    const frames = [];
    for (const frame of page.frames().slice(1)) {
      // A frame of the page's own origin (or about:blank, srcdoc) is a part of the page.
      const isOwn = await frame.evaluate((origin) => self.origin === origin, new URL(page.url()).origin).catch(() => false);
      frames.push({ url: frame.url(), isOwn, document: isOwn ? await frame.evaluate(readDocument).catch(() => null) : null });
    }
    return { url: page.url(), status: answer.status(), headers: await answer.allHeaders(), main, frames, requests };
  } finally {
    await browser.close();
  }
}

function frameOf(request) {
  try {
    return request.frame().parentFrame() ? 'child' : 'main';
  } catch {
    return 'none';
  }
}

/** Runs in the page. Open shadow roots are looked into; closed ones nobody can. */
function readDocument() {
  const all = (root, selector) => [
    ...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap((element) => (element.shadowRoot ? all(element.shadowRoot, selector) : [])),
  ];
  const labelOf = (input) => [...(input.labels ?? [])].map((label) => label.textContent).join(' ');
  return {
    isSecure: isSecureContext,
    scripts: all(document, 'script').map((script) => ({
      src: script.src || null,
      integrity: script.integrity,
      crossorigin: script.crossOrigin,
      inline: script.src || (script.type && !/javascript|module/.test(script.type)) ? null : script.textContent.trim().slice(0, 60),
    })),
    inputs: all(document, 'input, textarea, [contenteditable=true]').map((input) => ({
      name: [input.name, input.id, input.getAttribute('autocomplete'), input.placeholder, input.getAttribute('aria-label'), labelOf(input)].filter(Boolean).join(' '),
      autocomplete: input.getAttribute('autocomplete') ?? '',
      type: input.type ?? 'text',
    })),
    forms: all(document, 'form').map((form) => ({ action: form.action, method: form.method })),
    frames: all(document, 'iframe, frame, object, embed').map((frame) => frame.src || frame.data || 'about:blank'),
    policies: all(document, 'meta[http-equiv="Content-Security-Policy" i]').map((meta) => meta.content),
    workers: Boolean(navigator.serviceWorker?.controller),
  };
}
