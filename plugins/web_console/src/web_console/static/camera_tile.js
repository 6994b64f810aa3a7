import { BlobImage } from "./blob_image.js";
import { form, marks, STATES } from "./camera_marks.js";
import { h } from "./dom.js";
import { age } from "./format.js";
import { Part } from "./part.js";
import { Unreached } from "./unreached.js";

/** Age from which a picture is told to be old when the camera gives no newer one. */
const OLD_MS = 5000;
/** The same while it has not been asked for one: with many or slow cameras its turn comes late. */
const TURN_MS = 60_000;
/** Widths of pictures: few, because the agent encodes each once for all viewers. */
const WIDTH = 480;
const LARGE_WIDTH = 960;

/** One camera: its newest picture, and its state in words. */
class CameraTile extends Part {
  #camera = null;
  #isSeen = false;
  #isFailing = false;
  #reason = "";
  #capturedAt = null;
  #image = new BlobImage();
  #name = h("span", { class: "name", dir: "auto" });
  #marks = h("span", { class: "marks" });
  #form = h("span", { class: "muted" });
  #words = h("span", { class: "over" });
  #age = h("span", { class: "age" });
  #seen = new IntersectionObserver((entries) => (this.#isSeen = entries.at(-1).isIntersecting), { rootMargin: "100px" });

  set camera(camera) {
    this.#camera = camera;
    if (this.isConnected) this.#update();
  }

  get device() {
    return this.#camera.device;
  }

  get isShown() {
    return this.#isSeen && this.#camera.status !== "DISCONNECTED";
  }

  /** Width of the picture to ask for, in pixels. */
  get pictureWidth() {
    return this.clientWidth * devicePixelRatio > WIDTH ? LARGE_WIDTH : WIDTH;
  }

  render() {
    this.#image = new BlobImage();
    this.#capturedAt = null;
    this.replaceChildren(
      h(
        "a",
        { href: `#/camera/${encodeURIComponent(this.device)}` },
        h("span", { class: "picture" }, this.#image.element, this.#words, this.#age),
        this.#name,
        h("span", { class: "row" }, this.#marks, this.#form),
      ),
    );
    this.#update();
    this.#seen.observe(this);
    this.pictures.add(this);
    this.every(1000, () => this.#tellAge());
  }

  leave() {
    this.#seen.disconnect();
    this.pictures.remove(this);
    this.#image.drop();
  }

  show(blob, headers) {
    const ageMs = Number(headers.get("x-age-ms") ?? 0);
    this.#isFailing = ageMs > OLD_MS;
    this.#reason = "";
    this.#capturedAt = performance.now() - ageMs;
    this.#image.show(blob).catch(() => {});
    this.#image.element.alt = `Newest picture of ${this.#camera.name}`;
    this.#tell();
    this.#tellAge();
  }

  refuse(error) {
    this.#isFailing = true;
    const words = error.name === "TimeoutError" ? "the camera is too slow." : error.message;
    // The banner tells of a lost connection.
    if (!(error instanceof Unreached && this.agent.connection === "lost")) this.#reason = `No new picture: ${words}`;
    this.#tell();
    this.#tellAge();
  }

  /** Tell over the picture why it is not there, or not new; the camera's own problem explains more than a refusal. */
  #tell() {
    const { status, problem } = this.#camera;
    const waiting = this.#capturedAt === null ? "Waiting for the first picture …" : "";
    const words = status === "CONNECTED" ? this.#reason || waiting : problem || STATES[status];
    if (this.#words.textContent !== words) this.#words.replaceChildren(words);
  }

  #tellAge() {
    const ageMs = this.#capturedAt === null ? 0 : performance.now() - this.#capturedAt;
    const isOld = ageMs > (this.#isFailing ? OLD_MS : TURN_MS);
    this.toggleAttribute("old", isOld);
    this.#age.replaceChildren(isOld ? `${age(ageMs)} old` : "");
  }

  #update() {
    const camera = this.#camera;
    if (this.dataset.status !== camera.status) this.pictures.wake(this);
    this.dataset.status = camera.status;
    this.dataset.device = camera.device;
    this.#name.replaceChildren(camera.name);
    this.#name.title = camera.name;
    this.#marks.replaceChildren(...marks(camera).filter(Boolean));
    this.#form.replaceChildren([camera.device, form(camera)].filter(Boolean).join(" · "));
    this.#tell();
  }
}

customElements.define("camera-tile", CameraTile);
