import { facts, h, Part, table, words } from "./dom.js";
import { duration, millis, size, time } from "./format.js";

/** Pause between two looks at the numbers. */
const LOOK_MS = 5000;

/** Health of the agent: problems, checks, tiers, disk, plugins, and the events as they come. Numbers are for admins. */
class AgentHealth extends Part {
  #problems = h("div", { role: "status" });
  #numbers = h("div", {});
  #plugins = h("div", {});
  #events = h("ol", { class: "events", "aria-label": "Events, newest first", tabindex: "0" });

  render() {
    this.replaceChildren(this.#problems, this.#numbers, this.#plugins, h("h2", {}, "Events"), this.#events);
    this.listen(this.agent, "event", () => this.#showEvents());
    this.listen(this.agent, "ready", () => this.#showPlugins());
    this.#showEvents();
    this.#showPlugins();
    this.every(LOOK_MS, () => this.#look());
  }

  async #look() {
    try {
      const state = await this.agent.call("get_system_status");
      const problems = state.problems.map((each) => h("li", {}, `${each.details} ${each.suggestion ?? ""}`));
      this.#problems.replaceChildren(h("p", {}, state.message), problems.length > 0 ? h("ul", { class: "problem" }, problems) : "");
      if (this.agent.may("admin")) await this.#lookAtNumbers();
      else this.#numbers.replaceChildren(h("p", { class: "muted" }, "Checks and numbers are for users with the role admin."));
    } catch (error) {
      if (this.agent.connection === "connected") this.#problems.replaceChildren(h("p", { class: "problem" }, words(error)));
    }
  }

  async #lookAtNumbers() {
    const [status, storage, metrics] = await Promise.all([
      this.agent.call("get_status"),
      this.agent.call("get_storage_info"),
      this.agent.call("get_metrics"),
    ]);
    const health = metrics.health_metrics;
    const scrolled = this.#numbers.querySelector(":focus") !== null;
    if (scrolled) return; // A person reads a table with the keyboard now.
    this.#numbers.replaceChildren(
      facts([
        ["Status", status.status],
        ["Version", status.version],
        ["Running for", duration(status.uptime)],
        ["Media server", status.components.mediamtx],
        ["Circuit to the media server", `${health.breaker.replace("_", " ")}, opened ${health.openings} times`],
        ["Probe of the media server", health.probe_ms === undefined ? "" : millis(health.probe_ms)],
        ["Free disk space", `${size(storage.available_space)} of ${size(storage.total_space)}${storage.low_space_warning ? " – low" : ""}`],
        ["Disk full in", this.#diskFullIn(storage.hours_left)],
        ["Recordings", size(storage.recordings_size)],
        ["Snapshots", size(storage.snapshots_size)],
      ]),
      table("Checks", ["Check", "Status", "Detail", "Since"], status.checks.map((each) => [each.name, each.status, each.detail, time(each.since)])),
      table(
        "Snapshot tiers",
        ["Tier", "Pictures", "Attempts", "p50", "p95"],
        metrics.snapshot_metrics.tiers.map((each) => [`${each.rank} ${each.name}`, String(each.count), String(each.attempts), millis(each.p50_ms), millis(each.p95_ms)]),
      ),
    );
  }

  /** Tell the forecast in words; the agent has none until it has seen the recordings grow. */
  #diskFullIn(hours) {
    if (hours !== undefined) return `${hours.toFixed(1)} hours`;
    return this.agent.ordered.some((each) => each.is_recording) ? "not known yet" : "nothing is recorded";
  }

  #showPlugins() {
    const plugins = this.agent.info?.plugins ?? [];
    this.#plugins.replaceChildren(
      table("Plugins", ["Plugin", "Version", "Status", "Reason"], plugins.map((each) => [each.name, each.version, each.status, each.details || each.reason || ""])),
    );
  }

  #showEvents() {
    const shown = this.agent.events.map(({ method, params, at }) => {
      const about = [params.device, params.status, params.filename, params.reason, params.problem].filter(Boolean).join(" · ");
      return h("li", {}, h("time", { datetime: at }, time(at)), " ", h("b", {}, method), ` ${about}`);
    });
    this.#events.replaceChildren(...(shown.length > 0 ? shown : [h("li", { class: "muted" }, "No event since this page was opened.")]));
  }
}

customElements.define("agent-health", AgentHealth);
