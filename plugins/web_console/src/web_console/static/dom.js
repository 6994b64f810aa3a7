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
  made.addEventListener("click", () => once(made, act));
  return made;
}

/** Make a form with a button; `submit` may be async. While it runs, the form cannot be submitted again. */
export function form(label, submit, send, ...fields) {
  const sender = h("button", { type: "submit", class: "primary" }, send);
  const made = h("form", { class: "stacked", "aria-label": label }, ...fields, sender);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    once(sender, () => submit(made));
  });
  return made;
}

/** Act unless the button is busy. It is not disabled meanwhile, because that would take the focus from it. */
async function once(made, act) {
  if (made.getAttribute("aria-disabled") === "true") return;
  made.setAttribute("aria-disabled", "true");
  try {
    await act();
  } finally {
    made.removeAttribute("aria-disabled");
  }
}

/** Make a definition list of pairs; pairs without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** Make a table that scrolls by itself on narrow pages, and is a stop of the Tab key only then. */
export function table(caption, heads, rows) {
  const scrolls = h(
    "div",
    { class: "scrolls", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, heads.map((each) => h("th", { scope: "col" }, each)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((each) => h("td", {}, each))))),
    ),
  );
  const narrow = new ResizeObserver(() => {
    if (scrolls.scrollWidth > scrolls.clientWidth) scrolls.setAttribute("tabindex", "0");
    else scrolls.removeAttribute("tabindex");
  });
  narrow.observe(scrolls);
  return scrolls;
}

/**
 * Give an element the content of another one of the same kind, by as few changes as possible: what stays the same keeps
 * its place, scrolling, selection and focus. For content without listeners.
 */
export function patch(present, wanted) {
  const [before, after] = [[...present.childNodes], [...wanted.childNodes]];
  if (before.length !== after.length) return present.replaceChildren(...after);
  before.forEach((one, at) => {
    const other = after[at];
    if (one.nodeName !== other.nodeName) return one.replaceWith(other);
    if (one.nodeType === Node.TEXT_NODE) return one.data === other.data || (one.data = other.data);
    for (const { name, value } of other.attributes) if (one.getAttribute(name) !== value) one.setAttribute(name, value);
    return patch(one, other);
  });
  return undefined;
}

/** Wait; not longer than until the signal, if there is one, aborts. */
export function pause(ms, signal = null) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    return signal?.addEventListener("abort", done);
  });
}

/** Wait until the page can be seen, or the signal, if there is one, aborts. */
export function shown(signal = null) {
  return new Promise((resolve) => {
    const end = new AbortController();
    const look = () => {
      if (document.visibilityState !== "visible" && !signal?.aborted) return;
      end.abort();
      resolve();
    };
    document.addEventListener("visibilitychange", look, { signal: end.signal });
    signal?.addEventListener("abort", look, { signal: end.signal });
    look();
  });
}

/** Return the words of an error, with the next step and the nearest valid value if there are such. */
export function words(error) {
  const suggestion = error?.suggestion ? ` ${error.suggestion}` : "";
  const hint = error?.data?.hint ? ` Such as: ${error.data.hint}` : "";
  return `${error?.message ?? error}${suggestion}${hint}`;
}

/** Close the dialogs of a page that is left, as if they were cancelled. */
export function closeDialogs() {
  for (const each of document.querySelectorAll("dialog[open]")) each.close();
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

  /** Call `tick` now and then regularly, one call after the other, while the element is in the page and can be seen. */
  async every(intervalMs, tick) {
    const { signal } = this;
    while (!signal.aborted) {
      try {
        if (document.visibilityState === "visible") await tick();
        else await shown(signal);
      } catch {
        // The connection's own banner tells of a lost connection; the next tick tries again.
      }
      if (document.visibilityState === "visible") await pause(intervalMs, signal);
    }
  }

  /** Make the content. */
  render() {}

  /** Let go of what the element holds outside of the page. */
  leave() {}
}
