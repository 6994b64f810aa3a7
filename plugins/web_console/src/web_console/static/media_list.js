import { button, h, words } from "./dom.js";
import { duration, nearDay, size, time } from "./format.js";
import { Part } from "./part.js";
import { play } from "./player.js";
import { confirmed } from "./questions.js";
import { clock } from "./stamp.js";

const PAGE = 50;
/** Age from which a link to a file is asked for anew; the agent's links end after an hour. */
const LINK_MS = 45 * 60_000;

/** Recordings or snapshots, newest first, by day, with thumbnails. `kind` is "recordings" or "snapshots". */
class MediaList extends Part {
  #list = h("div", {});
  #told = h("p", { role: "status", class: "muted", tabindex: "-1" });
  #filter = h("select", { id: "filter" });
  #more = h("div", {});
  #offset = 0;
  #lastDay = "";
  #seen = new Set();
  #offered = "";
  /** Number of the newest load from the start: the answer of an earlier one comes too late. */
  #loads = 0;

  render() {
    this.#offerCameras(this.device);
    this.#filter.addEventListener("change", () => this.#reload());
    this.#told.replaceChildren("Loading …");
    this.replaceChildren(h("p", { class: "row" }, h("label", { for: "filter" }, "Camera"), this.#filter, button("Refresh", () => this.#reload())), this.#told, this.#list, this.#more);
    this.listen(this.agent, "cameras", () => {
      const chosen = this.#filter.value;
      this.#offerCameras(chosen);
      if (this.#filter.value !== chosen) this.#renew(); // the camera was removed
    });
    const name = this.kind === "recordings" ? "recording" : "snapshot";
    this.listen(this.agent, name, ({ detail }) => {
      if (name === "snapshot" || ["STOPPED", "STARTED"].includes(detail.status)) this.#renew();
    });
    this.listen(this.agent, "ready", () => this.#renew());
    this.#reload();
  }

  #nameOf(device) {
    return this.agent.cameras.get(device)?.name ?? device;
  }

  /** Offer the cameras that there are now; the agent lists the files of others only together with all. */
  #offerCameras(chosen) {
    const offered = [["", "All cameras"], ...this.agent.ordered.map((each) => [each.device, `\u2068${each.name}\u2069 (${each.device})`])];
    const key = JSON.stringify(offered);
    if (key === this.#offered) return;
    this.#offered = key;
    this.#filter.replaceChildren(...offered.map(([value, label]) => h("option", { value }, label)));
    this.#filter.value = offered.some(([value]) => value === chosen) ? chosen : "";
  }

  /** Load the list again, unless that would take away what a person is reading. */
  #renew() {
    const isInUse = this.#offset > PAGE || this.#list.contains(document.activeElement) || document.querySelector("dialog[open]") !== null;
    if (isInUse) this.#told.replaceChildren("The files have changed: Refresh shows them.");
    else this.#reload();
  }

  async #reload() {
    this.#loads += 1;
    await this.#load(0);
  }

  async #load(offset) {
    const load = this.#loads;
    const device = this.#filter.value;
    try {
      const found = await this.agent.call(`list_${this.kind}`, { limit: PAGE, offset, ...(device ? { device } : {}) });
      if (load === this.#loads) this.#show(found, offset);
    } catch (error) {
      if (load === this.#loads) this.#told.replaceChildren(words(error));
    }
  }

  #show(found, offset) {
    if (offset === 0) {
      this.#list.replaceChildren();
      this.#seen.clear();
      this.#lastDay = "";
    }
    const asked = Date.now();
    const items = found.files.map((each) => this.#add({ ...each, asked }));
    this.#offset = offset + found.files.length;
    const hasMore = found.files.length > 0 && this.#offset < found.total;
    const all = `${found.total} ${found.total === 1 ? this.kind.slice(0, -1) : this.kind}`;
    this.#told.replaceChildren(found.total === 0 ? this.#none() : hasMore ? `${all}, the newest ${this.#offset} are shown.` : all);
    this.#more.replaceChildren(hasMore ? button("Show more", () => this.#load(this.#offset)) : "");
    if (offset > 0) items[0]?.querySelector("button, a")?.focus(); // the button that was pressed is gone
  }

  #none() {
    const of = this.#filter.value ? " of this camera" : "";
    const how = this.agent.may("operator") ? ` Open a camera to ${this.kind === "recordings" ? "record it" : "take one"}.` : "";
    return `There are no ${this.kind}${of}.${how}`;
  }

  #add(file) {
    const of = nearDay(file.modified_time);
    if (of !== this.#lastDay) {
      this.#lastDay = of;
      this.#list.append(h("h2", {}, of), h("ul", { class: "files" }));
    }
    const item = this.#item(file);
    this.#list.lastElementChild.append(item);
    return item;
  }

