// A table whose rows are kept by key.

import { element, keyed, attribute, put } from "./dom.js";

export class Table {
  /**
   * `columns`: each with `head`, and `text(row)` or `fill(cell, row)`; `className`; `isLive`: it tells a
   * duration, which grows; `isName`: it heads its row; `by(row)`: what rows can be ordered by.
   */
  constructor(table, columns, keyOf, empty) {
    this.table = table;
    this.columns = columns;
    this.keyOf = keyOf;
    this.empty = empty;
    this.rows = [];
    const head = table.createTHead().insertRow();
    for (const column of columns) head.append(this.#head(column));
    this.body = table.createTBody();
    this.order = null;
    this.isDown = true;
  }

  #head(column) {
    const cell = element("th", column.className ?? "");
    cell.scope = "col";
    if (!column.head) cell.append(element("span", "unseen", "What can be done"));
    else if (!column.by) cell.textContent = column.head;
    else {
      const button = element("button", "order", column.head);
      button.type = "button";
      button.addEventListener("click", () => this.#orderBy(column));
      cell.append(button);
    }
    return cell;
  }

  /** The largest first, then the smallest first, then as they came. */
  #orderBy(column) {
    if (this.order !== column) [this.order, this.isDown] = [column, true];
    else if (this.isDown) this.isDown = false;
    else this.order = null;
    [...this.table.tHead.rows[0].cells].forEach((cell, index) => {
      const isOrder = this.columns[index] === this.order;
      attribute(cell, "aria-sort", isOrder ? (this.isDown ? "descending" : "ascending") : null);
    });
    this.show(this.rows);
  }

  #ordered() {
    if (!this.order) return this.rows;
    const { by } = this.order;
    const sign = this.isDown ? -1 : 1;
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    return [...this.rows].sort((a, b) => sign * compare(by(a) ?? -Infinity, by(b) ?? -Infinity));
  }

  show(rows) {
    this.rows = rows;
    this.table.hidden = !rows.length;
    this.empty.hidden = rows.length > 0;
    keyed(
      this.body,
      this.#ordered(),
      this.keyOf,
      () => this.#row(),
      (line, row) => this.#fill(line, row, this.columns),
    );
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
