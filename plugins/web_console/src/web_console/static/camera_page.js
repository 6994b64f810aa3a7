import "./camera_controls.js";
import "./camera_details.js";
import "./live_view.js";
import "./recording_state.js";
import { form, marks } from "./camera_marks.js";
import { button, h, words } from "./dom.js";
import { age, size } from "./format.js";
import { Part } from "./part.js";

/** One camera: live view, snapshot, recording, controls, what it can do, and its addresses. */
class CameraPage extends Part {
  #head = h("h1", { class: "row" });
  #facts = h("p", { class: "muted" });
  #problem = h("p", { class: "problem", role: "alert" });
  #actions = h("div", { class: "row" });
  #done = h("div", { role: "status" });
  #length = h("input", { type: "number", min: "1", max: "86400", step: "1", class: "short", placeholder: "no limit" });
  #wasRecording = null;

  get #camera() {
    return this.agent.cameras.get(this.device);
  }

  render() {
    this.listen(this.agent, "cameras", () => this.#update());
    this.listen(this.agent, "ready", () => this.#update());
    if (this.#camera === undefined) {
      this.replaceChildren(h("h1", {}, this.device), h("p", { class: "problem" }, "There is no such camera. It may have been removed; if the agent has just started, it appears here by itself."), h("p", {}, h("a", { href: "#/cameras", class: "back" }, "← All cameras")));
    }
    this.#update();
  }

  #build() {
    const common = { ".agent": this.agent, ".session": this.session, ".device": this.device };
    this.replaceChildren(
      h(
        "p",
        { class: "row" },
        h("a", { href: "#/cameras", class: "back" }, "← All cameras"),
        h("a", { href: `#/recordings/${this.device}`, class: "back" }, "Its recordings"),
        h("a", { href: `#/snapshots/${this.device}`, class: "back" }, "Its snapshots"),
      ),
      this.#head,
      this.#facts,
      this.#problem,
      h("live-view", { ...common, ".name": this.#camera.name }),
      this.#actions,
      h("recording-state", common),
      this.#done,
      h("camera-controls", common),
      h("camera-details", { ...common, class: "more" }),
    );
  }

  #update() {
    const camera = this.#camera;
    if (camera === undefined) return this.#problem.replaceChildren("This camera was removed.");
    if (!this.#problem.isConnected) this.#build();
    this.dataset.status = camera.status;
    this.#head.replaceChildren(h("bdi", {}, camera.name), ...marks(camera).filter(Boolean));
    const odd = [camera.moved ? "recognized on another port than before" : "", camera.ambiguous ? "may be another camera of the same model" : ""];
    this.#facts.replaceChildren([camera.device, form(camera), ...odd].filter(Boolean).join(" · "));
    if (this.#problem.textContent !== (camera.problem ?? "")) this.#problem.replaceChildren(camera.problem ?? "");
    if (this.#wasRecording === camera.is_recording) return undefined;
    this.#wasRecording = camera.is_recording;
    return this.#showActions(camera);
  }

  /** Offer what the user may do; a button that is pressed at the moment is made anew when the state changes. */
  #showActions(camera) {
    if (!this.agent.may("operator")) return;
    const hadFocus = this.#actions.contains(document.activeElement);
    const record = camera.is_recording
      ? button("Stop recording", () => this.#try(() => this.agent.call("stop_recording", { device: this.device })))
      : button("Record", () => this.#try(() => this.#startRecording()), { class: "records" });
    const length = camera.is_recording ? "" : h("label", { class: "row" }, "Seconds to record", this.#length);
    this.#actions.replaceChildren(button("Take snapshot", () => this.#try(() => this.#takeSnapshot())), record, length);
    if (hadFocus) record.focus();
  }

  async #try(act) {
    try {
      await act();
    } catch (error) {
      this.#done.replaceChildren(h("p", { class: "problem" }, words(error)));
    }
  }

  async #startRecording() {
    const seconds = Number(this.#length.value);
    const started = await this.agent.call("start_recording", { device: this.device, ...(seconds > 0 ? { duration: Math.round(seconds) } : {}) });
    this.#done.replaceChildren(...(started.notes ?? []).map((each) => h("p", {}, each)));
  }

  async #takeSnapshot() {
    const taken = await this.agent.call("take_snapshot", { device: this.device, max_age_ms: 0 });
    const link = taken.download_url ? h("a", { href: this.session.url(taken.download_url), download: "", class: "button" }, "Download") : null;
    const thumbnail = taken.download_url ? h("img", { src: this.session.url(taken.download_url), alt: "The snapshot", class: "taken" }) : null;
    const tier = `Snapshot by tier ${taken.tier_used} (${taken.tier_name}), ${age(taken.age_ms)} old, ${taken.resolution.replace("x", "×")}, ${size(taken.file_size)}.`;
    const unsettled = taken.settled === false ? " The camera had just started and was still adjusting its exposure." : "";
    this.#done.replaceChildren(h("p", {}, tier + unsettled, " ", link), thumbnail ?? "");
  }
}

customElements.define("camera-page", CameraPage);
