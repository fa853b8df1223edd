// What can be done from the page: asked for in a dialogue that says what happens and which command does the
// same, then sent with the token, which the browser never sends by itself.

import { element, find, put } from "./dom.js";

const KEPT = "admission-token";
const FOR = [
  ["10m", 600],
  ["30m", 1800],
  ["1h", 3600],
  ["4h", 14400],
];
const TOAST_MS = 5_000;

let token = takeToken();
let isReadOnly = true;

/** The address carries the token behind its `#`; it is kept for this tab alone, and leaves the address. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEPT);
}

export const mayAct = () => !isReadOnly && Boolean(token);

export function setReadOnly(value) {
  isReadOnly = value;
  find("read-only").hidden = mayAct();
}

/** Sends it; gives the daemon's answer or throws what it says. */
async function send(what) {
  const answer = await fetch("/act", {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify(what),
  });
  const kind = answer.headers.get("content-type") ?? "";
  const said = kind.includes("json")
    ? await answer.json()
    : { error: { message: await answer.text() } };
  if (!answer.ok) throw new Error(said.error?.message ?? `refused (${answer.status})`);
  return said;
}

export function toast(text) {
  const shown = find("toast");
  put(shown, text);
  shown.hidden = false;
  clearTimeout(shown.timer);
  shown.timer = setTimeout(() => (shown.hidden = true), TOAST_MS);
}

/**
 * Asks, and does it where the answer is yes. `fields`: what is to be chosen, `{name, label, options}` or
 * `{name, label, type, value, min, max}`; `command` and `what` are functions of what was chosen.
 */
export function ask({ title, text, fields = [], command, what, yes, done }) {
  const dialog = find("dialog");
  put(find("dialog-title"), title);
  put(find("dialog-text"), text);
  put(find("dialog-yes"), yes);
  find("dialog-problem").hidden = true;
  const inputs = fields.map(field);
  find("dialog-fields").replaceChildren(...inputs.map(({ label }) => label));
  const chosen = () =>
    Object.fromEntries(
      inputs.map(({ name, input }) => [
        name,
        input.type === "checkbox" ? input.checked : input.value,
      ]),
    );
  const tell = () => put(find("dialog-command"), command(chosen()));
  find("dialog-fields").oninput = tell;
  tell();
  find("dialog-form").onsubmit = async (event) => {
    event.preventDefault();
    await carryOut(dialog, () => send(what(chosen())), done);
  };
  find("dialog-no").onclick = () => dialog.close();
  dialog.showModal();
}

async function carryOut(dialog, call, done) {
  const button = find("dialog-yes");
  button.disabled = true;
  try {
    const said = await call();
    dialog.close();
    toast(typeof done === "function" ? done(said) : done);
  } catch (problem) {
    put(find("dialog-problem"), problem.message);
    find("dialog-problem").hidden = false;
  } finally {
    button.disabled = false;
  }
}

function field({ name, label: text, options, ...rest }) {
  const label = element("label", "", text);
  const input = element(options ? "select" : "input");
  input.name = name;
  for (const [shown, value] of options ?? []) {
    const option = element("option", "", shown);
    option.value = value;
    input.append(option);
  }
  Object.assign(input, rest);
  label.append(input);
  return { name, label, input };
}

/** How long: a field to choose from; the words of the command line stand for the seconds. */
export const howLong = (forGood) => ({
  name: "for_s",
  label: "For",
  options: [...FOR, ...(forGood ? [[forGood, ""]] : [])],
});

export const forOption = ({ for_s: chosen }) => {
  const word = FOR.find(([, seconds]) => String(seconds) === chosen)?.[0];
  return word ? ` --for ${word}` : "";
};

export const forField = ({ for_s: chosen }) => (chosen ? { for_s: Number(chosen) } : {});
