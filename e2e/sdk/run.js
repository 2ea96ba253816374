/**
 * Runs the official SDKs' suites against one fresh demo: the Node suite, then the Python suite when
 * `CARDSEAL_SDK_PYTHON` names an interpreter that has what `python/requirements.txt` names. Set `CARDSEAL_DEMO` (the JSON of a `ready`
 * line) to run them against a demo that is up.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { start } from '../demo.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const python = process.env.CARDSEAL_SDK_PYTHON;
const port = Number(process.env.CARDSEAL_PORTS ?? '24200');

const demo = process.env.CARDSEAL_DEMO ? undefined : await start(port);
const ready = process.env.CARDSEAL_DEMO ?? JSON.stringify(demo.ready);
let failed = 0;
try {
  failed += await run('npm', ['test', '--silent'], 'node');
  if (python) failed += await run(python, ['-m', 'unittest', '-v', 'scenarios', 'webhooks'], 'python');
} finally {
  await demo?.stop();
}
process.exit(failed === 0 ? 0 : 1);

/** Runs a suite to its end; 1 when it failed. */
function run(program, args, folder) {
  // No proxy between an SDK and this machine; no compiled files left beside the sources.
  const env = {
    ...process.env, CARDSEAL_DEMO: ready, NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1', PYTHONDONTWRITEBYTECODE: '1',
  };
  const child = spawn(program, args, { cwd: `${here}${folder}`, env, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code === 0 ? 0 : 1));
  });
}
