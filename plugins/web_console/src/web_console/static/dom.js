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
    { class: "scrolls", tabindex: "0", role: "region", "aria-label": caption },
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
  narrow.observe(scrolls.firstElementChild);
  return scrolls;
}

/**
 * Give an element the content of another one of the same kind, by as few changes as possible: what stays the same keeps
 * its place, scrolling, selection and focus. For content without listeners; `tabindex` is left to tables.
 */
export function patch(present, wanted) {
  const [before, after] = [[...present.childNodes], [...wanted.childNodes]];
  if (before.length !== after.length) return present.replaceChildren(...after);
  before.forEach((one, at) => {
    const other = after[at];
    if (one.nodeName !== other.nodeName) return one.replaceWith(other);
    if (one.nodeType === Node.TEXT_NODE) return one.data === other.data || (one.data = other.data);
    for (const { name, value } of other.attributes) {
      if (name !== "tabindex" && one.getAttribute(name) !== value) one.setAttribute(name, value);
    }
    return patch(one, other);
  });
  return undefined;
}

/** Return the words of an error, with the next step and the nearest valid value if there are such. */
export function words(error) {
  const suggestion = error?.suggestion ? ` ${error.suggestion}` : "";
  const hint = error?.data?.hint ? ` Such as: ${error.data.hint}` : "";
  return `${error?.message ?? error}${suggestion}${hint}`;
}
