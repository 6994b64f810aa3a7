import { BlobImage } from "./blob_image.js";
import { button, h } from "./dom.js";
import { age } from "./format.js";
import { parts } from "./mjpeg.js";
import { Part } from "./part.js";
import { pause, shown } from "./waiting.js";
import { WhepView } from "./whep.js";

/** Longest wait for the first picture of WebRTC. */
const WEBRTC_MS = 3000;
/** Pause before a live view is tried again. */
const AGAIN_MS = 2000;
const MEASURE_MS = 1000;
/** Time without a picture after which the view says so; the slowest cameras send one in five seconds. */
const FROZEN_MS = 6000;
/** Time without a picture after which it is asked for anew: the connection may be dead without an end. */
const DEAD_MS = 20_000;

/** Live view of one camera: WebRTC where the media server serves it, or else MJPEG. It pauses while the page is hidden. */
class LiveView extends Part {
  #image = new BlobImage();
  #video = h("video", { ".muted": true, ".autoplay": true, ".playsInline": true });
  #over = h("span", { class: "over" });
  #stage = h("div", { class: "stage" }, this.#over);
  #words = h("p", { class: "muted" });
  #whyNot = "";
  /** When the newest picture was shown, or waiting for the first one of MJPEG began; null while WebRTC begins. */
  #shownAt = null;
  #begunAt = 0;
  #stop = null;

