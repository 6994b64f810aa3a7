import { fixedAddresses, streamAddresses } from "./addresses.js";
import { facts, h, table, words } from "./dom.js";
import { Part } from "./part.js";

/** What a camera can do, and its addresses. Both are renewed when the camera's or the media server's state changes. */
class CameraDetails extends Part {
  #able = h("div", {});
  #streams = h("div", {});
  /** State of the camera and of its streams for which each is shown. */
  #ableFor = "";
  #streamsFor = "";
  /** Number of the newest question: the answer of an earlier one comes too late. */
  #asked = 0;

  render() {
    this.replaceChildren(
      h("details", {}, h("summary", {}, "Capabilities"), this.#able),
      h("details", {}, h("summary", {}, "Addresses"), this.#streams, ...fixedAddresses(this.agent, this.session, this.device)),
    );
    this.listen(this.agent, "cameras", () => this.#update());
    this.listen(this.agent, "ready", () => {
      this.#ableFor = "";
      this.#update();
    });
    this.#update();
  }

  #update() {
    const camera = this.agent.cameras.get(this.device);
    if (camera === undefined) return;
    const streams = JSON.stringify([camera.served, camera.streams]);
    if (streams !== this.#streamsFor) this.#streams.replaceChildren(...streamAddresses(camera));
    this.#streamsFor = streams;
    const able = JSON.stringify([camera.status, camera.resolution, camera.served]);
    if (able !== this.#ableFor) this.#ask();
    this.#ableFor = able;
  }

  async #ask() {
    this.#asked += 1;
    const asked = this.#asked;
    let shown = [];
    try {
      shown = abilities(await this.agent.call("get_camera_capabilities", { device: this.device }));
    } catch (error) {
      shown = [h("p", { class: "problem" }, words(error))];
    }
    if (asked === this.#asked) this.#able.replaceChildren(...shown);
  }
}

function abilities(known) {
  const modes = known.modes.map((each) => [each.format, `${each.width}×${each.height}`, each.fps.join(", ")]);
  return [
    facts([
      ["Formats", known.formats.join(", ")],
      ["Codecs of the stream", (known.tracks ?? []).join(", ")],
    ]),
    modes.length > 0 ? table("Modes", ["Format", "Size", "Frames per second"], modes) : h("p", { class: "muted" }, "No modes are known."),
  ];
}

customElements.define("camera-details", CameraDetails);
