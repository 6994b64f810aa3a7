import { age } from "./format.js";

/** Time for which a measurement counts: clocks drift apart. */
const KEEP_MS = 5 * 60_000;
/** Most by which clocks drift apart in that time. */
const DRIFT_MS = 50;
/** Steps in which both clocks are told. */
const STEP_MS = 1;

/**
 * The agent's clock, by answers that tell its time. An answer is the more exact the less time its way took, so the
 * quickest of the last minutes counts.
 */
export class AgentClock {
  #measured = [];

  /** Note an answer: when it was asked for and arrived by this computer's clock, and the agent's time in it, in milliseconds. */
  note(askedMs, arrivedMs, agentMs) {
    const one = { at: arrivedMs, offsetMs: agentMs - (askedMs + arrivedMs) / 2, withinMs: (arrivedMs - askedMs) / 2 + STEP_MS };
    if (!Number.isFinite(one.offsetMs) || one.withinMs < 0) return;
    // An earlier one that contradicts this one is of a time before a clock was set.
    const holds = (each) =>
      Math.abs(arrivedMs - each.at) < KEEP_MS && Math.abs(each.offsetMs - one.offsetMs) <= each.withinMs + one.withinMs + DRIFT_MS;
    this.#measured = [...this.#measured.filter(holds), one];
  }

  get #best() {
    const none = { offsetMs: 0, withinMs: Infinity };
    return this.#measured.reduce((best, each) => (each.withinMs <= best.withinMs ? each : best), none);
  }

  /** Milliseconds to add to this computer's clock to get the agent's. */
  get offsetMs() {
    return this.#best.offsetMs;
  }

  /** Return in words how long ago a time of the agent's was, no more exactly than is known. */
  since(agentMs) {
    const { offsetMs, withinMs } = this.#best;
    const agoMs = Date.now() + offsetMs - agentMs;
    if (agoMs > withinMs) return age(agoMs);
    const mostMs = Math.ceil(agoMs + withinMs);
    return mostMs > 0 && mostMs < Infinity ? `less than ${age(mostMs)}` : "an unknown time";
  }
}
