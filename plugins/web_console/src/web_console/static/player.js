import { button, h } from "./dom.js";
import { size } from "./format.js";
import { date } from "./stamp.js";

/**
 * Show a recording or a snapshot in a dialog in `place`. Escape closes it, and focus returns to where it was. `kind` is
 * "recordings" or "snapshots".
 */
export function play(place, kind, file, { url, name }) {
  const before = document.activeElement;
  const problem = h("p", { class: "problem", role: "alert" });
  const media = kind === "snapshots" ? picture(file, url, problem) : video(file, url, problem);
  const dialog = h(
    "dialog",
    { class: "player", "aria-label": `${kind === "snapshots" ? "Snapshot" : "Recording"} of ${name}` },
    h("figure", {}, media, h("figcaption", {}, h("b", {}, h("bdi", {}, name)), " · ", date(file.modified_time), ` · ${size(file.file_size)} · `, h("span", { class: "filename" }, file.filename))),
    problem,
    h("div", { class: "row" }, button("Close", () => dialog.close(), { autofocus: true }), h("a", { href: url, download: "", class: "button" }, "Download")),
  );
  dialog.addEventListener("close", () => {
    media.removeAttribute("src"); // ends the download
    media.load?.();
    dialog.remove();
    before?.focus();
  });
  place.append(dialog);
  dialog.showModal();
}

function picture(file, url, problem) {
  const image = h("img", { src: url, alt: `Snapshot ${file.filename}` });
  image.addEventListener("error", () => image.hasAttribute("src") && problem.replaceChildren("The picture cannot be shown: it may have been deleted. Refresh the list."));
  return image;
}

function video(file, url, problem) {
  const made = h("video", { src: url, controls: true, autoplay: true, ".muted": true, "aria-label": `Recording ${file.filename}` });
  made.addEventListener("error", () => {
    if (!made.hasAttribute("src")) return;
    const why = file.format === "mpegts" ? "Browsers play no MPEG-TS" : "This browser cannot play it: the codec may be H.265, or segments differ";
    problem.replaceChildren(`${why}. Download it, and play it with another program.`);
  });
  return made;
}
