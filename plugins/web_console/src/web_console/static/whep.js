/** Time for all of a browser's addresses to be known; on a local network they are there at once. */
const GATHER_MS = 1000;

/** Session of WebRTC with a camera's stream, by the agent's relay of WHEP. */
export class WhepView {
  #session;
  #device;
  /** Those at the start: the session may have ended when the view does. */
  #credentials;
  #peer = null;
  #resource = null;
  #end = new AbortController();

  constructor(session, device) {
    this.#session = session;
    this.#device = device;
    this.#credentials = session.credentials;
  }

  /** Show the stream in a video element of the page; returns once it has the first picture. */
  async open(video, signal) {
    const either = AbortSignal.any([signal, this.#end.signal]);
    either.throwIfAborted();
    const first = new Promise((resolve, reject) => {
      video.addEventListener("loadeddata", resolve, { once: true, signal: either });
      either.addEventListener("abort", () => reject(either.reason), { once: true });
    });
    first.catch(() => {});
    await this.#offer(video, either);
    await first;
  }

  async #offer(video, signal) {
    const peer = new RTCPeerConnection();
    this.#peer = peer;
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addEventListener("track", (event) => {
      if (signal.aborted) return;
      video.srcObject = event.streams[0] ?? new MediaStream([event.track]);
      video.play().catch(() => {}); // it may have been removed meanwhile
    });
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
    const path = `cameras/${encodeURIComponent(this.#device)}/whep`;
    const answer = await this.#session.fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: peer.localDescription.sdp,
      signal,
    });
    // The location is relative to the request.
    const location = answer.headers.get("location");
    this.#resource = location && new URL(location, this.#session.url(path)).href.slice(this.#session.url("").length);
    if (this.#end.signal.aborted) this.#release();
    else await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  }

  /**
   * Return `delayMs`, the delay in milliseconds that the network and the browser's buffer make, null while unknown, and
   * `frames`, the number of pictures so far.
   */
  async measure() {
    let delayMs = null;
    let frames = 0;
    for (const each of (await this.#peer.getStats()).values()) {
      if (each.type === "inbound-rtp") frames += each.framesDecoded ?? 0;
      if (each.type === "inbound-rtp" && each.jitterBufferEmittedCount > 0) {
        delayMs = (delayMs ?? 0) + (1000 * each.jitterBufferDelay) / each.jitterBufferEmittedCount;
      }
      if (each.type === "candidate-pair" && each.nominated && each.currentRoundTripTime !== undefined) {
        delayMs = (delayMs ?? 0) + 500 * each.currentRoundTripTime;
      }
    }
    return { delayMs, frames };
  }

  /** End the session; resolves once the media server has. */
  async close() {
    this.#end.abort();
    this.#peer?.close();
    await this.#release();
  }

  async #release() {
    const resource = this.#resource;
    this.#resource = null;
    const options = { method: "DELETE", keepalive: true, headers: this.#credentials };
    if (resource) await this.#session.fetch(resource, options).catch(() => {});
  }
}

function gathered(peer) {
  return new Promise((resolve) => {
    if (peer.iceGatheringState === "complete") resolve();
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
    setTimeout(resolve, GATHER_MS);
  });
}
