/** A line to the vault on which chosen answers stop half-way, for tests of what a page does with half of one. */
import { createServer, request as ask } from 'node:http';

/**
 * Runs `use(url, release)` with a server at `url` that hands every GET on to the vault. The answer to one whose address
 * `halts(url)` stops before `mark` until `release()` is called.
 */
export async function halting(vault, { halts, mark }, use) {
  const held = [];
  let isReleased = false;
  const release = () => {
    isReleased = true;
    for (const go of held.splice(0)) go();
  };
  const { host, port } = new URL(vault);
  const server = createServer((heard, answer) => {
    const headers = { ...heard.headers, host };
    const isHalting = halts(heard.url);
    // What is to be cut must be readable.
    if (isHalting) headers['accept-encoding'] = 'identity';
    const asked = ask({ host: '127.0.0.1', port, path: heard.url, method: heard.method, headers }, async (said) => {
      answer.writeHead(said.statusCode, said.headers);
      if (!isHalting) return said.pipe(answer);
      const whole = (await said.setEncoding('utf8').toArray()).join('');
      const cut = whole.indexOf(mark);
      if (cut < 0) throw new Error(`no ${mark} in ${heard.url}`);
      answer.write(whole.slice(0, cut));
      if (!isReleased) await new Promise((go) => held.push(go));
      answer.end(whole.slice(cut));
    });
    heard.pipe(asked);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use(`http://127.0.0.1:${server.address().port}`, release);
  } finally {
    release();
    server.closeAllConnections();
    server.close();
  }
}
