const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Return a size as people read it, such as 1.5 MB. */
export function size(bytes) {
  if (typeof bytes !== "number") return "";
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Return a duration in seconds as h:mm:ss or m:ss. */
export function duration(seconds) {
  if (typeof seconds !== "number") return "";
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (each) => String(each).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Return an age in milliseconds in words. */
export function age(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return duration(ms / 1000);
}

/** Return a time of day in the browser's zone and language. */
export function time(iso) {
  return new Date(iso).toLocaleTimeString();
}

/** Return a day in the browser's zone and language. */
export function day(iso) {
  return new Date(iso).toLocaleDateString(undefined, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
}

/** Return a day in words, after "Today" or "Yesterday" if it is one of them. */
export function nearDay(iso) {
  const midnight = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate());
  const ago = Math.round((midnight(new Date()) - midnight(new Date(iso))) / 86_400_000);
  return [["Today", "Yesterday"][ago], day(iso)].filter(Boolean).join(", ");
}

/** Return a number of hours in the two largest units that people count in. */
export function hours(value) {
  const minutes = Math.round(value * 60);
  if (minutes < 60) return `${minutes} min`;
  if (value < 48) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(value / 24)} days ${Math.floor(value % 24)} h`;
}

/** Return day and time. */
export function moment(iso) {
  return iso ? new Date(iso).toLocaleString() : "never";
}

/** Return a number of milliseconds of a measurement; a dash without one. */
export function millis(value) {
  return typeof value === "number" ? `${Math.round(value)} ms` : "–";
}

/** Return the rate of pictures in words; empty without a time, or if the camera's clock was set back. */
export function rate(count, passedMs) {
  return passedMs > 0 ? `, ${Math.round((10_000 * count) / passedMs) / 10} pictures per second` : "";
}

/** Return a sentence as the clause that follows "because". */
export function clause(sentence) {
  const text = sentence.replace(/\.$/, "");
  return /^[A-Z][a-z]* /.test(text) ? text[0].toLowerCase() + text.slice(1) : text;
}
