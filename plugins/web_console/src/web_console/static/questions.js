import { h } from "./dom.js";

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
