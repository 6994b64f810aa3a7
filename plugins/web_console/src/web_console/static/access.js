import { button, confirmed, h, Part, table, words } from "./dom.js";
import { moment } from "./format.js";

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
      this.#keys.replaceChildren(
        table(
          "API keys",
          ["User", "Role", "Made", "Ends", "Actions"],
          keys.keys.map((each) => [each.user, each.role, moment(each.created_at), moment(each.expires_at), this.#revoke("revoke_api_key", each.id, `the API key of ${each.user}`)]),
        ),
        h("p", { class: "muted" }, "camera-agent key create makes an API key, on the agent's host."),
      );
      this.#links.replaceChildren(
        table(
          "View links",
          ["Camera", "Made by", "Made", "Ends", "Actions"],
          links.links.map((each) => [each.device ?? "all", each.user, moment(each.created_at), moment(each.expires_at), this.#revoke("revoke_view_link", each.id, `the view link ${each.id}`)]),
        ),
      );
    } catch (error) {
      this.#told.replaceChildren(words(error));
    }
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
