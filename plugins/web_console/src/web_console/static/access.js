import { button, confirmed, h, Part, table, words } from "./dom.js";
import { date } from "./stamp.js";

/** API keys and view links: list and revoke, for admins. Operators make view links at a camera. */
class AgentAccess extends Part {
  #keys = h("div", {});
  #links = h("div", {});
  #told = h("p", { role: "status" });

  render() {
    if (!this.agent.may("admin")) {
      this.replaceChildren(h("p", { class: "muted" }, "A view link is made at a camera, under Addresses. Users with the role admin list and revoke links and API keys."));
      return;
    }
    this.replaceChildren(this.#told, this.#keys, this.#links);
    this.listen(this.agent, "ready", () => this.#load());
    this.#load();
  }

  async #load() {
    try {
      const [keys, links] = await Promise.all([this.agent.call("list_api_keys"), this.agent.call("list_view_links")]);
      this.#show(this.#keys, "API keys", ["User", "Role", "Made", "Ends", "Actions"], "There are no API keys.", keys.keys.map((each) => [each.user, each.role, date(each.created_at), date(each.expires_at), this.#revoke("revoke_api_key", each.id, `the API key of ${each.user}`)]));
      this.#keys.append(h("p", { class: "muted" }, "Programs log in with API keys. On the agent's host, ", h("code", {}, "camera-agent key create"), " makes one."));
      this.#show(this.#links, "View links", ["Camera", "Made by", "Made", "Ends", "Actions"], "There are no view links.", links.links.map((each) => [this.#camera(each.device), each.user, date(each.created_at), date(each.expires_at), this.#revoke("revoke_view_link", each.id, `the view link ${each.id}`)]));
      this.#links.append(h("p", { class: "muted" }, "A view link shows a camera to everyone who has it. It is made at a camera, under Addresses."));
    } catch (error) {
      this.#told.replaceChildren(words(error));
    }
  }

  /** Show a table under its heading, or a sentence if it has no rows. */
  #show(place, caption, heads, none, rows) {
    if (rows.length > 0) place.replaceChildren(table(caption, heads, rows));
    else place.replaceChildren(h("h2", {}, caption), h("p", {}, none));
  }

  #camera(device) {
    const name = this.agent.cameras.get(device)?.name;
    return name === undefined ? (device ?? "all") : [h("bdi", {}, name), ` (${device})`];
  }

  #revoke(method, id, what) {
    const act = async () => {
      if (!(await confirmed(`Revoke ${what}? What uses it stops within a second.`, "Revoke"))) return;
      try {
        await this.agent.call(method, { id });
        this.#told.replaceChildren(`Revoked: ${what}.`);
      } catch (error) {
        this.#told.replaceChildren(words(error));
      }
      await this.#load();
    };
    return button("Revoke", act, { class: "danger", "aria-label": `Revoke ${what}` });
  }
}

customElements.define("agent-access", AgentAccess);
