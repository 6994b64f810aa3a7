import { button, h, words } from "./dom.js";

/** Return a labelled address with a button that copies it. Without the clipboard API (plain HTTP) the text is selected. */
export function copyable(label, address) {
  const field = h("input", { readonly: true, ".value": address, "aria-label": label });
  const told = h("span", { role: "status", class: "muted" });
  const copy = button("Copy", async () => {
    field.select();
    told.replaceChildren((await copied(address)) ? "Copied." : "Selected: copy it with Ctrl+C.");
  }, { "aria-label": `Copy: ${label}` });
  return h("div", { class: "address" }, h("span", {}, label), field, copy, told);
}

async function copied(text) {
  try {
    if (navigator.clipboard !== undefined) {
      await navigator.clipboard.writeText(text);
      return true;
    }
    return document.execCommand("copy");
  } catch {
    return false;
  }
}

/** Return the addresses of a camera's streams that are served. */
export function streamAddresses(camera) {
  const streams = ["rtsp", "hls", "webrtc"].filter((each) => camera.served.includes(each) && camera.streams[each]);
  if (streams.length === 0) return [h("p", { class: "muted" }, "The media server serves no stream of this camera.")];
  return streams.map((each) => copyable(`Stream by ${each === "webrtc" ? "WebRTC" : each.toUpperCase()}`, camera.streams[each]));
}

/** Return the addresses of a camera's views over HTTP, and a button for view links where the user may make them. */
export function fixedAddresses(agent, session, device) {
  return [
    copyable("Picture (needs credentials)", session.url(`cameras/${device}/snapshot.jpg`)),
    copyable("Live view as MJPEG (needs credentials)", session.url(`cameras/${device}/live.mjpeg`)),
    agent.may("operator") ? viewLink(agent, session, device) : "",
  ];
}

/** Return a button that makes a view link, and where the link appears, once. */
function viewLink(agent, session, device) {
  const made = h("div", { role: "status" });
  const make = button("Make a view link", async () => {
    try {
      const link = await agent.call("create_view_link", { device });
      made.replaceChildren(
        h("p", {}, `Everyone with this link can see the camera until ${new Date(link.expires_at).toLocaleString()}. It is shown only now.`),
        copyable("View link: live", session.url(link.url)),
        copyable("View link: picture", session.url(link.snapshot_url)),
      );
    } catch (error) {
      made.replaceChildren(h("p", { class: "problem" }, words(error)));
    }
  });
  return h("div", {}, h("p", { class: "muted" }, "A view link shows this camera to pages of other origins, without credentials."), make, made);
}
