import { BlobImage } from "./blob_image.js";
import { button, h } from "./dom.js";
import { age, clause, rate } from "./format.js";
import { Part } from "./part.js";
import { openMjpeg, stills } from "./picture_source.js";
import { Unreached } from "./unreached.js";
import { pause, shown } from "./waiting.js";
import { WhepView } from "./whep.js";

/** Longest wait for the first picture of WebRTC before MJPEG is shown. */
const WEBRTC_MS = 3000;
/** Longest wait for it while MJPEG is shown: the media server may have to start the stream first. */
const LATE_MS = 15_000;
/** Pause before a live view is tried again. */
const AGAIN_MS = 2000;
const MEASURE_MS = 1000;
/** Time without a picture after which the view says so; the slowest cameras send one in five seconds. */
const FROZEN_MS = 6000;
/** Time without a picture after which it is asked for anew: the connection may be dead without an end. */
const DEAD_MS = 25_000;
/** Longest wait for the agent to show that it answers. */
const PING_MS = 5000;
const NOT_SERVED = "the media server does not serve WebRTC";

/** Live view of one camera: WebRTC where the media server serves it, or else MJPEG. It pauses while the page is hidden. */
class LiveView extends Part {
  #image = new BlobImage();
  #video = h("video", { ".muted": true, muted: true, autoplay: true, playsinline: true });
  #over = h("span", { class: "over" });
  #stage = h("div", { class: "stage" }, this.#over);
  #words = h("p", { class: "muted" });
  /** Why WebRTC is not shown. */
  #whyNot = "";
  /** Why the last attempt failed; it is told until the next picture. */
  #failure = "";
  /** When the newest picture was shown, or waiting for the first one of MJPEG began; null before. */
  #shownAt = null;
  #begunAt = 0;
  #isOpen = false;
  #hadPicture = false;
  #stop = null;

