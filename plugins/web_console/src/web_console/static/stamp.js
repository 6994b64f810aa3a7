import { h } from "./dom.js";
import { day, moment, time } from "./format.js";

/** Return an element with a time of day; the exact moment is shown when the pointer rests on it. */
export function clock(iso) {
  return h("time", { datetime: iso, title: exact(iso) }, time(iso));
}

/** Return an element with day and time; "never" without a moment. */
export function date(iso) {
  return iso ? h("time", { datetime: iso, title: exact(iso) }, moment(iso)) : "never";
}

/** Return day, time with milliseconds, and the zone. */
function exact(iso) {
  const at = new Date(iso);
  const clock = at.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, timeZoneName: "short" });
  return `${day(iso)}, ${clock}`;
}
