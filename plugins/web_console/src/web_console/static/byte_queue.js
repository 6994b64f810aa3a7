/** Bytes that arrive in pieces. Each is copied a few times at most, however small the pieces are. */
export class ByteQueue {
  #bytes = new Uint8Array(65_536);
  #from = 0;
  #to = 0;

  get length() {
    return this.#to - this.#from;
  }

  /** View of the bytes, valid until the next `push`. */
  get view() {
    return this.#bytes.subarray(this.#from, this.#to);
  }

  push(piece) {
    if (this.#to + piece.length > this.#bytes.length) this.#makeRoom(this.length + piece.length);
    this.#bytes.set(piece, this.#to);
    this.#to += piece.length;
  }

  /** Remove the first bytes. */
  drop(count) {
    this.#from += count;
  }

  /** Remove the first bytes, and return a copy of them. */
  take(count) {
    const taken = this.view.slice(0, count);
    this.drop(count);
    return taken;
  }

  #makeRoom(needed) {
    const kept = this.view;
    if (2 * needed > this.#bytes.length) this.#bytes = new Uint8Array(2 * needed);
    this.#bytes.set(kept);
    this.#from = 0;
    this.#to = kept.length;
  }
}
