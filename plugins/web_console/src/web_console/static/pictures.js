import { reached } from "./unreached.js";
import { pause, shown } from "./waiting.js";

/** Shortest time between two rounds over all tiles. */
const ROUND_MS = 1000;
/** Longest time for one picture. */
const LIMIT_MS = 5000;
/** Time after which the next tile need not wait for a slow camera any more. */
const PATIENCE_MS = 700;
/** Most pictures that are waited for at a time: a browser opens six connections to one origin, and others need some. */
const MOST_PENDING = 3;
/** Longest pause of a camera that gives no picture; it doubles with each failure. */
const LONGEST_PAUSE_MS = 30_000;

/**
 * Fetches the pictures of tiles one after the other, because a browser opens few connections to one origin, and only
 * those that can be seen. A camera that hangs is left behind, and asked again when it has answered. A tile has `device`,
 * `isShown`, `pictureWidth`, `show(blob, headers)` and `refuse(error)`.
 */
export class Pictures {
  #session;
  /** Tiles, with the time before which they are left alone, their failures in a row, and the request under way. */
  #tiles = new Map();
  #pending = new Set();
  #isRunning = false;

  constructor(session) {
    this.#session = session;
  }

  add(tile) {
    this.#tiles.set(tile, { pausedUntil: 0, failures: 0, request: null, end: new AbortController() });
    if (!this.#isRunning) this.#run();
  }

  /** Ask a camera again at once, because its state has changed. */
  wake(tile) {
    const state = this.#tiles.get(tile);
    if (state !== undefined) Object.assign(state, { pausedUntil: 0, failures: 0 });
  }

  /** Leave a tile out from now on, and give up what it waits for. */
  remove(tile) {
    this.#tiles.get(tile)?.end.abort();
    this.#tiles.delete(tile);
  }

  async #run() {
    this.#isRunning = true;
    while (this.#tiles.size > 0) {
      await shown();
      const begun = performance.now();
      for (const [tile, state] of [...this.#tiles]) {
        const isDue = this.#tiles.has(tile) && state.request === null && state.pausedUntil <= performance.now();
        if (isDue && tile.isShown && document.visibilityState === "visible") await this.#turn(tile, state);
      }
      await pause(Math.max(50, ROUND_MS - (performance.now() - begun)));
    }
    this.#isRunning = false;
  }

  /** Ask for one picture; return when it is there, or after a while, if few others are waited for. */
  async #turn(tile, state) {
    const request = this.#one(tile, state).finally(() => {
      state.request = null;
      this.#pending.delete(request);
    });
    state.request = request;
    this.#pending.add(request);
    const patience = new AbortController();
    await Promise.race([request, pause(PATIENCE_MS, patience.signal)]);
    patience.abort();
    while (this.#pending.size >= MOST_PENDING) await Promise.race(this.#pending);
  }

  async #one(tile, state) {
    const end = state.end.signal;
    try {
      const path = `cameras/${encodeURIComponent(tile.device)}/snapshot.jpg?width=${tile.pictureWidth}&max_age_ms=2000`;
      const answer = await this.#session.fetch(path, { signal: AbortSignal.any([end, AbortSignal.timeout(LIMIT_MS)]) });
      const blob = await reached(answer.blob());
      if (end.aborted) return;
      tile.show(blob, answer.headers);
      state.failures = 0;
    } catch (error) {
      if (end.aborted) return;
      state.failures += 1;
      const pauseMs = Math.max(error.retryAfterMs ?? 0, ROUND_MS * 2 ** Math.min(state.failures, 10));
      state.pausedUntil = performance.now() + Math.min(pauseMs, LONGEST_PAUSE_MS);
      tile.refuse(error);
    }
  }
}
