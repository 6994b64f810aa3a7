/** Time for all of a browser's addresses to be known; on a local network they are there at once. */
const GATHER_MS = 1000;

/** Session of WebRTC with a camera's stream, by the agent's relay of WHEP. */
export class WhepView {
  #session;
  #device;
  #peer = null;
  #resource = null;

  constructor(session, device) {
    this.#session = session;
    this.#device = device;
  }

  /** Show the stream in a video element; returns once the media server has answered. */
  async open(video, signal) {
    const peer = new RTCPeerConnection();
    this.#peer = peer;
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addEventListener("track", (event) => {
      video.srcObject = event.streams[0] ?? new MediaStream([event.track]);
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
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
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

  close() {
    this.#peer?.close();
    if (this.#resource) this.#session.fetch(this.#resource, { method: "DELETE", keepalive: true }).catch(() => {});
    this.#resource = null;
  }
}

function gathered(peer) {
  return new Promise((resolve) => {
    if (peer.iceGatheringState === "complete") resolve();
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
    setTimeout(resolve, GATHER_MS);
  });
}
