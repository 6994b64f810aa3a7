import { button, h, Part, words } from "./dom.js";

/** Settings that take effect while the agent runs: how long files are kept, and the configuration files, read again. */
class AgentSettings extends Part {
  #told = h("p", { role: "status" });
  #limits = h("p", { class: "muted" });

  render() {
    if (!this.agent.may("admin")) {
      this.replaceChildren(h("p", { class: "muted" }, "Settings are for users with the role admin."));
      return;
    }
    this.replaceChildren(
      h("h2", {}, "Deletion of recordings and snapshots"),
      this.#retention(),
      this.#limits,
      button("Delete now what the limits exclude", () => this.#try(async () => (await this.agent.call("cleanup_old_files")).message)),
      this.agent.has("external_discovery") ? this.#interval() : "",
      h("h2", {}, "Configuration files"),
      h("p", { class: "muted" }, "Reads the files again. What needs a restart is named, and waits for it."),
      button("Read the configuration again", () => this.#try(() => this.#reload())),
      this.#told,
    );
  }

  async #try(act) {
    try {
      this.#told.replaceChildren((await act()) ?? "");
    } catch (error) {
      this.#told.replaceChildren(h("span", { class: "problem" }, words(error)));
    }
  }

  async #reload() {
    const done = await this.agent.call("reload_configuration", {}, { timeoutMs: 60_000 });
    return [
      done.changed.length > 0 ? `In effect now: ${done.changed.join(", ")}.` : "Nothing has changed.",
      done.needs_restart.length > 0 ? `After a restart of the agent: ${done.needs_restart.join(", ")}.` : "",
      ...done.notes,
      ...done.errors,
    ].join(" ");
  }

  #retention() {
    const kind = h("select", { id: "policy" }, [["age", "by age"], ["size", "by size"], ["manual", "only when asked"]].map(([value, text]) => h("option", { value }, text)));
    const days = h("input", { id: "days", type: "number", min: "0.01", step: "any", value: "30" });
    const gigabytes = h("input", { id: "gigabytes", type: "number", min: "0.001", step: "any", value: "50" });
    const enabled = h("input", { id: "enabled", type: "checkbox", checked: true });
    return h(
      "form",
      {
        class: "stacked",
        "aria-label": "Deletion",
        onsubmit: (event) => {
          event.preventDefault();
          const limit = { age: { max_age_days: Number(days.value) }, size: { max_size_gb: Number(gigabytes.value) }, manual: {} }[kind.value];
          this.#try(async () => {
            const set = await this.agent.call("set_retention_policy", { policy_type: kind.value, enabled: enabled.checked, ...limit });
            this.#limits.replaceChildren(set.message);
            return "Stored.";
          });
        },
      },
      h("label", { for: "policy" }, "Delete"),
      kind,
      h("label", { for: "days" }, "Days to keep, by age"),
      days,
      h("label", { for: "gigabytes" }, "Gigabytes to keep, by size"),
      gigabytes,
      h("label", { for: "enabled" }, "This policy replaces the limits of the configuration"),
      enabled,
      h("button", { type: "submit" }, "Store"),
    );
  }

  #interval() {
    const seconds = h("input", { id: "interval", type: "number", min: "0", step: "1", value: "0" });
    return h(
      "form",
      {
        class: "stacked",
        "aria-label": "Search of the networks",
        onsubmit: (event) => {
          event.preventDefault();
          this.#try(async () => {
            await this.agent.call("set_discovery_interval", { scan_interval: Number(seconds.value) });
            return "Stored.";
          });
        },
      },
      h("h2", {}, "Search of the networks"),
      h("label", { for: "interval" }, "Seconds between two searches; 0: only on demand"),
      seconds,
      h("button", { type: "submit" }, "Store"),
    );
  }
}

customElements.define("agent-settings", AgentSettings);
