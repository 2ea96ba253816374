/**
 * Starts the demos that the tests talk to: one per port base in `CARDSEAL_PORTS` (the first for most tests, the second
 * to show that two run side by side), in temporary folders, gone afterwards.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const ports = (process.env.CARDSEAL_PORTS ?? '24000,24100').split(',').map(Number);

/**
 * Starts both demos; what it returns stops them. Tests find their `ready` lines in `CARDSEAL_DEMOS`; set it yourself (a
 * JSON list) to test demos that are running.
 */
export default async function setup() {
  if (process.env.CARDSEAL_DEMOS) return undefined;
  // One after the other: both build, and cargo lets one build at a time anyway.
  const demos = [];
  for (const port of ports) demos.push(await start(port));
  process.env.CARDSEAL_DEMOS = JSON.stringify(demos.map((demo) => demo.ready));
  return async () => {
    for (const demo of demos) await demo.stop();
  };
}

/** Starts one demo and waits for its `ready` line. */
export async function start(portBase) {
  const dataDir = mkdtempSync(join(tmpdir(), 'cardseal-e2e-'));
  const program = process.env.CARDSEAL_XTASK;
  const args = ['demo', '--port-base', String(portBase), '--data-dir', dataDir];
  const child = program
    ? spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    : spawn('cargo', ['xtask', ...args], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const ready = await Promise.race([
    readyLine(child),
    ended.then((code) => Promise.reject(new Error(`the demo ended (${code}) before it was ready`))),
  ]);
  return {
    ready,
    pid: child.pid,
    async stop() {
      child.kill('SIGINT');
      await ended;
      // A file may still be closing.
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

async function readyLine(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('ready ')) return JSON.parse(line.slice(6));
  }
  return new Promise(() => {});
}
