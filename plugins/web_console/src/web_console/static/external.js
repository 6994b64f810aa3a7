import { button, form, h, table, words } from "./dom.js";
import { Part } from "./part.js";
import { confirmed } from "./questions.js";

/** Longest search of the networks. */
const SEARCH_MS = 600_000;
/** Longest look at a stream that is added. */
const ADD_MS = 60_000;
const STATES = { DISCOVERED: "Found", ADDED: "Added", ERROR: "Problem" };

/** Network streams of the plugin external_discovery: added and found ones; operators search, add and remove. */
class ExternalStreams extends Part {
  #list = h("div", {});
  #told = h("p", { role: "status" });
  #progress = h("progress", { "aria-label": "Search", hidden: true });
  #course = h("span", { class: "muted" });
  #cameras = h("input", { id: "search-cameras", type: "checkbox", checked: true });
  #loading = null;
  #isStale = false;

  render() {
    const operator = this.agent.may("operator");
    const both = h("label", { class: "row" }, this.#cameras, "Cameras too, and not only UAVs");
    const search = h("div", { class: "row" }, button("Search the networks", () => this.#search()), both, this.#progress, this.#course);
    const add = h("div", {}, h("h2", {}, "Add a stream by its address"), this.#form());
    this.replaceChildren(operator ? search : "", this.#told, this.#list, operator ? add : "");
    this.#follow();
    this.listen(this.agent, "cameras", () => this.#load());
    this.listen(this.agent, "ready", () => this.#load());
    this.#load();
  }

  /** Follow the progress of searches until the page is left, which may be before the agent has answered. */
  async #follow() {
    const { signal } = this;
    try {
      const end = await this.agent.follow("external_discovery.progress", ({ params }) => this.#show(params));
      if (signal.aborted) end();
      else signal.addEventListener("abort", end);
    } catch {
      // The search works without its progress.
    }
  }

  #form() {
    const field = (id, label, more) => [h("label", { for: id }, label), h("input", { id, name: id, autocomplete: "off", ...more })];
    const add = async (made) => {
      const [url, name, user, password] = ["stream-url", "stream-name", "stream-user", "stream-password"].map((id) => made.elements[id].value);
      this.#told.replaceChildren("Looking at the stream …");
      const added = await this.#try(async () => {
        await this.agent.call("add_external_stream", { stream_url: url, stream_name: name, ...(user ? { user, password } : {}) }, { timeoutMs: ADD_MS });
        this.#told.replaceChildren("Added.");
      });
      if (added) made.reset();
    };
    return form(
      "Add a stream",
      add,
      "Add",
      ...field("stream-url", "Address, such as rtsp://192.0.2.7/stream1", { required: true, spellcheck: "false", autocapitalize: "none" }),
      ...field("stream-name", "Name", { required: true }),
      ...field("stream-user", "User, if needed", {}),
      ...field("stream-password", "Password, if needed", { type: "password" }),
    );
  }

  async #try(act) {
    try {
      await act();
      await this.#load();
      return true;
    } catch (error) {
      this.#told.replaceChildren(h("span", { class: "problem" }, words(error)));
      return false;
    }
  }

  async #search() {
    this.#progress.hidden = false;
    this.#told.replaceChildren("Searching the networks …");
    await this.#try(async () => {
      const found = await this.agent.call("discover_external_streams", { force_rescan: true, generic_enabled: this.#cameras.checked }, { timeoutMs: SEARCH_MS });
      this.#told.replaceChildren(`${found.total_found} ${found.total_found === 1 ? "stream" : "streams"} found. ${(found.errors ?? []).join(" ")}`);
    });
    this.#progress.hidden = true;
    this.#course.replaceChildren();
  }

  /** Show how far a search has come, also one that another client has started. */
  #show(progress) {
    this.#progress.hidden = (progress.hosts_done ?? 0) >= (progress.hosts_total ?? 0);
    this.#progress.max = Math.max(1, progress.hosts_total ?? 1);
    this.#progress.value = progress.hosts_done ?? 0;
    this.#course.replaceChildren(this.#progress.hidden ? "" : `${progress.hosts_done} of ${progress.hosts_total} hosts, ${progress.streams_found} streams`);
  }

  /** Load the list; once more if it may have changed meanwhile, and never twice at a time. */
  #load() {
    this.#isStale = true;
    this.#loading ??= this.#loadAll().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #loadAll() {
    while (this.#isStale && this.isConnected) {
      this.#isStale = false;
      await this.#loadOnce();
    }
  }

  async #loadOnce() {
    try {
      const known = await this.agent.call("get_external_streams");
      const rows = known.external_streams.map((each) => [h("bdi", {}, each.name), each.url, STATES[each.status] ?? each.status, each.details, this.#actions(each)]);
      const how = this.agent.may("operator") ? " Search the networks, or add one by its address." : "";
      if (rows.length > 0) this.#list.replaceChildren(table("Network streams", ["Name", "Address", "Status", "Details", "Actions"], rows));
      else this.#list.replaceChildren(h("p", {}, `There are no network streams yet.${how}`));
    } catch (error) {
      this.#told.replaceChildren(words(error));
    }
  }

  /** Return what an operator can do with a stream: add one that a search has found, or remove one that was added. */
  #actions(stream) {
    if (!this.agent.may("operator")) return "";
    if (stream.status === "DISCOVERED") {
      const add = () => this.#try(() => this.agent.call("add_external_stream", { stream_url: stream.url, stream_name: stream.name }, { timeoutMs: ADD_MS }));
      return button("Add", add, { "aria-label": `Add ${stream.url}` });
    }
    const act = async () => {
      const isSure = await confirmed(`Remove ${stream.url}? Its recordings and snapshots stay.`, "Remove");
      if (isSure) await this.#try(() => this.agent.call("remove_external_stream", { stream_url: stream.url }));
    };
    return button("Remove", act, { class: "danger", "aria-label": `Remove ${stream.url}` });
  }
}

customElements.define("external-streams", ExternalStreams);
