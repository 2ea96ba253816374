/** Serves a test's own page on a free port of localhost, which the demo's publishable key takes, and hears its posts. */
import { createServer } from 'node:http';

/**
 * Serves `files` (path to HTML, or to `{ type, headers, body }`) while `use(port, posts)` runs. A POST to any path is answered with
 * a page that says so, and kept in `posts` as URLSearchParams.
 */
export async function serve(files, use) {
  const posts = [];
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      posts.push(new URLSearchParams(Buffer.concat(chunks).toString()));
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>Posted</title><h1>Posted</h1>');
      return;
    }
    const file = files[new URL(request.url, 'http://localhost').pathname];
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    for (const [name, value] of Object.entries(file.headers ?? {})) response.setHeader(name, value);
    response.setHeader('content-type', file.type ?? 'text/html').end(file.body ?? file);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use(server.address().port, posts);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
