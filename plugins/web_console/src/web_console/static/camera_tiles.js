import "./camera_tile.js";
import { h } from "./dom.js";
import { Part } from "./part.js";

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
        tile = h("camera-tile", { ".agent": this.agent, ".camera": camera, ".pictures": this.pictures, role: "listitem" });
        this.#tiles.set(camera.device, tile);
      }
      if (this.#list.children[place] !== tile) this.#list.insertBefore(tile, this.#list.children[place] ?? null);
      tile.camera = camera;
    });
  }
}

customElements.define("camera-tiles", CameraTiles);
