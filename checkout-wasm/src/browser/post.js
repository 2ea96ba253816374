/**
 * The frame's one way onto the network: a same-origin JSON POST that gives `{status, body}`, and status 0 when no
 * answer came.
 */

const TIMEOUT_MS = 30_000;

export async function post(path, bearer, body) {
  const headers = { "content-type": "application/json" };
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: answer.status, body: await answer.json() };
  } catch {
    return { status: 0, body: {} };
  }
}
