import { h } from "./dom.js";

/** Image that shows one blob after the other, and holds the memory of the shown one only. */
export class BlobImage {
  element = h("img", { alt: "" });
  #url = null;
  #isGone = false;
  #given = 0;
  #shown = 0;

  /** Show a blob once it is decoded, so that nothing flickers; an older one that is decoded later is left out. Rejects what is no picture. */
  async show(blob) {
    this.#given += 1;
    const number = this.#given;
    const url = URL.createObjectURL(blob);
    const probe = new Image();
    probe.src = url;
    try {
      await probe.decode();
    } catch (error) {
      URL.revokeObjectURL(url);
      throw error;
    }
    if (this.#isGone || number < this.#shown) return URL.revokeObjectURL(url);
    this.#shown = number;
    this.element.src = url;
    if (this.#url !== null) URL.revokeObjectURL(this.#url);
    this.#url = url;
    return undefined;
  }

  /** Free the picture, and any that is still being decoded. The image shows no other one. */
  drop() {
    this.#isGone = true;
    if (this.#url !== null) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }
}
