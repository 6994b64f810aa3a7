/** Wait; not longer than until the signal, if there is one, aborts. */
export function pause(ms, signal = null) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    return signal?.addEventListener("abort", done);
  });
}

/** Wait until the page can be seen, or the signal, if there is one, aborts. */
export function shown(signal = null) {
  return new Promise((resolve) => {
    const end = new AbortController();
    const look = () => {
      if (document.visibilityState !== "visible" && !signal?.aborted) return;
      end.abort();
      resolve();
    };
    document.addEventListener("visibilitychange", look, { signal: end.signal });
    signal?.addEventListener("abort", look, { signal: end.signal });
    look();
  });
}
