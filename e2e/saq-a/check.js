/**
 * `node check.js URL [--inventory FILE] [--json]`: opens a payment page and says what breaks SAQ A eligibility. Exits 0 when
 * nothing does, 1 when something does, 2 when the page could not be looked at.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { judge } from './rules.js';
import { look } from './look.js';

const TITLES = { fail: 'BREAKS', warn: 'weakens' };

try {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { inventory: { type: 'string' }, json: { type: 'boolean' } } });
  const [url, ...more] = positionals;
  if (!url || more.length || !/^https?:/.test(url)) throw new Error('give one address, such as https://shop.example/checkout');
  const inventory = values.inventory ? JSON.parse(readFileSync(values.inventory, 'utf8')) : null;
  const facts = await look(url);
  const findings = judge(facts, inventory);
  const broken = findings.filter((finding) => finding.level === 'fail').length;
  if (values.json) console.log(JSON.stringify({ url: facts.url, eligible: broken === 0, findings }, null, 2));
  else report(facts.url, findings, broken);
  process.exitCode = broken ? 1 : 0;
} catch (error) {
  console.error(`saq-a-check: ${error.message.split('\n')[0]}`);
  process.exitCode = 2;
}

function report(url, findings, broken) {
  for (const level of ['fail', 'warn']) {
    for (const { rule, found, advice } of findings.filter((finding) => finding.level === level)) {
      console.log(`${TITLES[level]}  ${rule}: ${found}\n         ${advice}`);
    }
  }
  console.log(
    broken
      ? `${url}: ${broken} of ${findings.length} findings break SAQ A eligibility.`
      : `${url}: nothing found that breaks SAQ A eligibility (${findings.length} weaken it). This looks at one page; the questionnaire asks for more.`,
  );
}
