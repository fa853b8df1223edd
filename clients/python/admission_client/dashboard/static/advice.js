// Recommendations: what, why, and the command to copy.

import { toast } from "./acts.js";
import { element, find, keyed, attribute, put } from "./dom.js";
import { count } from "./words.js";

export function showAdvice({ recommendations }) {
  find("advice-empty").hidden = recommendations.length > 0;
  put(find("advice-aside"), recommendations.length ? count(recommendations.length, "point") : "");
  keyed(find("advice"), recommendations, ({ rule, what }) => `${rule} ${what}`, make, fill);
}

function make() {
  const line = element("li");
  const command = element("p", "command");
  const button = element("button", "quiet", "Copy");
  button.type = "button";
  button.addEventListener("click", () => copy(line.item.command));
  command.append(element("code"), button);
  line.append(element("p", "what"), element("p", "why"), command);
  return line;
}

function fill(line, one) {
  line.item = one;
  put(line.children[0], one.what);
  put(line.children[1], one.why);
  const [code, button] = line.children[2].children;
  line.children[2].hidden = !one.command;
  put(code, one.command);
  attribute(button, "aria-label", `Copy: ${one.command}`);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("This browser lets nobody copy here; mark the command and copy it by hand.");
  }
}
