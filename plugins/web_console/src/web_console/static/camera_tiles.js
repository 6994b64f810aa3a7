import { h, Part } from "./dom.js";
import { age } from "./format.js";
import { dropBlob, showBlob } from "./pictures.js";

/** Age from which a picture is told to be old when the camera gives no newer one. */
const OLD_MS = 5000;
/** The same while it has not been asked for one: with many or slow cameras its turn comes late. */
const TURN_MS = 60_000;
const STATES = { CONNECTED: "Connected", DISCONNECTED: "Disconnected", ERROR: "Problem" };

/** Return the marks of a camera in words: state, recording, and what is odd about its identity. */
export function marks(camera) {
  return [
    h("span", { class: `mark ${camera.status.toLowerCase()}` }, STATES[camera.status] ?? camera.status),
    camera.is_recording ? h("span", { class: "mark recording" }, "Recording") : null,
    camera.moved ? h("span", { class: "mark odd", title: "Recognized on another port than before" }, "Moved") : null,
    camera.ambiguous ? h("span", { class: "mark odd", title: "May be another camera of the same model" }, "Ambiguous") : null,
  ];
}

/** Return resolution and rate of a camera; empty while unknown. */
export function form(camera) {
  return [camera.resolution, camera.fps > 0 ? `${Math.round(camera.fps * 10) / 10} fps` : ""].filter(Boolean).join(", ");
}

/** All cameras as tiles, in the order of their ids. */
class CameraTiles extends Part {
  #tiles = new Map();
  #list = h("div", { class: "tiles", role: "list" });
  #none = h("p", { class: "muted" });

  render() {
    this.replaceChildren(this.#none, this.#list);
    this.listen(this.agent, "cameras", () => this.#update());
    this.#update();
  }

  #update() {
    const cameras = this.agent.ordered;
    this.#none.replaceChildren(cameras.length === 0 ? "There is no camera yet. Plug one in, or add a network stream." : "");
    for (const [device, tile] of this.#tiles) {
      if (this.agent.cameras.has(device)) continue;
      tile.remove();
      this.#tiles.delete(device);
    }
    cameras.forEach((camera, place) => {
      let tile = this.#tiles.get(camera.device);
      if (tile === undefined) {
        tile = h("camera-tile", { ".camera": camera, ".pictures": this.pictures, role: "listitem" });
        this.#tiles.set(camera.device, tile);
      }
      if (this.#list.children[place] !== tile) this.#list.insertBefore(tile, this.#list.children[place] ?? null);
      tile.camera = camera;
    });
  }
}

/** One camera: its newest picture, and its state in words. */
class CameraTile extends Part {
  #camera = null;
  #isSeen = false;
  #isFailing = false;
  #capturedAt = null;
  #image = h("img", { alt: "" });
  #name = h("span", { class: "name" });
  #marks = h("span", { class: "marks" });
  #form = h("span", { class: "muted" });
  #words = h("p", { class: "problem" });
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

  render() {
    this.replaceChildren(
      h(
        "a",
        { href: `#/camera/${encodeURIComponent(this.device)}` },
        h("span", { class: "picture" }, this.#image, this.#age),
        h("span", { class: "row" }, this.#name, this.#marks),
        this.#form,
      ),
      this.#words,
    );
    this.#update();
    this.#seen.observe(this);
    this.pictures.add(this);
    this.every(1000, () => this.#tellAge());
  }

  leave() {
    this.#seen.disconnect();
    this.pictures.remove(this);
    dropBlob(this.#image);
  }

  show(blob, headers) {
    const ageMs = Number(headers.get("x-age-ms") ?? 0);
    this.#isFailing = ageMs > OLD_MS;
    this.#capturedAt = performance.now() - ageMs;
    showBlob(this.#image, blob).catch(() => {});
    this.#image.alt = `Newest picture of ${this.#camera.name}`;
    if (this.#camera.status === "CONNECTED") this.#words.replaceChildren();
    this.#tellAge();
  }

  refuse(error) {
    this.#isFailing = true;
    const words = error.name === "TimeoutError" ? "the camera is too slow" : error.message;
    if (error.name !== "TypeError") this.#words.replaceChildren(`No new picture: ${words}`); // else the banner tells it
    this.#tellAge();
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
    this.#marks.replaceChildren(...marks(camera).filter(Boolean));
    this.#form.replaceChildren([camera.device, form(camera)].filter(Boolean).join(" · "));
    if (camera.status !== "CONNECTED") this.#words.replaceChildren(camera.problem ?? "");
  }
}

customElements.define("camera-tiles", CameraTiles);
customElements.define("camera-tile", CameraTile);
