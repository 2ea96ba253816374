/**
 * Runs the core in the engines of `CARDSEAL_ENGINES` (see core.test.js) against one fresh demo; set `CARDSEAL_DEMOS` to use
 * one that is up. Exits as the tests do.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { start } from '../demo.js';

const demo = process.env.CARDSEAL_DEMOS ? undefined : await start(Number(process.env.CARDSEAL_PORTS ?? '24200'));
const CARDSEAL_DEMOS = process.env.CARDSEAL_DEMOS ?? JSON.stringify([demo.ready]);
try {
  // The drivers are on this machine, whatever proxy there is.
  const env = { ...process.env, CARDSEAL_DEMOS, NO_PROXY: '127.0.0.1,localhost,.localhost', no_proxy: '127.0.0.1,localhost,.localhost' };
  const test = fileURLToPath(new URL('core.test.js', import.meta.url));
  const child = spawn(process.execPath, ['--test', '--test-reporter=spec', test], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  process.exitCode = await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
} finally {
  await demo?.stop();
}
