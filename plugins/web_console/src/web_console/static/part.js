import { pause, shown } from "./waiting.js";

/**
 * Element that shows a part of the agent: `render` is called when it is added to the page, and `listen` adds a listener
 * that ends with it.
 */
export class Part extends HTMLElement {
  #end = null;

  connectedCallback() {
    this.#end = new AbortController();
    this.render();
  }

  disconnectedCallback() {
    this.#end?.abort();
    this.leave();
  }

  /** Signal that aborts when the element leaves the page. */
  get signal() {
    return this.#end.signal;
  }

  listen(target, name, listener) {
    target.addEventListener(name, listener, { signal: this.signal });
  }

  /** Call `tick` now and then regularly, one call after the other, while the element is in the page and can be seen. */
  async every(intervalMs, tick) {
    const { signal } = this;
    while (!signal.aborted) {
      try {
        if (document.visibilityState === "visible") await tick();
        else await shown(signal);
      } catch {
        // The connection's own banner tells of a lost connection; the next tick tries again.
      }
      if (document.visibilityState === "visible") await pause(intervalMs, signal);
    }
  }

  /** Make the content. */
  render() {}

  /** Let go of what the element holds outside of the page. */
  leave() {}
}