  #item(file) {
    const isRunning = this.#isRunning(file);
    const thumbnail = file.thumbnail_url
      ? h("img", { src: this.session.url(file.thumbnail_url), alt: "", loading: "lazy", onerror: (event) => event.target.remove() })
      : null;
    const length = file.duration === undefined ? "" : duration(file.duration);
    const name = this.#nameOf(file.device);
    const show = file.download_url ? { title: this.#verb, onclick: () => this.#open(file, isRunning) } : {};
    const item = h(
      "li",
      {},
      h("span", { class: "picture", ...show }, thumbnail),
      h("span", { class: "name", dir: "auto", title: name }, name),
      h("span", { class: "muted" }, clock(file.modified_time), ["", length, size(file.file_size), file.format].filter((each, at) => at === 0 || each).join(" · ")),
      h("span", { class: "muted filename" }, file.filename),
      isRunning ? h("span", { class: "mark recording" }, "Recording now") : null,
    );
    const label = `${name}, ${time(file.modified_time)}`;
    item.append(h("span", { class: "row" }, ...this.#actions(file, label, isRunning)));
    return item;
  }

  /** Return true for the newest recording of a camera that is recording; the list begins with the newest. */
  #isRunning(file) {
    if (this.kind !== "recordings" || this.#seen.has(file.device)) return false;
    this.#seen.add(file.device);
    return this.agent.cameras.get(file.device)?.is_recording ?? false;
  }

  #actions(file, label, isRunning) {
    const shown = [];
    if (file.download_url) {
      shown.push(button(this.#verb, () => this.#open(file, isRunning), { "aria-label": `${this.#verb} ${label}` }));
      const link = h("a", { href: this.session.url(file.download_url), download: "", class: "button", "aria-label": `Download ${label}` }, "Download");
      link.addEventListener("click", (event) => this.#download(event, link, file));
      shown.push(link);
    }
    if (this.agent.may("admin") && !isRunning) {
      shown.push(button("Delete", () => this.#delete(file, label), { "aria-label": `Delete ${label}`, class: "danger" }));
    }
    return shown;
  }

  get #verb() {
    return this.kind === "recordings" ? "Play" : "Show";
  }

  /** Return the address of a file; that of the list while it is valid, and for a recording that grows a new one. */
  async #url(file, isRunning = false) {
    if (isRunning || Date.now() - file.asked > LINK_MS) {
      const method = this.kind === "recordings" ? "get_recording_info" : "get_snapshot_info";
      file.download_url = (await this.agent.call(method, { filename: file.filename })).download_url;
      file.asked = Date.now();
    }
    return this.session.url(file.download_url);
  }

  async #open(file, isRunning) {
    try {
      const url = await this.#url(file, isRunning);
      if (this.isConnected) play(this, this.kind, file, { url, name: this.#nameOf(file.device) });
    } catch (error) {
      this.#told.replaceChildren(words(error));
    }
  }

  /** Take another link for the download if the present one may have ended. */
  async #download(event, link, file) {
    if (Date.now() - file.asked <= LINK_MS) return;
    event.preventDefault();
    try {
      link.href = await this.#url(file);
      link.click();
    } catch (error) {
      this.#told.replaceChildren(words(error));
    }
  }

  async #delete(file, label) {
    if (!(await confirmed(`Delete ${label} (${file.filename})? This cannot be undone.`, "Delete"))) return;
    try {
      await this.agent.call(this.kind === "recordings" ? "delete_recording" : "delete_snapshot", { filename: file.filename });
      await this.#reload();
      this.#told.focus(); // the button is gone
    } catch (error) {
      this.#told.replaceChildren(words(error));
    }
  }
}

customElements.define("media-list", MediaList);
