// The document is changed by keys and by text alone: what is the same stays, and nothing that came from
// outside is ever read as markup.

/** @returns {any} */
export const find = (id) => document.getElementById(id);

/** An element with a class and a text. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

/** Writes a text where it is another one. */
export function put(node, text) {
  const wanted = String(text);
  const only = node.firstChild;
  if (
    only === null
      ? wanted === ""
      : only === node.lastChild && only.nodeType === Node.TEXT_NODE && only.data === wanted
  )
    return;
  node.textContent = wanted;
}

/** Sets, or with null takes away, an attribute. */
export function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const wanted = value === true ? "" : String(value);
    if (node.getAttribute(name) !== wanted) node.setAttribute(name, wanted);
  }
}

/**
 * The children of `parent`, one for each item, in their order. `make` gives a new one (an element),
 * `fill` writes an item into one that is there. What stays is not touched but where it differs.
 */
export function keyed(parent, items, keyOf, make, fill) {
  const before = (parent.keyed ??= new Map());
  const wanted = new Map();
  for (const item of items) wanted.set(keyOf(item), item);
  for (const [key, child] of before) {
    if (wanted.has(key)) continue;
    child.remove();
    before.delete(key);
  }
  let next = parent.firstElementChild;
  for (const [key, item] of wanted) {
    let child = before.get(key);
    if (child === undefined) before.set(key, (child = make(item)));
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
    fill(child, item);
  }
}
