// A table whose rows are kept by key.

import { element, keyed, put } from "./dom.js";

export class Table {
  /**
   * `columns`: each with `head`, and `text(row)` or `fill(cell, row)`; `className`; `isLive`: it tells a
   * duration, which grows; `isName`: it heads its row.
   */
  constructor(table, columns, keyOf, empty) {
    this.table = table;
    this.columns = columns;
    this.keyOf = keyOf;
    this.empty = empty;
    this.rows = [];
    const head = table.createTHead().insertRow();
    for (const { head: text, className = "" } of columns) {
      const cell = element("th", className);
      if (text) cell.textContent = text;
      else cell.append(element("span", "unseen", "What can be done"));
      cell.scope = "col";
      head.append(cell);
    }
    this.body = table.createTBody();
  }

  show(rows) {
    this.rows = rows;
    this.table.hidden = !rows.length;
    this.empty.hidden = rows.length > 0;
    keyed(this.body, rows, this.keyOf, () => this.#row(), (line, row) => this.#fill(line, row, this.columns));
  }

  /** Durations, again. */
  tick() {
    const live = this.columns.some((column) => column.isLive);
    if (!live) return;
    for (const line of this.body.rows) this.#fill(line, line.item, this.columns, true);
  }

  #row() {
    const line = element("tr");
    for (const { isName, className = "" } of this.columns) {
      const cell = element(isName ? "th" : "td", className);
      if (isName) cell.scope = "row";
      line.append(cell);
    }
    return line;
  }

  #fill(line, row, columns, isTick = false) {
    line.item = row;
    columns.forEach((column, index) => {
      if (isTick && !column.isLive) return;
      const cell = line.cells[index];
      if (column.fill) column.fill(cell, row);
      else put(cell, column.text(row));
    });
  }
}

/** A cell with a main text and a second line. */
export function twoLines(cell, main, sub, className = "sub") {
  const [first, second] = cell.children.length
    ? cell.children
    : [cell.appendChild(element("span", "wide")), cell.appendChild(element("span"))];
  put(first, main);
  if (second.className !== className) second.className = className;
  put(second, sub);
  second.hidden = !sub;
}

/** A cell with buttons: `acts` are `{name, about, call(row)}`; made once for a row. */
export function buttons(cell, acts, line) {
  if (cell.childElementCount === acts.length) return;
  cell.replaceChildren(
    ...acts.map(({ name, about, call }) => {
      const button = element("button", "quiet", name);
      button.type = "button";
      button.setAttribute("aria-label", about(line.item));
      button.addEventListener("click", () => call(line.item));
      return button;
    }),
  );
}
