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
  return [camera.resolution.replace("x", "×"), camera.fps > 0 ? `${Math.round(camera.fps * 10) / 10} fps` : ""].filter(Boolean).join(", ");
}

/** Return how many cameras there are, and how many of them are in a state that a person should know. */
function summary(cameras) {
  const count = (is) => cameras.filter(is).length;
  const told = [
    [count((each) => each.status === "DISCONNECTED"), "disconnected"],
    [count((each) => each.status === "ERROR"), "with a problem"],
    [count((each) => each.is_recording), "recording"],
  ];
  const all = `${cameras.length} ${cameras.length === 1 ? "camera" : "cameras"}`;
  return [all, ...told.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`)].join(", ");
}

/** All cameras as tiles, in the order of their ids. */
class CameraTiles extends Part {
  #tiles = new Map();
  #list = h("div", { class: "tiles", role: "list" });
  #summary = h("p", { class: "muted", role: "status" });
  #none = h("div", {});

  render() {
    this.replaceChildren(this.#summary, this.#none, this.#list);
    this.listen(this.agent, "cameras", () => this.#update());
    this.#update();
  }

  /** Tell what a user of this role can do where there is no camera. */
  #nextStep() {
    const canAdd = this.agent.has("external_discovery") && this.agent.may("operator");
    return h(
      "div",
      { class: "empty" },
      h("p", {}, "There is no camera yet."),
      h("p", {}, "Plug a camera into the agent's computer: it appears here by itself."),
      canAdd ? h("p", {}, "Cameras in the network are added under ", h("a", { href: "#/external" }, "Network streams"), ".") : null,
      h("p", {}, "If a camera that is plugged in does not appear, ", h("a", { href: "#/health" }, "Health"), " shows whether a plugin for it is loaded."),
    );
  }

  #update() {
    const cameras = this.agent.ordered;
    const told = cameras.length === 0 ? "" : summary(cameras);
    if (this.#summary.textContent !== told) this.#summary.replaceChildren(told);
    if (cameras.length > 0) this.#none.replaceChildren();
    else if (this.#none.childElementCount === 0) this.#none.append(this.#nextStep());
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
  #reason = "";
  #capturedAt = null;
  #image = h("img", { alt: "" });
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

  render() {
    this.replaceChildren(
      h(
        "a",
        { href: `#/camera/${encodeURIComponent(this.device)}` },
        h("span", { class: "picture" }, this.#image, this.#words, this.#age),
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
    dropBlob(this.#image);
  }

  show(blob, headers) {
    const ageMs = Number(headers.get("x-age-ms") ?? 0);
    this.#isFailing = ageMs > OLD_MS;
    this.#reason = "";
    this.#capturedAt = performance.now() - ageMs;
    showBlob(this.#image, blob).catch(() => {});
    this.#image.alt = `Newest picture of ${this.#camera.name}`;
    this.#tell();
    this.#tellAge();
  }

  refuse(error) {
    this.#isFailing = true;
    const words = error.name === "TimeoutError" ? "the camera is too slow." : error.message;
    if (error.name !== "TypeError") this.#reason = `No new picture: ${words}`; // else the banner tells it
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

customElements.define("camera-tiles", CameraTiles);
customElements.define("camera-tile", CameraTile);