  render() {
    this.#video.setAttribute("aria-label", `Live view of ${this.name}`);
    this.#image.element.alt = `Live view of ${this.name}`;
    const full = document.fullscreenEnabled ? button("Full screen", () => this.#stage.requestFullscreen().catch(() => {})) : "";
    this.replaceChildren(this.#stage, h("div", { class: "below" }, this.#words, full));
    this.listen(document, "visibilitychange", () => this.#stop?.abort());
    this.listen(this.agent, "cameras", () => this.#tellCamera());
    this.every(MEASURE_MS, () => this.#tellFrozen());
    this.#run();
  }

  /** A picture that no longer changes must not look live. */
  #tellFrozen() {
    const now = performance.now();
    const ageMs = this.#shownAt === null ? 0 : now - this.#shownAt;
    this.toggleAttribute("frozen", ageMs > FROZEN_MS);
    if (ageMs <= FROZEN_MS || this.#camera?.status === "DISCONNECTED") return;
    this.#tell(`The camera has sent no picture for ${age(ageMs)}.`, "No picture");
    if (now - Math.max(this.#begunAt, this.#shownAt) > DEAD_MS) this.#stop?.abort();
  }

  leave() {
    this.#stop?.abort();
    this.#image.drop();
  }

  get #camera() {
    return this.agent.cameras.get(this.device);
  }

  #tellCamera() {
    if (this.#camera?.status === "DISCONNECTED") this.#stop?.abort();
  }

  async #run() {
    const { signal } = this;
    while (!signal.aborted) {
      if (document.visibilityState !== "visible") {
        this.#shownAt = null;
        this.#tell("Paused while this page is hidden.");
        await shown(signal);
      } else if (this.#camera?.status === "DISCONNECTED") {
        this.#shownAt = null;
        this.#tell("The camera is disconnected. The live view goes on by itself when it is back.", "Disconnected");
        await pause(AGAIN_MS, signal);
      } else {
        await this.#attempt(signal);
        await pause(AGAIN_MS, signal);
      }
    }
  }

  async #attempt(signal) {
    this.#stop = new AbortController();
    const either = AbortSignal.any([signal, this.#stop.signal]);
    this.#begunAt = performance.now();
    if (!this.#over.textContent.startsWith("No ")) this.#tell("", "Waiting for the first picture …");
    try {
      await this.#show(either);
    } catch (error) {
      const words = error.name === "TypeError" ? "The agent does not answer." : error.message;
      if (!either.aborted) this.#tell(`No live view: ${words} It is tried again.`, "No live view");
    } finally {
      this.#stop.abort();
    }
  }

  async #show(signal) {
    if (!(this.#camera?.served ?? []).includes("webrtc")) {
      this.#whyNot = "the media server does not serve WebRTC";
    } else if (typeof RTCPeerConnection === "undefined") {
      this.#whyNot = "this browser has no WebRTC";
    } else if (await this.#byWebRtc(signal)) return;
    if (!signal.aborted) await this.#byMjpeg(signal);
  }

  /** Show WebRTC until it ends; return false, with the reason in `#whyNot`, if there was no picture in time. */
  async #byWebRtc(signal) {
    this.#shownAt = null;
    const view = new WhepView(this.session, this.device);
    const video = this.#video;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(WEBRTC_MS)]);
      const first = new Promise((resolve, reject) => {
        video.addEventListener("loadeddata", resolve, { once: true, signal: limit });
        limit.addEventListener("abort", () => reject(new Error("no picture by WebRTC within 3 s")));
      });
      first.catch(() => {});
      await view.open(video, limit);
      await first;
      this.#stage.replaceChildren(video, this.#over);
      await this.#follow(view, signal);
      return true;
    } catch (error) {
      this.#whyNot = error.name === "TimeoutError" ? "no picture by WebRTC within 3 s" : clause(error.message);
      return false;
    } finally {
      view.close();
      video.srcObject = null;
    }
  }

  /** Tell the delay of WebRTC until pictures no longer come. The video's own time goes on without them. */
  async #follow(view, signal) {
    let shown = -1;
    while (!signal.aborted) {
      const { delayMs, frames } = await view.measure();
      const now = performance.now();
      if (frames !== shown) this.#shownAt = now;
      else if (now - this.#shownAt > FROZEN_MS) return;
      shown = frames;
      this.#tell(`Live by WebRTC${delayMs === null ? "" : `, ${age(delayMs)} in the network and the browser`}.`);
      await pause(MEASURE_MS, signal);
    }
  }

  /** Show MJPEG until it ends. Pictures that come while one is decoded are left out, so that the newest one is shown. */
  async #byMjpeg(signal) {
    const answer = await this.session.fetch(`cameras/${encodeURIComponent(this.device)}/live.mjpeg`, { signal });
    this.#stage.replaceChildren(this.#image.element, this.#over);
    this.#shownAt ??= performance.now();
    let isBusy = false;
    let toldAt = 0;
    let count = 0;
    /** Number and time of the picture that the last rate ends with. By their own times pictures that wait are no rush. */
    let last = null;
    for await (const { headers, body } of parts(answer.body.getReader())) {
      count += 1;
      if (isBusy) continue;
      isBusy = true;
      const picture = { number: count, taken: Number(headers.get("x-timestamp")) * 1000 };
      this.#image
        .show(new Blob([body], { type: headers.get("content-type") }))
        .then(() => {
          const now = performance.now();
          this.#shownAt = now;
          if (now - toldAt < MEASURE_MS) return;
          const delayMs = Math.max(0, Date.now() + this.agent.clockOffsetMs - picture.taken);
          this.#tell(`Live by MJPEG, because ${this.#whyNot}; ${age(delayMs)} behind the camera${rate(last, picture)}.`);
          toldAt = now;
          last = picture;
        })
        .catch(() => {})
        .finally(() => (isBusy = false));
    }
    throw new Error("The agent has ended it.");
  }

  /** Tell below the picture how live it is, and over the picture, briefly, that there is none. */
  #tell(text, over = "") {
    if (this.#words.textContent !== text) this.#words.replaceChildren(text);
    if (this.#over.textContent !== over) this.#over.replaceChildren(over);
  }
}

/** Return the rate between two pictures in words; none without two times, or if the camera's clock was set back. */
function rate(one, other) {
  const passedMs = one === null ? 0 : other.taken - one.taken;
  return passedMs > 0 ? `, ${Math.round((10_000 * (other.number - one.number)) / passedMs) / 10} pictures per second` : "";
}

/** Return a sentence as the clause that follows "because". */
function clause(sentence) {
  const text = sentence.replace(/\.$/, "");
  return /^[A-Z][a-z]* /.test(text) ? text[0].toLowerCase() + text.slice(1) : text;
}

customElements.define("live-view", LiveView);
