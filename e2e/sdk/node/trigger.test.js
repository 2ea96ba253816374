/** `payments trigger` makes each event happen that it says it can, on the demo. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { client, demo } from './cardseal.js';

const run = promisify(execFile);
const built = process.env.CARDSEAL_XTASK ?? fileURLToPath(new URL('../../../target/debug/xtask', import.meta.url));
const payments = join(dirname(built), 'payments');
const folder = mkdtempSync(join(tmpdir(), 'cardseal-trigger-'));
const key = join(folder, 'secret.key');
writeFileSync(key, demo.secret_key, { mode: 0o600 });
after(() => rmSync(folder, { recursive: true }));

test('each event that can be triggered happens', { timeout: 300_000 }, async () => {
  const { stdout } = await run(payments, ['trigger', 'list']);
  const events = stdout.trim().split('\n');
  assert.ok(events.includes('refund.failed') && events.includes('charge.dispute.funds_reinstated'), stdout);
  const stripe = client();
  for (const event of events) {
    const made = await run(payments, ['trigger', event, '--api', demo.payments, '--secret-key-file', key]);
    const { id, type } = JSON.parse(made.stdout);
    assert.equal(type, event);
    assert.equal((await stripe.events.retrieve(id)).type, event);
  }
});
