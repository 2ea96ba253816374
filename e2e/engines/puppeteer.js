/** Chromium, and Firefox over WebDriver BiDi, with the same verbs as webdriver.js. */
import puppeteer from 'puppeteer-core';

/** Opens the browser (`chrome` or `firefox`) at `executablePath`, with `args` for Chromium and `prefs` for Firefox. */
export async function open(browser, executablePath, args = [], prefs = {}) {
  const isRoot = process.getuid?.() === 0;
  const launched = await puppeteer.launch({
    browser,
    executablePath,
    headless: true,
    args: browser === 'chrome' && isRoot ? ['--no-sandbox', ...args] : args,
    // What Firefox does by itself in the background.
    extraPrefsFirefox: {
      'app.normandy.enabled': false,
      'app.update.disabledForTesting': true,
      'browser.safebrowsing.update.enabled': false,
      'datareporting.policy.dataSubmissionEnabled': false,
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
      'services.settings.server': 'data:,',
      ...prefs,
    },
  });
  return new Browser(launched, await launched.newPage());
}

class Browser {
  #browser;
  #page;

  constructor(browser, page) {
    this.#browser = browser;
    this.#page = page;
  }

  async goto(url) {
    await this.#page.goto(url);
  }

  async run(script, args = [], frame = null) {
    return (await this.#in(frame)).evaluate(script, ...args);
  }

  async click(selector, frame = null) {
    await (await this.#in(frame)).click(selector);
  }

  async type(text) {
    await this.#page.keyboard.type(text);
  }

  async press(name) {
    const keys = name.split('+');
    for (const key of keys) await this.#page.keyboard.down(key);
    for (const key of keys.toReversed()) await this.#page.keyboard.up(key);
  }

  /** Runs `script` (a function) in every document of the page from now on, before its own scripts. */
  async prepare(script) {
    await this.#page.evaluateOnNewDocument(script);
  }

  /** Puts another tab over the page, which is hidden until that is closed: the answer shows the page again. */
  async hide() {
    const other = await this.#browser.newPage();
    await other.bringToFront();
    return () => other.close();
  }

  /** Chromium: ends the process of the frame whose address has `part`, once `use` has run, which may wait for its next request. */
  async crash(part, use = () => {}) {
    const target = await this.#browser.waitForTarget((one) => one.url().includes(part));
    const devtools = await target.createCDPSession();
    await devtools.send('Network.enable');
    await use(() => new Promise((resolve) => devtools.once('Network.requestWillBeSent', resolve)));
    // The answer is that there is nobody to answer.
    await devtools.send('Page.crash').catch(() => {});
  }

  async close() {
    await this.#browser.close();
  }

  async #in(frame) {
    if (!frame) return this.#page;
    const element = await this.#page.evaluateHandle(frame);
    return element.contentFrame();
  }
}
