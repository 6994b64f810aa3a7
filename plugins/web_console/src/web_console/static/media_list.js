import { button, confirmed, h, Part, words } from "./dom.js";
import { day, duration, size, time } from "./format.js";

const PAGE = 50;

/** Recordings or snapshots, newest first, by day, with thumbnails. `kind` is "recordings" or "snapshots". */
class MediaList extends Part {
  #list = h("div", {});
  #told = h("p", { role: "status", class: "muted", tabindex: "-1" });
  #player = h("div", {});
  #filter = h("select", { id: "filter" });
  #more = h("div", {});
  #offset = 0;
  #lastDay = "";
  #seen = new Set();

  render() {
    const { cameras } = this.agent;
    this.#filter.append(h("option", { value: "" }, "All cameras"));
    for (const each of this.agent.ordered) this.#filter.append(h("option", { value: each.device }, `${each.name} (${each.device})`));
    this.#filter.addEventListener("change", () => this.#reload());
    this.replaceChildren(h("p", { class: "row" }, h("label", { for: "filter" }, "Camera"), this.#filter, button("Refresh", () => this.#reload())), this.#player, this.#told, this.#list, this.#more);
    this.names = (device) => cameras.get(device)?.name ?? device;
    const name = this.kind === "recordings" ? "recording" : "snapshot";
    this.listen(this.agent, name, ({ detail }) => {
      if (name === "snapshot" || ["STOPPED", "STARTED"].includes(detail.status)) this.#renew();
    });
    this.listen(this.agent, "ready", () => this.#renew());
    this.#reload();
  }

  /** Load the list again, unless that would take away what a person is reading. */
  #renew() {
    const isInUse = this.#offset > PAGE || this.#list.contains(document.activeElement);
    if (isInUse) this.#told.replaceChildren("The files have changed: Refresh shows them.");
    else this.#reload();
  }

  async #reload() {
    this.#offset = 0;
    this.#lastDay = "";
    await this.#load(true);
  }

  async #load(isFirst) {
    const device = this.#filter.value;
    try {
      const found = await this.agent.call(`list_${this.kind}`, { limit: PAGE, offset: this.#offset, ...(device ? { device } : {}) });
      if (isFirst) {
        this.#list.replaceChildren();
        this.#seen.clear();
      }
      this.#told.replaceChildren(found.total === 0 ? `There are no ${this.kind}.` : `${found.total} ${found.total === 1 ? this.kind.slice(0, -1) : this.kind}`);
      for (const each of found.files) this.#add(each);
      this.#offset += found.files.length;
      const hasMore = found.files.length > 0 && this.#offset < found.total;
      this.#more.replaceChildren(hasMore ? button("Show more", () => this.#load(false)) : "");
    } catch (error) {
      this.#told.replaceChildren(words(error));
    }
  }

  #add(file) {
    const of = day(file.modified_time);
    if (of !== this.#lastDay) {
      this.#lastDay = of;
      this.#list.append(h("h2", {}, of), h("ul", { class: "files" }));
    }
    this.#list.lastElementChild.append(this.#item(file));
  }

  #item(file) {
    const isRunning = this.#isRunning(file);
    const thumbnail = file.thumbnail_url
      ? h("img", { src: this.session.url(file.thumbnail_url), alt: "", loading: "lazy", onerror: (event) => event.target.remove() })
      : null;
    const length = file.duration === undefined ? "" : duration(file.duration);
    const item = h(
      "li",
      {},
      h("span", { class: "picture" }, thumbnail),
      h("span", { class: "name" }, this.names(file.device)),
      h("span", { class: "muted" }, [time(file.modified_time), length, size(file.file_size), file.format].filter(Boolean).join(" · ")),
      h("span", { class: "muted filename" }, file.filename),
      isRunning ? h("span", { class: "mark recording" }, "Recording now") : null,
    );
    const label = `${this.names(file.device)}, ${time(file.modified_time)}`;
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
      const url = this.session.url(file.download_url);
      shown.push(button(this.kind === "recordings" ? "Play" : "Show", () => this.#show(file, url), { "aria-label": `Show ${label}` }));
      shown.push(h("a", { href: url, download: "", "aria-label": `Download ${label}` }, "Download"));
    }
    if (this.agent.may("admin") && !isRunning) {
      shown.push(button("Delete", () => this.#delete(file, label), { "aria-label": `Delete ${label}`, class: "danger" }));
    }
    return shown;
  }

  #show(file, url) {
    const close = button("Close", () => this.#player.replaceChildren());
    if (this.kind === "snapshots") {
      this.#player.replaceChildren(h("figure", {}, h("img", { src: url, alt: `Snapshot ${file.filename}` }), h("figcaption", {}, file.filename)), close);
    } else {
      const problem = h("p", { class: "problem", role: "alert" });
      const video = h("video", { src: url, controls: true, autoplay: true, ".muted": true, "aria-label": `Recording ${file.filename}` });
      video.addEventListener("error", () => {
        const why = file.format === "mpegts" ? "Browsers play no MPEG-TS" : "This browser cannot play it: the codec may be H.265, or segments differ";
        problem.replaceChildren(`${why}. Download it, and play it with another program.`);
      });
      this.#player.replaceChildren(h("figure", {}, video, h("figcaption", {}, file.filename)), problem, close);
    }
    this.#player.scrollIntoView({ block: "nearest" });
    close.focus();
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
