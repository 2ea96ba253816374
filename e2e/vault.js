/**
 * A vault of a test's own: started with the options that the test needs, restarted, its clock moved. It serves the frame
 * that the demos built, so the demos come first.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const programs = process.env.CARDSEAL_XTASK ? dirname(process.env.CARDSEAL_XTASK) : join(root, process.env.CARGO_TARGET_DIR ?? 'target', 'debug');
const program = join(programs, 'token-vault');

/** A vault under way: `vault` is where, `publishable_key` one for any localhost page. */
export class Vault {
  /** Runs `use(vault)` with a vault that was started with these options; `key` are those of its publishable key. */
  static async with({ options = [], key = [] }, use) {
    const vault = new Vault(options);
    try {
      await vault.#provision(key);
      await vault.start();
      await use(vault);
    } finally {
      await vault.stop();
      rmSync(vault.#folder, { recursive: true, force: true });
    }
  }

  #options;
  #folder = mkdtempSync(join(tmpdir(), 'cardseal-vault-'));
  #child = null;
  #ended = null;

  constructor(options) {
    this.#options = options;
  }

  async #provision(key) {
    const ports = [];
    while (ports.length < 3) ports.push(await freePort());
    const [vault, privately, admin] = ports;
    this.vault = `http://127.0.0.1:${vault}`;
    this.admin = `http://127.0.0.1:${admin}`;
    this.#options.push('--public', `127.0.0.1:${vault}`, '--private', `127.0.0.1:${privately}`, '--admin', `127.0.0.1:${admin}`);
    const { id } = this.run('merchants', 'create', '--name', 'A shop');
    const localhost = ['--origin', 'http://localhost:*'];
    this.publishable_key = this.run('keys', 'create', '--kind', 'pk', '--merchant', id, ...localhost, ...key).key;
  }

  #of(name) {
    return join(this.#folder, name);
  }

  #common() {
    return ['--database', `sqlite:${this.#of('vault.db')}`, '--root-key-file', this.#of('root.json')];
  }

  /** Runs a command of the vault's on its database; gives the answer. */
  run(...args) {
    return JSON.parse(execFileSync(program, [...args, ...this.#common()], { encoding: 'utf8', stdio: 'pipe' }));
  }

  async start() {
    const frame = ['--frame-dir', join(root, 'target', 'frame'), '--clock-file', this.#of('clock')];
    this.#child = spawn(program, ['serve', ...this.#common(), ...frame, ...this.#options], { stdio: 'ignore' });
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
    for (let tries = 0; ; tries += 1) {
      if (await fetch(`${this.admin}/readyz`).then((answer) => answer.ok, () => false)) return;
      if (tries === 300 || this.#child.exitCode !== null) throw new Error('the vault did not start');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Ends the process; what it kept in memory is gone. */
  async stop() {
    this.#child?.kill('SIGTERM');
    // It ends once it runs again.
    this.#child?.kill('SIGCONT');
    await this.#ended;
  }

  /** Stops the process where it stands: connections are taken and nobody answers. */
  pause() {
    this.#child.kill('SIGSTOP');
  }

  resume() {
    this.#child.kill('SIGCONT');
  }

  /** Moves the vault's clock so many seconds from now. */
  async setClock(seconds) {
    writeFileSync(this.#of('clock'), String(seconds));
    // It is read again every 50 ms.
    await new Promise((resolve) => setTimeout(resolve, 150));
  }

  /** What a metric counts, over all its labels that contain `labels`. */
  async metric(name, labels = '') {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(name) && line.includes(labels));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').pop()), 0);
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
