import { h } from "./dom.js";
import { duration, size } from "./format.js";
import { Part } from "./part.js";
import { clock } from "./stamp.js";

/** The recording of a camera that goes on: its length and the bytes on disk. */
class RecordingState extends Part {
  #words = h("p", { class: "recording-state" });
  #filename = null;

  render() {
    this.replaceChildren(this.#words);
    this.listen(this.agent, "recording", ({ detail }) => {
      if (detail.device !== this.device) return;
      this.#filename = detail.status === "STOPPED" ? null : (detail.filename ?? null);
      if (detail.reason) this.#words.replaceChildren(`Recording: ${detail.reason}`);
      else if (detail.status === "STOPPED") this.#words.replaceChildren();
    });
    this.every(1000, () => this.#look());
  }

  get #isRecording() {
    return this.agent.cameras.get(this.device)?.is_recording ?? false;
  }

  async #look() {
    if (!this.#isRecording || this.agent.connection !== "connected") {
      if (this.#words.dataset.since) this.#tell("");
      return;
    }
    this.#filename ??= (await this.agent.call("list_recordings", { device: this.device, limit: 1 })).files[0]?.filename ?? null;
    if (this.#filename === null) return;
    const known = await this.agent.call("get_recording_info", { filename: this.#filename });
    if (!this.#isRecording) return; // it ended meanwhile
    const since = (Date.now() + this.agent.clockOffsetMs - Date.parse(known.created_time)) / 1000;
    this.#tell(known.created_time, "Recording since ", clock(known.created_time), `: ${duration(since)}, ${size(known.file_size)} on disk.`);
  }

  #tell(since, ...words) {
    this.#words.dataset.since = since;
    this.#words.replaceChildren(...words);
  }
}

customElements.define("recording-state", RecordingState);
