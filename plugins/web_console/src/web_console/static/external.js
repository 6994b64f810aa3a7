import { button, confirmed, h, Part, table, words } from "./dom.js";

/** Longest search of the networks. */
const SEARCH_MS = 600_000;
/** Longest look at a stream that is added. */
const ADD_MS = 60_000;

/** Network streams of the plugin external_discovery: added and found ones; operators search, add and remove. */
class ExternalStreams extends Part {
  #list = h("div", {});
  #told = h("p", { role: "status" });
  #progress = h("progress", { "aria-label": "Search", hidden: true });
  #unfollow = null;

  render() {
    const operator = this.agent.may("operator");
    this.replaceChildren(operator ? this.#form() : "", operator ? h("p", { class: "row" }, button("Search the networks", () => this.#search()), this.#progress) : "", this.#told, this.#list);
    this.agent
      .follow("external_discovery.progress", ({ params }) => this.#show(params))
      .then((end) => (this.#unfollow = end))
      .catch(() => {}); // The search works without its progress.
    this.listen(this.agent, "cameras", () => this.#load());
    this.#load();
  }

  leave() {
    this.#unfollow?.();
  }

  #form() {
    const field = (id, label, more) => [h("label", { for: id }, label), h("input", { id, name: id, autocomplete: "off", ...more })];
    const form = h(
      "form",
      { class: "stacked", "aria-label": "Add a stream" },
      ...field("stream-url", "Address, such as rtsp://192.0.2.7/stream1", { required: true }),
      ...field("stream-name", "Name", { required: true }),
      ...field("stream-user", "User, if needed", {}),
      ...field("stream-password", "Password, if needed", { type: "password" }),
      h("button", { type: "submit" }, "Add"),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const [url, name, user, password] = ["stream-url", "stream-name", "stream-user", "stream-password"].map((id) => form.elements[id].value);
      const added = await this.#try(() =>
        this.agent.call("add_external_stream", { stream_url: url, stream_name: name, ...(user ? { user, password } : {}) }, { timeoutMs: ADD_MS }),
      );
      if (added) form.reset();
    });
    return form;
  }

  async #try(act) {
    this.#told.replaceChildren("");
    try {
      await act();
      await this.#load();
      return true;
    } catch (error) {
      this.#told.replaceChildren(words(error));
      return false;
    }
  }

  async #search() {
    this.#progress.hidden = false;
    await this.#try(async () => {
      const found = await this.agent.call("discover_external_streams", { force_rescan: true }, { timeoutMs: SEARCH_MS });
      this.#told.replaceChildren(`${found.total_found} streams found. ${(found.errors ?? []).join(" ")}`);
    });
    this.#progress.hidden = true;
  }

  #show(progress) {
    this.#progress.max = Math.max(1, progress.hosts_total ?? 1);
    this.#progress.value = progress.hosts_done ?? 0;
  }

  async #load() {
    try {
      const known = await this.agent.call("get_external_streams");
      const rows = known.external_streams.map((each) => [each.name, each.url, each.status, each.details, this.#actions(each)]);
      this.#list.replaceChildren(table("Network streams", ["Name", "Address", "Status", "Details", "Actions"], rows));
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
