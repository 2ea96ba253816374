/**
 * What npm `credit-card-type` says: of its brands (their facts), of every edge of their patterns and the prefixes next
 * to it, and of the digits given on stdin. Answers JSON; `brands.rs` compares.
 */
import { readFileSync } from 'node:fs';
import creditCardType from 'credit-card-type';

const asked = JSON.parse(readFileSync(0, 'utf8'));
const brands = Object.values(creditCardType.types).map((type) => creditCardType.getTypeInfo(type));

const edges = new Set();
for (const { patterns } of brands) {
  for (const edge of patterns.flat()) {
    for (const near of [edge - 1, edge, edge + 1]) {
      for (const rest of ['00000000', '12345678', '99999999']) edges.add(`${near}${rest}`.slice(0, 8));
    }
  }
}

const answer = (digits) => ({ digits, types: creditCardType(digits).map(({ type }) => type) });
const samples = [...asked, ...edges].map(answer);
process.stdout.write(JSON.stringify({ brands, samples }));
