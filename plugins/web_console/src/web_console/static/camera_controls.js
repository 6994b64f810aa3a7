import { button, h, words } from "./dom.js";
import { Part } from "./part.js";

/** Flags with which a control cannot be changed now. */
const FIXED = ["read_only", "disabled", "grabbed", "inactive"];

/** Image controls of a camera, as sliders, boxes and menus; text for users who may not set them. */
class CameraControls extends Part {
  #list = h("div", { class: "controls" });
  #told = h("p", { role: "status" });
  /** Wishes that are not sent yet, and the sending of those before. */
  #wanted = [];
  #sending = null;

  render() {
    this.listen(this.agent, "controls", ({ detail }) => detail.device === this.device && this.#load());
    this.listen(this.agent, "ready", () => this.#load());
    this.#load();
  }

  async #load() {
    let known = null;
    try {
      known = await this.agent.call("get_camera_capabilities", { device: this.device });
    } catch {
      return; // the page itself tells it
    }
    // A control that is held at the moment keeps its element, and with it the focus and the pointer.
    if (this.#list.contains(document.activeElement) && this.#list.childElementCount === known.controls.length) {
      return this.#refresh(known.controls);
    }
    if (known.controls.length === 0) return this.replaceChildren();
    const reset = this.agent.may("operator") ? button("Reset all", () => this.#set({ reset: true })) : null;
    this.#list.replaceChildren(...known.controls.map((each) => this.#row(each)));
    if (!this.isConnected || this.contains(this.#list)) return undefined;
    return this.replaceChildren(h("details", { open: true }, h("summary", {}, "Image controls"), this.#list, h("div", { class: "row" }, reset ?? "", this.#told)));
  }

  #refresh(controls) {
    for (const each of controls) {
      const row = [...this.#list.children].find((one) => one.dataset.name === each.name);
      if (row === undefined || row.contains(document.activeElement)) continue;
      row.replaceWith(this.#row(each));
    }
  }

  #row(control) {
    const id = `control-${control.name.replace(/\W/g, "-")}`;
    const label = control.name.replaceAll("_", " ");
    const isFixed = !control.settable || FIXED.some((each) => control.flags.includes(each)) || !this.agent.may("operator");
    const row = h("div", { class: "control" });
    row.dataset.name = control.name;
    row.append(h("label", { for: id }, label), ...this.#field(control, id, isFixed));
    const why = control.settable ? (control.flags.includes("inactive") ? "determined by another control now" : "") : control.reason;
    if (why) row.append(h("small", { class: "muted" }, why));
    return row;
  }

  #field(control, id, isFixed) {
    const change = (value) => this.#set({ controls: { [control.name]: value } });
    if (control.kind === "boolean") {
      return [h("input", { id, type: "checkbox", ".checked": control.value === 1, disabled: isFixed, onchange: (event) => change(event.target.checked) })];
    }
    if (Object.keys(control.choices).length > 0) {
      const options = Object.entries(control.choices).map(([value, text]) => h("option", { value, selected: Number(value) === control.value }, text));
      return [h("select", { id, disabled: isFixed, onchange: (event) => change(Number(event.target.value)) }, options)];
    }
    if (control.kind === "button") return [button(control.name, () => change(1), { id, disabled: isFixed })];
    if (!control.settable) return [h("output", { id }, "–")];
    const shown = h("output", { for: id }, String(control.value));
    const slider = h("input", {
      id,
      type: "range",
      min: control.minimum,
      max: control.maximum,
      step: control.step || 1,
      disabled: isFixed,
      oninput: (event) => shown.replaceChildren(event.target.value),
      onchange: (event) => change(Number(event.target.value)),
    });
    slider.value = control.value;
    return [slider, shown];
  }

  /** Send one change after the other; of those that are wished meanwhile, such as by a key that is held, the newest. */
  #set(wanted) {
    const last = this.#wanted.at(-1);
    if (last?.controls && wanted.controls) Object.assign(last.controls, wanted.controls);
    else this.#wanted.push(wanted);
    this.#sending ??= this.#send().finally(() => (this.#sending = null));
    return this.#sending;
  }

  async #send() {
    while (this.#wanted.length > 0) await this.#sendOne(this.#wanted.shift());
  }

  /** Set controls, and tell what differs from the wish. */
  async #sendOne(wanted) {
    try {
      const done = await this.agent.call("set_camera_controls", { device: this.device, ...wanted });
      const odd = Object.entries(done.controls).filter(([, each]) => each.status !== "APPLIED" && !wanted.reset);
      const told = odd.map(([name, each]) => `${name}: ${each.reason ?? each.status}`);
      if (!done.stored) told.push("The values cannot be stored now.");
      this.#told.replaceChildren(told.length === 0 ? "Set." : told.join(" "));
    } catch (error) {
      this.#told.replaceChildren(words(error));
    }
  }
}

customElements.define("camera-controls", CameraControls);
