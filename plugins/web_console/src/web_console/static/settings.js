import { button, form, h, words } from "./dom.js";
import { Part } from "./part.js";
import { confirmed } from "./questions.js";

/** Settings that take effect while the agent runs: how long files are kept, and the configuration files, read again. */
class AgentSettings extends Part {
  #told = h("p", { role: "status" });
  #limits = h("p", { class: "muted" });
  #kind = h("select", { id: "policy" }, [["age", "by age"], ["size", "by size"], ["manual", "only when asked"]].map(([value, text]) => h("option", { value }, text)));
  #days = h("input", { id: "days", type: "number", step: "any" });
  #gigabytes = h("input", { id: "gigabytes", type: "number", step: "any" });
  #enabled = h("input", { id: "enabled", type: "checkbox" });

  render() {
    if (!this.agent.may("admin")) {
      this.replaceChildren(h("p", { class: "muted" }, "Settings are for users with the role admin."));
      return;
    }
    this.replaceChildren(
      h("h2", {}, "Deletion of recordings and snapshots"),
      this.#limits,
      this.#retention(),
      button("Delete now what the limits exclude", () => this.#deleteNow(), { class: "danger" }),
      this.agent.has("external_discovery") ? this.#interval() : "",
      h("h2", {}, "Configuration files"),
      h("p", { class: "muted" }, "Reads the files again. What needs a restart is named, and waits for it."),
      button("Read the configuration again", () => this.#try(() => this.#reload())),
      this.#told,
    );
    this.#try(async () => this.#showPolicy((await this.agent.call("get_storage_info")).retention));
  }

  /** Show the policy as the agent has it. */
  #showPolicy(policy) {
    this.#kind.value = policy.policy_type;
    this.#days.value = policy.max_age_days ?? "";
    this.#gigabytes.value = policy.max_size_gb ?? "";
    this.#enabled.checked = policy.enabled;
    this.#limits.replaceChildren(policy.message);
    this.#kind.dispatchEvent(new Event("change"));
  }

  async #try(act) {
    try {
      this.#told.replaceChildren((await act()) ?? "");
    } catch (error) {
      this.#told.replaceChildren(h("span", { class: "problem" }, words(error)));
    }
  }

  async #deleteNow() {
    const question = "Delete now all recordings and snapshots beyond the limits in force? This cannot be undone.";
    if (await confirmed(question, "Delete")) await this.#try(async () => (await this.agent.call("cleanup_old_files")).message);
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
    const [kind, days, gigabytes] = [this.#kind, this.#days, this.#gigabytes];
    const ofAge = [h("label", { for: "days" }, "Days to keep"), days];
    const ofSize = [h("label", { for: "gigabytes" }, "Gigabytes to keep"), gigabytes];
    const showLimit = () => {
      for (const each of ofAge) each.hidden = kind.value === "size";
      for (const each of ofSize) each.hidden = kind.value === "age";
      days.disabled = days.hidden; // a hidden field must not hinder the form
      gigabytes.disabled = gigabytes.hidden;
    };
    kind.addEventListener("change", showLimit);
    showLimit();
    const given = (input) => (input.hidden || input.value === "" ? null : Number(input.value));
    const save = () =>
      this.#try(async () => {
        const wanted = { policy_type: kind.value, enabled: this.#enabled.checked, max_age_days: given(days), max_size_gb: given(gigabytes) };
        this.#showPolicy(await this.agent.call("set_retention_policy", wanted));
        return "Saved.";
      });
    return form(
      "Deletion",
      save,
      "Save",
      h("label", { for: "policy" }, "Delete"),
      kind,
      ...ofAge,
      ...ofSize,
      h("span", { class: "row" }, this.#enabled, h("label", { for: "enabled" }, "Use this instead of the limits in the configuration file")),
    );
  }

  #interval() {
    const seconds = h("input", { id: "interval", type: "number", min: "0", step: "1", required: true });
    const save = () =>
      this.#try(async () => {
        const set = await this.agent.call("set_discovery_interval", { scan_interval: Number(seconds.value) });
        seconds.value = set.scan_interval;
        return set.message;
      });
    return form(
      "Search of the networks",
      save,
      "Save",
      h("h2", {}, "Search of the networks"),
      h("label", { for: "interval" }, "Seconds between two searches; 0: only on demand"),
      seconds,
    );
  }
}

customElements.define("agent-settings", AgentSettings);