  render() {
    this.#video.setAttribute("aria-label", `Live view of ${this.name}`);
    this.#image.element.alt = `Live view of ${this.name}`;
    const full = document.fullscreenEnabled ? button("Full screen", () => this.#stage.requestFullscreen().catch(() => {})) : "";
    this.replaceChildren(this.#stage, h("div", { class: "below" }, this.#words, full));
    this.listen(document, "visibilitychange", () => this.#stop?.abort());
    this.listen(this.agent, "cameras", () => this.#heedCamera());
    this.every(MEASURE_MS, () => this.#tellFrozen());
    this.#run();
  }

  /** A picture that no longer changes must not look live. While no view is open, the reason for that is told instead. */
  #tellFrozen() {
    const now = performance.now();
    const ageMs = this.#shownAt === null ? 0 : now - this.#shownAt;
    this.toggleAttribute("frozen", ageMs > FROZEN_MS);
    const isTrying = this.#stop !== null && !this.#stop.signal.aborted;
    if (isTrying && now - Math.max(this.#begunAt, this.#shownAt ?? 0) > DEAD_MS) {
      if (this.#failure === "") this.#fail(`There was no picture for ${DEAD_MS / 1000} s.`);
      this.#stop.abort();
    } else if (this.#isOpen && this.#failure === "" && ageMs > FROZEN_MS) {
      this.#tell(`The camera has sent no picture for ${age(ageMs)}.`, "No picture");
    }
  }

  leave() {
    this.#stop?.abort();
    this.#image.drop();
  }

  get #camera() {
    return this.agent.cameras.get(this.device);
  }

  get #isServed() {
    return (this.#camera?.served ?? []).includes("webrtc");
  }

  /** End an attempt that the camera's state makes useless, or that WebRTC can replace now. */
  #heedCamera() {
    if (this.#camera?.status === "DISCONNECTED" || (this.#whyNot === NOT_SERVED && this.#isServed)) this.#stop?.abort();
  }

  async #run() {
    const { signal } = this;
    while (!signal.aborted) {
      if (document.visibilityState !== "visible") {
        this.#rest("Paused while this page is hidden.");
        await shown(signal);
      } else if (this.#camera?.status === "DISCONNECTED") {
        this.#rest("The camera is disconnected. The live view goes on by itself when it is back.", "Disconnected");
        await pause(AGAIN_MS, signal);
      } else {
        await this.#attempt(signal);
        await pause(AGAIN_MS, signal);
      }
    }
  }

  /** Tell why there is no live view, where that is no failure. */
  #rest(text, over = "") {
    this.#shownAt = null;
    this.#failure = "";
    this.#tell(text, over);
  }

  #fail(why) {
    this.#failure = /[.!?]$/.test(why) ? why : `${why}.`;
    this.#tell(`No live view: ${this.#failure} It is tried again.`, "No live view");
  }

  async #attempt(signal) {
    this.#stop = new AbortController();
    const either = AbortSignal.any([signal, this.#stop.signal]);
    this.#begunAt = performance.now();
    this.#hadPicture = false;
    this.#whyNot = "";
    if (this.#failure === "") this.#tell("", "Waiting for the first picture …");
    try {
      await this.#show(either);
    } catch (error) {
      if (!either.aborted) this.#fail(error.message);
    } finally {
      this.#isOpen = false;
      this.#stop.abort();
    }
  }

  async #show(signal) {
    if (!this.#isServed) this.#whyNot = NOT_SERVED;
    else if (typeof RTCPeerConnection === "undefined") this.#whyNot = "this browser has no WebRTC";
    else return this.#byWebRtc(signal);
    return this.#byMjpeg(signal);
  }

  /** Show WebRTC until it ends; if it has no picture in time, MJPEG until it has. */
  async #byWebRtc(signal) {
    const view = new WhepView(this.session, this.device);
    const end = () => (this.#video.remove(), view.close());
    this.#video.className = "waits";
    this.#stage.prepend(this.#video); // Safari loads no video outside of the page
    try {
      const opened = view.open(this.#video, AbortSignal.any([signal, AbortSignal.timeout(LATE_MS)]));
      const refusal = opened.then(() => "", (error) => clause(error.message));
      this.#whyNot = await Promise.race([refusal, pause(WEBRTC_MS, signal).then(() => "no picture by WebRTC within 3 s")]);
      const isHere = this.#whyNot === "" || (!signal.aborted && (await this.#meanwhile(opened, end, signal)));
      if (isHere && !signal.aborted) await this.#follow(view, signal);
    } finally {
      end();
    }
  }

  /** Show MJPEG while WebRTC is `opened`; return true once it is. It is ended if there is no place for both. */
  async #meanwhile(opened, end, signal) {
    const here = new AbortController();
    opened.then(() => here.abort(), end);
    try {
      await this.#byMjpeg(AbortSignal.any([signal, here.signal]));
    } catch (error) {
      if (!here.signal.aborted && error.reason !== "too_many_views") throw error;
      if (!here.signal.aborted) {
        await end();
        await this.#byMjpeg(signal);
      }
    }
    return here.signal.aborted;
  }

  /** Show WebRTC, and tell its delay until pictures no longer come. The video's own time goes on without them. */
  async #follow(view, signal) {
    let shown = -1;
    this.#video.className = "";
    this.#image.element.remove();
    this.#isOpen = true;
    while (!signal.aborted) {
      const { delayMs, frames } = await view.measure();
      if (frames !== shown) this.#pictured();
      else if (performance.now() - this.#shownAt > FROZEN_MS) return;
      shown = frames;
      const delay = delayMs === null ? "" : `, ${age(delayMs)} in the network and the browser's buffer, to which camera and media server add theirs`;
      this.#tell(`Live by WebRTC${delay}.`);
      await pause(MEASURE_MS, signal);
    }
  }

  /** Show MJPEG until it ends; single pictures where the browser gets no answer although there is an agent. */
  async #byMjpeg(signal) {
    this.#begunAt = performance.now();
    try {
      await this.#showPictures(await openMjpeg(this.session, this.device, signal), `Live by MJPEG, because ${this.#whyNot}`);
    } catch (error) {
      if (!(error instanceof Unreached) || this.#hadPicture || signal.aborted || !(await this.#isAnswering(signal))) throw error;
      const why = `this browser or a proxy did not let MJPEG through (${error.cause.message})`;
      await this.#showPictures(stills(this.session, this.device, signal), `Single pictures one after the other, because ${why}`);
      return;
    }
    if (!signal.aborted) throw new Error("The agent has ended it.");
  }

  async #isAnswering(signal) {
    if (this.agent.connection !== "connected") return false;
    const answered = this.agent.call("ping", {}, { timeoutMs: PING_MS, signal });
    return answered.then(() => true, () => false);
  }

  /** Show pictures until there are no more. Those that come while one is decoded are left out, so that the newest one is shown. */
  async #showPictures(pictures, how) {
    this.#stage.insertBefore(this.#image.element, this.#over);
    this.#isOpen = true;
    this.#shownAt ??= performance.now();
    let isBusy = false;
    let toldAt = 0;
    let count = 0;
    /** Number and time of the picture that the last rate ends with. By their own times pictures that wait are no rush. */
    let last = null;
    for await (const { blob, takenMs } of pictures) {
      count += 1;
      if (isBusy) continue;
      isBusy = true;
      const picture = { count, takenMs };
      const tell = () => {
        if (!this.#image.element.isConnected) return; // WebRTC is shown meanwhile
        this.#pictured();
        if (performance.now() - toldAt < MEASURE_MS) return;
        this.#tell(`${how}; ${this.agent.clock.since(takenMs)} behind the camera${last === null ? "" : rate(picture.count - last.count, takenMs - last.takenMs)}.`);
        toldAt = performance.now();
        last = picture;
      };
      this.#image.show(blob).then(tell).catch(() => {}).finally(() => (isBusy = false));
    }
  }

  #pictured() {
    this.#shownAt = performance.now();
    this.#hadPicture = true;
    this.#failure = "";
  }

  /** Tell below the picture how live it is, and over the picture, briefly, that there is none. */
  #tell(text, over = "") {
    if (this.#words.textContent !== text) this.#words.replaceChildren(text);
    if (this.#over.textContent !== over) this.#over.replaceChildren(over);
  }
}

customElements.define("live-view", LiveView);
