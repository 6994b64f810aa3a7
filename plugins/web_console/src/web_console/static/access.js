import { copyable } from "./addresses.js";
import { button, form, h, table, words } from "./dom.js";
import { Part } from "./part.js";
import { confirmed } from "./questions.js";
import { date } from "./stamp.js";

const DAY_MS = 86_400_000;

/** API keys and view links: list and revoke, for admins, and make keys where the agent lets them. Operators make view links at a camera. */
class AgentAccess extends Part {
  #keys = h("div", {});
  #links = h("div", {});
  #made = h("div", { role: "status" });
  #told = h("p", { role: "status" });

  render() {
    if (!this.agent.may("admin")) {
      this.replaceChildren(h("p", { class: "muted" }, "A view link is made at a camera, under Addresses. Users with the role admin list and revoke links and API keys."));
      return;
    }
    const maker = h("div", {});
    this.replaceChildren(this.#told, this.#keys, maker, this.#made, this.#links);
    this.listen(this.agent, "ready", () => this.#load());
    this.#load();
    this.#offerKeys(maker).catch((error) => maker.replaceChildren(h("p", { class: "problem" }, words(error))));
  }

  /** The method exists only where the configuration has it (`auth.keys_over_network`). */
  async #offerKeys(maker) {
    const { methods } = await this.agent.call("rpc.discover");
    const isOffered = methods.some((each) => each.name === "create_api_key");
    const how = h("p", { class: "muted" }, "Programs log in with API keys. On the agent's host, ", h("code", {}, "camera-agent key create"), " makes one.");
    maker.replaceChildren(isOffered ? this.#maker() : how);
  }

  #maker() {
    const user = h("input", { id: "key-user", autocomplete: "off", required: true, maxlength: "200" });
    const role = h("select", { id: "key-role" }, ["viewer", "operator", "admin"].map((each) => h("option", { value: each }, each)));
    const days = h("input", { id: "key-days", type: "number", min: "1", max: "3650", step: "1" });
    const make = async (made) => {
      this.#made.replaceChildren();
      const end = days.value === "" ? {} : { expires_at: new Date(Date.now() + this.agent.clockOffsetMs + Number(days.value) * DAY_MS).toISOString() };
      try {
        const key = await this.agent.call("create_api_key", { user: user.value, role: role.value, ...end });
        this.#made.replaceChildren(h("p", {}, `The API key of ${key.user}. It is shown only now.`), copyable("API key", key.key));
        made.reset();
        await this.#load();
      } catch (error) {
        this.#made.replaceChildren(h("p", { class: "problem" }, words(error)));
      }
    };
    const made = form(
      "Make an API key",
      make,
      "Make an API key",
      h("label", { for: "key-user" }, "User, such as a program's name"),
      user,
      h("label", { for: "key-role" }, "Role"),
      role,
      h("label", { for: "key-days" }, "Days until it ends (empty: no end)"),
      days,
    );
    return h("div", {}, h("h2", {}, "New API key"), made);
  }

  async #load() {
    try {
      const [keys, links] = await Promise.all([this.agent.call("list_api_keys"), this.agent.call("list_view_links")]);
      this.#show(this.#keys, "API keys", ["User", "Kind", "Role", "Made", "Ends", "Actions"], "There are no API keys.", keys.keys.map((each) => [each.user, each.kind ?? "api", each.role, date(each.created_at), date(each.expires_at), this.#revoke("revoke_api_key", each.id, `the ${each.kind === "mqtt" ? "key for signed calls" : "API key"} of ${each.user}`)]));
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
