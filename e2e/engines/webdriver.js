/** As much of WebDriver (W3C) as the core needs, over HTTP: for WebKitGTK's driver. A page is driven one frame at a time. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
const KEYS = { Tab: '\uE004', Enter: '\uE007', Shift: '\uE008', Escape: '\uE00C', Backspace: '\uE003', Home: '\uE011', ArrowRight: '\uE014' };

/** Starts `program` with `args` (which listens on `port`) and `env`, and opens a browser of these capabilities. */
export async function open(program, args, port, capabilities, env = {}) {
  // In a group of its own, so that what it starts ends with it.
  const driver = spawn(program, args, { stdio: 'ignore', detached: true, env: { ...process.env, ...env } });
  const stop = () => {
    try {
      process.kill(-driver.pid, 'SIGTERM');
    } catch {
      // It ended by itself.
    }
  };
  try {
    const base = `http://127.0.0.1:${port}`;
    await until(() => call('GET', `${base}/status`).catch(() => null));
    const { sessionId } = await call('POST', `${base}/session`, { capabilities: { alwaysMatch: capabilities } });
    return new Browser(`${base}/session/${sessionId}`, stop);
  } catch (error) {
    stop();
    throw error;
  }
}

class Browser {
  #session;
  #stop;

  constructor(session, stop) {
    this.#session = session;
    this.#stop = stop;
  }

  async goto(url) {
    await this.#post('/url', { url });
  }

  /** Runs `script` (a function) in the page, or in the frame whose element `frame` (a function, run in the page) gives. */
  async run(script, args = [], frame = null) {
    await this.#enter(frame);
    const body = `const done = arguments[arguments.length - 1];
      Promise.resolve().then(() => (${script})(...[].slice.call(arguments, 0, -1))).then((value) => done([true, value ?? null]), (error) => done([false, String(error)]));`;
    const [isDone, value] = await this.#post('/execute/async', { script: body, args });
    if (!isDone) throw new Error(value);
    return value;
  }

  async click(selector, frame = null) {
    await this.#enter(frame);
    const found = await this.#post('/element', { using: 'css selector', value: selector });
    await this.#post(`/element/${found[ELEMENT]}/click`, {});
  }

  /** Types text, key by key, where the focus is. */
  async type(text) {
    for (const key of text) await this.press(key);
  }

  /** Presses a key, as `a`, `Tab` or `Shift+Tab`. */
  async press(name) {
    const keys = name.length === 1 ? [name] : name.split('+').map((key) => KEYS[key] ?? key);
    const actions = [...keys.map((value) => ({ type: 'keyDown', value })), ...keys.toReversed().map((value) => ({ type: 'keyUp', value }))];
    await this.#post('/actions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
  }

  async close() {
    await call('DELETE', this.#session).catch(() => {});
    this.#stop();
  }

  async #enter(frame) {
    await this.#post('/frame', { id: null });
    if (!frame) return;
    await this.#post('/frame', { id: await this.#post('/execute/sync', { script: `return (${frame})()`, args: [] }) });
  }

  #post(path, body) {
    return call('POST', `${this.#session}${path}`, body);
  }
}

async function call(method, url, body) {
  const answer = await fetch(url, { method, body: body && JSON.stringify(body), headers: body ? { 'content-type': 'application/json' } : {} });
  const { value } = await answer.json();
  if (!answer.ok) throw new Error(`${method} ${new URL(url).pathname}: ${value.error}: ${value.message}`);
  return value;
}

/** Asks until there is an answer; a driver takes a moment to listen. */
export async function until(ask, ms = 20_000) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(100)) {
    const answer = await ask();
    if (answer) return answer;
  }
  throw new Error(`nothing came within ${ms} ms: ${ask}`);
}
