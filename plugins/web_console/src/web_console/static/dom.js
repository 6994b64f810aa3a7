/**
 * Make an element. Text children are always text, so that no name of a camera or file is ever HTML.
 *
 * In `properties`, `onclick` and the like are listeners, names with a leading dot are properties of the element, and all
 * others attributes; `false`, `null` and `undefined` leave an attribute out, and `true` is an attribute without a value.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith(".")) element[name.slice(1)] = value;
    else if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

/** Make a button; `act` may be async. While it runs, the button cannot be pressed again. */
export function button(label, act, properties = {}) {
  const made = h("button", { type: "button", ...properties }, label);
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      await act();
    } finally {
      made.disabled = false;
    }
  });
  return made;
}

/** Make a definition list of pairs; pairs without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** Make a table that scrolls by itself on narrow pages. */
export function table(caption, heads, rows) {
  return h(
    "div",
    { class: "scrolls", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, heads.map((each) => h("th", { scope: "col" }, each)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((each) => h("td", {}, each))))),
    ),
  );
}

/** Return the words of an error, with the next step and the nearest valid value if there are such. */
export function words(error) {
  const suggestion = error?.suggestion ? ` ${error.suggestion}` : "";
  const hint = error?.data?.hint ? ` Such as: ${error.data.hint}` : "";
  return `${error?.message ?? error}${suggestion}${hint}`;
}

/** Ask in a dialog; return true if the person agrees. Focus returns to where it was. */
export function confirmed(question, agree) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const dialog = h(
      "dialog",
      { "aria-label": question },
      h("p", {}, question),
      h(
        "form",
        { method: "dialog", class: "row" },
        h("button", { value: "no", autofocus: true }, "Cancel"),
        h("button", { value: "yes", class: "danger" }, agree),
      ),
    );
    // CSP forbids the submission of forms, so the buttons close the dialog themselves.
    for (const each of dialog.querySelectorAll("button")) {
      each.type = "button";
      each.addEventListener("click", () => dialog.close(each.value));
    }
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Element that shows a part of the agent: `render` is called when it is added to the page, and `listen` adds a listener
 * that ends with it.
 */
export class Part extends HTMLElement {
  #end = null;

  connectedCallback() {
    this.#end = new AbortController();
    this.render();
  }

  disconnectedCallback() {
    this.#end?.abort();
    this.leave();
  }

  /** Signal that aborts when the element leaves the page. */
  get signal() {
    return this.#end.signal;
  }

  listen(target, name, listener) {
    target.addEventListener(name, listener, { signal: this.signal });
  }

  /** Call `tick` now and then regularly, one call after the other, while the element is in the page. */
  async every(intervalMs, tick) {
    const { signal } = this;
    while (!signal.aborted) {
      try {
        await tick();
      } catch {
        // The connection's own banner tells of a lost connection; the next tick tries again.
      }
      await new Promise((resolve) => setTimeout(resolve, intervalMs));
    }
  }

  /** Make the content. */
  render() {}

  /** Let go of what the element holds outside of the page. */
  leave() {}
}
