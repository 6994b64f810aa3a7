/** Error of a request that got no answer, or of an answer that was cut off; `cause` is the browser's own error. */
export class Unreached extends Error {
  constructor(cause) {
    super("The agent does not answer.", { cause });
    this.name = "Unreached";
  }
}

/**
 * Return what a promise of `fetch`, or of reading its answer, resolves to. Rejects with Unreached where there is none:
 * browsers then reject with a TypeError, which errors of the page itself may be too.
 */
export async function reached(answered) {
  try {
    return await answered;
  } catch (error) {
    throw error instanceof TypeError ? new Unreached(error) : error;
  }
}
