import { facts, h, patch, table, words } from "./dom.js";
import { duration, hours, millis, size } from "./format.js";
import { Part } from "./part.js";
import { clock } from "./stamp.js";

/** Pause between two looks at the numbers. */
const LOOK_MS = 5000;
const STATES = { HEALTHY: "Healthy", DEGRADED: "Degraded", UNHEALTHY: "Unhealthy" };
const BREAKERS = { CLOSED: "closed (normal)", OPEN: "open (not asked for now)", HALF_OPEN: "half open (tried again)" };
/** What events are about, in words. */
const EVENTS = {
  camera_status_update: "Camera",
  "camera.controls": "Image controls",
  "snapshot.taken": "Snapshot",
  recording_status_update: "Recording",
  "recording.start": "Recording started",
  "recording.stop": "Recording stopped",
  "recording.error": "Recording failed",
  "system.startup": "Agent started",
  "system.shutdown": "Agent stops",
  "system.health": "Health",
  "plugin.quarantined": "Plugin switched off",
};

/** Health of the agent: problems, checks, tiers, disk, plugins, and the events as they come. Numbers are for admins. */
class AgentHealth extends Part {
  #problems = h("div", { role: "status" });
  #numbers = h("div", {});
  #plugins = h("div", {});
  #events = h("ol", { class: "events", "aria-label": "Events, newest first", tabindex: "0" });

  render() {
    this.#problems.replaceChildren(h("p", {}, "Asking the agent …"));
    this.replaceChildren(this.#problems, this.#numbers, this.#plugins, h("h2", {}, "Events"), this.#events);
    this.listen(this.agent, "event", () => this.#addEvent());
    this.listen(this.agent, "ready", () => this.#showPlugins());
    const none = h("li", { class: "muted" }, "No event since this page was opened.");
    this.#events.replaceChildren(...(this.agent.events.length > 0 ? this.agent.events.map(line) : [none]));
    this.#showPlugins();
    this.every(LOOK_MS, () => this.#look());
  }

  async #look() {
    try {
      const state = await this.agent.call("get_system_status");
      const problems = [...state.problems.map((each) => h("li", {}, `${each.details} ${each.suggestion ?? ""}`)), ...this.#cameraProblems()];
      const told = problems.length > 0 ? h("ul", { class: "problem" }, problems) : h("p", { class: "good" }, "There are no problems.");
      patch(this.#problems, h("div", {}, h("p", {}, state.message), told));
      if (this.agent.may("admin")) await this.#lookAtNumbers();
      else this.#numbers.replaceChildren(h("p", { class: "muted" }, "Checks and numbers are for users with the role admin."));
    } catch (error) {
      if (this.agent.connection === "connected") this.#problems.replaceChildren(h("p", { class: "problem" }, words(error)));
    }
  }

  #cameraProblems() {
    const odd = this.agent.ordered.filter((each) => each.status !== "CONNECTED");
    return odd.map((each) => h("li", {}, h("a", { href: `#/camera/${each.device}` }, h("bdi", {}, each.name)), `: ${each.problem || "disconnected."}`));
  }

  async #lookAtNumbers() {
    const [status, storage, metrics] = await Promise.all([
      this.agent.call("get_status"),
      this.agent.call("get_storage_info"),
      this.agent.call("get_metrics"),
    ]);
    const health = metrics.health_metrics;
    const content = h(
      "div",
      {},
      facts([
        ["Status", STATES[status.status] ?? status.status],
        ["Version", status.version],
        ["Running for", duration(status.uptime)],
        ["Media server", status.components.mediamtx.toLowerCase()],
        ["Circuit to the media server", `${BREAKERS[health.breaker.toUpperCase()] ?? health.breaker}, opened ${health.openings} times`],
        ["Probe of the media server", health.probe_ms === undefined ? "" : millis(health.probe_ms)],
        ["Free disk space", `${size(storage.available_space)} of ${size(storage.total_space)}${storage.low_space_warning ? " – low" : ""}`],
        ["Disk full in", this.#fullIn(storage.hours_left)],
        ["Recordings", size(storage.recordings_size)],
        ["Snapshots", size(storage.snapshots_size)],
      ]),
      table("Checks", ["Check", "Status", "Detail", "Since"], status.checks.map((each) => [each.name, each.status, each.detail, clock(each.since)])),
      table(
        "Snapshot tiers",
        ["Tier", "Pictures", "Attempts", "Half within (p50)", "95 % within (p95)"],
        metrics.snapshot_metrics.tiers.map((each) => [`${each.rank} ${each.name}`, String(each.count), String(each.attempts), millis(each.p50_ms), millis(each.p95_ms)]),
      ),
    );
    patch(this.#numbers, content);
  }

  /** Tell the forecast; the agent has none until it has seen the recordings grow. */
  #fullIn(left) {
    if (left !== undefined) return hours(left);
    return this.agent.ordered.some((each) => each.is_recording) ? "not known yet" : "nothing is recorded";
  }

  #showPlugins() {
    const plugins = this.agent.info?.plugins ?? [];
    this.#plugins.replaceChildren(
      table("Plugins", ["Plugin", "Version", "Status", "Reason"], plugins.map((each) => [each.name, each.version, each.status, each.details || each.reason || ""])),
    );
  }

  /** Add the newest event; those that the agent's list has dropped go. */
  #addEvent() {
    const { events } = this.agent;
    if (events.length === 1) this.#events.replaceChildren();
    this.#events.prepend(line(events[0]));
    while (this.#events.childElementCount > events.length) this.#events.lastElementChild.remove();
  }
}

function line({ method, params, at }) {
  const about = [params.device, params.status, params.filename, params.reason, params.problem].filter(Boolean).join(" · ");
  return h("li", {}, clock(at), " ", h("b", { title: method }, EVENTS[method] ?? method), ` ${about}`);
}

customElements.define("agent-health", AgentHealth);
