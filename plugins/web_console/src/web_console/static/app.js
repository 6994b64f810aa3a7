import { Agent } from "./agent.js";
import { button, h, words } from "./dom.js";
import { Part } from "./part.js";
import { Pictures } from "./pictures.js";
import { closeDialogs } from "./questions.js";
import { Session, takeLoginCode } from "./session.js";
import "./access.js";
import "./camera_page.js";
import "./camera_tiles.js";
import "./external.js";
import "./health.js";
import "./media_list.js";
import "./settings.js";

/** Pages by the word in the address: title, element, and when they are offered. */
const PAGES = {
  __proto__: null, // an address may have any word
  cameras: { title: "Cameras", tag: "camera-tiles" },
  recordings: { title: "Recordings", tag: "media-list", kind: "recordings" },
  snapshots: { title: "Snapshots", tag: "media-list", kind: "snapshots" },
  health: { title: "Health", tag: "agent-health" },
  external: { title: "Network streams", tag: "external-streams", offered: (agent) => agent.has("external_discovery") },
  settings: { title: "Settings", tag: "agent-settings", offered: (agent) => agent.may("admin") },
  access: { title: "Access", tag: "agent-access", offered: (agent) => agent.may("operator") },
};

/** The whole page: login, or header, pages and the state of the connection. */
class CameraConsole extends Part {
  #session = new Session();
  #agent = null;
  #pictures = new Pictures(this.#session);
  #main = h("main", { id: "main", tabindex: "-1" });
  #nav = h("nav", { "aria-label": "Pages" });
  #who = h("span", { class: "who muted" });
  #banner = h("div", { class: "banner", role: "status" });
  /** What was told last; the next page that is opened ends it. */
  #notice = h("p", { class: "notice problem", role: "alert" });
  #shown = "";

  render() {
    this.listen(this.#session, "ended", (event) => this.#login(event.detail));
    this.listen(this.#session, "unrevoked", (event) => this.#notify(event.detail));
    this.listen(window, "hashchange", () => (location.hash.startsWith("#login=") ? this.#begin() : this.#route()));
    this.#begin();
  }

  async #begin() {
    const code = takeLoginCode();
    if (code !== null) {
      try {
        await this.#session.redeem(code);
      } catch (error) {
        if (this.#session.token === null) return this.#login(words(error));
        if (this.#agent !== null) this.#route();
        this.#notify(`The login link was refused, and this tab is logged in as before: ${words(error)}`);
        if (this.#agent !== null) return undefined;
      }
    }
    if (this.#session.token === null) return this.#login("");
    return this.#open();
  }

  /** Tell what a person should know, in the page as it is; what is typed stays. */
  #notify(text) {
    const place = this.querySelector(".login .problem") ?? this.#notice;
    place.replaceChildren(text);
  }

  #open() {
    this.#agent?.close();
    this.#agent = new Agent(this.#session);
    this.#shown = "";
    this.replaceChildren(
      h("a", { class: "skip", href: "#main", onclick: (event) => (event.preventDefault(), this.#main.focus()) }, "Skip to content"),
      h(
        "header",
        {},
        h("span", { class: "brand" }, "Camera agent"),
        this.#nav,
        this.#who,
        button("Log out", () => this.#session.leave()),
      ),
      this.#banner,
      this.#notice,
      this.#main,
    );
    this.#main.replaceChildren(h("p", { class: "muted" }, "Connecting to the agent …"));
    const agent = this.#agent;
    agent.addEventListener("connection", () => agent === this.#agent && this.#tellConnection());
    agent.addEventListener("ready", () => agent === this.#agent && this.#route());
    return agent.open();
  }

  #login(why) {
    closeDialogs();
    this.#agent?.close();
    this.#agent = null;
    const field = h("input", { id: "token", name: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false" });
    const problem = h("p", { class: "problem", role: "alert" }, why);
    const form = h(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          this.#session.token = field.value.trim();
          this.#open();
        },
      },
      h("label", { for: "token" }, "Token or API key"),
      field,
      h("button", { type: "submit", class: "primary" }, "Log in"),
      h("p", { class: "muted" }, "On the agent's host, ", h("code", {}, "camera-agent token link"), " prints a link that logs in by itself, and ", h("code", {}, "camera-agent token create"), " a token."),
    );
    this.replaceChildren(h("main", { class: "login" }, h("h1", {}, "Camera agent"), problem, form));
    document.title = "Log in – Camera agent";
    field.focus();
  }

  #tellConnection() {
    const { connection, connectionWords } = this.#agent;
    this.toggleAttribute("lost", connection === "lost");
    this.#banner.replaceChildren(connection === "lost" ? `${connectionWords} Trying again … What is shown is of before. If this lasts, check that the agent runs.` : "");
  }

  #route() {
    if (this.#agent?.info == null) return;
    const [word, device] = location.hash.replace(/^#\/?/, "").split("/"); // ids of cameras need no escapes
    this.#showNavigation(word);
    // A connection that was mended keeps what is shown, and each part asks again for what it shows.
    const address = `${word}/${device ?? ""}/${this.#agent.role}`;
    if (address === this.#shown) return;
    const isFirst = this.#shown === "";
    closeDialogs();
    this.#shown = address;
    const common = { ".agent": this.#agent, ".session": this.#session, ".pictures": this.#pictures };
    if (word === "camera" && device) {
      this.#main.replaceChildren(h("camera-page", { ...common, ".device": device }));
      document.title = `${this.#agent.cameras.get(device)?.name ?? device} – Camera agent`;
    } else {
      const page = PAGES[word] ?? PAGES.cameras;
      this.#main.replaceChildren(h("h1", {}, page.title), h(page.tag, { ...common, ".kind": page.kind, ".device": device ?? "" }));
      document.title = `${page.title} – Camera agent`;
    }
    if (isFirst) return;
    this.#notice.replaceChildren();
    this.#main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  #showNavigation(word) {
    const offered = Object.entries(PAGES).filter(([, page]) => page.offered?.(this.#agent) ?? true);
    const present = word === "camera" || !(word in PAGES) ? "cameras" : word;
    this.#who.replaceChildren(h("span", { class: "long" }, "Logged in as "), this.#agent.role);
    this.#nav.replaceChildren(
      ...offered.map(([name, page]) => h("a", { href: `#/${name}`, "aria-current": name === present ? "page" : null }, page.title)),
    );
  }
}

customElements.define("camera-console", CameraConsole);
