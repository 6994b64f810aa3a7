/** Shortest time between two rounds over all tiles. */
const ROUND_MS = 1000;
/** Longest time for one picture; another camera need not wait longer for a slow one. */
const LIMIT_MS = 5000;
/** Longest pause of a camera that gives no picture; it doubles with each failure, so that others hardly wait for it. */
const LONGEST_PAUSE_MS = 30_000;

/**
 * Fetches the pictures of tiles one after the other, because a browser opens few connections to one origin, and only
 * those that can be seen. A tile has `device`, `isShown`, `show(blob, headers)` and `refuse(error)`.
 */
export class Pictures {
  #session;
  /** Tiles, with the time before which they are left alone, and their failures in a row. */
  #tiles = new Map();
  #isRunning = false;

  constructor(session) {
    this.#session = session;
  }

  add(tile) {
    this.#tiles.set(tile, { pausedUntil: 0, failures: 0 });
    if (!this.#isRunning) this.#run();
  }

  /** Ask a camera again at once, because its state has changed. */
  wake(tile) {
    const state = this.#tiles.get(tile);
    if (state !== undefined) Object.assign(state, { pausedUntil: 0, failures: 0 });
  }

  remove(tile) {
    this.#tiles.delete(tile);
  }

  async #run() {
    this.#isRunning = true;
    while (this.#tiles.size > 0) {
      const begun = performance.now();
      for (const [tile, state] of [...this.#tiles]) {
        const isDue = this.#tiles.has(tile) && state.pausedUntil <= performance.now();
        if (isDue && tile.isShown && document.visibilityState === "visible") await this.#one(tile, state);
      }
      const rest = ROUND_MS - (performance.now() - begun);
      await new Promise((resolve) => setTimeout(resolve, Math.max(50, rest)));
    }
    this.#isRunning = false;
  }

  async #one(tile, state) {
    try {
      const path = `cameras/${encodeURIComponent(tile.device)}/snapshot.jpg?width=480&max_age_ms=2000`;
      const answer = await this.#session.fetch(path, { signal: AbortSignal.timeout(LIMIT_MS) });
      tile.show(await answer.blob(), answer.headers);
      state.failures = 0;
    } catch (error) {
      state.failures += 1;
      const pauseMs = Math.max(error.retryAfterMs ?? 0, ROUND_MS * 2 ** Math.min(state.failures, 10));
      state.pausedUntil = performance.now() + Math.min(pauseMs, LONGEST_PAUSE_MS);
      tile.refuse(error);
    }
  }
}

/** Show a blob in an image, and free the one before when the new one is there. Returns a promise of its end. */
export async function showBlob(image, blob) {
  const before = image.dataset.blob;
  const url = URL.createObjectURL(blob);
  const probe = new Image();
  probe.src = url;
  try {
    await probe.decode();
    image.src = url;
    image.dataset.blob = url;
    if (before) URL.revokeObjectURL(before);
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
}

/** Free what `showBlob` holds. */
export function dropBlob(image) {
  if (image?.dataset.blob) URL.revokeObjectURL(image.dataset.blob);
}
