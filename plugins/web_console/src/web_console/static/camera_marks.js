import { h } from "./dom.js";

/** States of cameras in words. */
export const STATES = { CONNECTED: "Connected", DISCONNECTED: "Disconnected", ERROR: "Problem" };

/** Return the marks of a camera in words: state, recording, and what is odd about its identity. */
export function marks(camera) {
  return [
    h("span", { class: `mark ${camera.status.toLowerCase()}` }, STATES[camera.status] ?? camera.status),
    camera.is_recording ? h("span", { class: "mark recording" }, "Recording") : null,
    camera.moved ? h("span", { class: "mark odd", title: "Recognized on another port than before" }, "Moved") : null,
    camera.ambiguous ? h("span", { class: "mark odd", title: "May be another camera of the same model" }, "Ambiguous") : null,
  ];
}

/** Return resolution and rate of a camera; empty while unknown. */
export function form(camera) {
  return [camera.resolution.replace("x", "×"), camera.fps > 0 ? `${Math.round(camera.fps * 10) / 10} fps` : ""].filter(Boolean).join(", ");
}
