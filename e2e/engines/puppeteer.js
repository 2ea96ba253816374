/** Chromium, and Firefox over WebDriver BiDi, with the same verbs as webdriver.js. */
import puppeteer from 'puppeteer-core';

/** Opens the browser (`chrome` or `firefox`) at `executablePath`. */
export async function open(browser, executablePath) {
  const isRoot = process.getuid?.() === 0;
  const launched = await puppeteer.launch({
    browser,
    executablePath,
    headless: true,
    args: browser === 'chrome' && isRoot ? ['--no-sandbox'] : [],
    // What Firefox does by itself in the background.
    extraPrefsFirefox: {
      'app.normandy.enabled': false,
      'app.update.disabledForTesting': true,
      'browser.safebrowsing.update.enabled': false,
      'datareporting.policy.dataSubmissionEnabled': false,
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
      'services.settings.server': 'data:,',
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

  async close() {
    await this.#browser.close();
  }

  async #in(frame) {
    if (!frame) return this.#page;
    const element = await this.#page.evaluateHandle(frame);
    return element.contentFrame();
  }
}
