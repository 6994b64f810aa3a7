import { parts } from "./mjpeg.js";
import { reached } from "./unreached.js";
import { pause } from "./waiting.js";

/** Shortest time between two single pictures. */
const STILL_MS = 500;
/** Longest wait for one of them. */
const STILL_LIMIT_MS = 10_000;
/** Time after which single pictures end, so that MJPEG is tried again. */
const STILLS_MS = 5 * 60_000;

/**
 * Return the pictures of `live.mjpeg` as they come, once the agent has answered: an async generator of `{blob, takenMs}`
 * that ends when the agent ends the view. Rejects with HttpFailed or Unreached.
 */
export async function openMjpeg(session, device, signal) {
  // Safari and all browsers on iOS cancel the answer if its type is multipart/x-mixed-replace.
  const headers = { Accept: "application/octet-stream" };
  const answer = await session.fetch(`cameras/${encodeURIComponent(device)}/live.mjpeg`, { signal, headers });
  return split(answer);
}

async function* split(answer) {
  for await (const { headers, body } of parts(answer.body.getReader())) {
    yield { blob: new Blob([body], { type: headers.get("content-type") }), takenMs: 1000 * Number(headers.get("x-timestamp")) };
  }
}

/** Yield pictures of `snapshot.jpg` one after the other, in the same form, for a few minutes. */
export async function* stills(session, device, signal) {
  const path = `cameras/${encodeURIComponent(device)}/snapshot.jpg?max_age_ms=${STILL_MS}`;
  const end = performance.now() + STILLS_MS;
  while (performance.now() < end && !signal.aborted) {
    const begun = performance.now();
    const answer = await session.fetch(path, { signal: AbortSignal.any([signal, AbortSignal.timeout(STILL_LIMIT_MS)]) });
    yield { blob: await reached(answer.blob()), takenMs: 1000 * Number(answer.headers.get("x-timestamp")) };
    await pause(Math.max(0, STILL_MS - (performance.now() - begun)), signal);
  }
}
