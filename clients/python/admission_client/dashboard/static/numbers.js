// What the charts and the slots show, as text: some instants of them, the leases, the changes of the level.

import { element, find, keyed, put } from "./dom.js";
import { now } from "./now.js";
import { Table } from "./table.js";
import { clock, duration, percent } from "./words.js";

const INSTANTS = 15;
const ENDED_SHOWN = 100;
const CHANGES_SHOWN = 50;

const ended = new Table(
  find("ended-table"),
  [
    { head: "Lease", className: "number roomy", text: (row) => row.lease ?? "–" },
    { head: "Task", isName: true, text: (row) => row.task || "–" },
    { head: "Class", className: "roomy", text: (row) => row.class },
    { head: "From", className: "number", text: (row) => clock(row.grantedAt, now()) },
    {
      head: "Waited",
      className: "number roomy",
      text: (row) => duration(row.grantedAt - row.queuedAt),
    },
    {
      head: "Held",
      className: "number",
      text: (row) => duration((row.endedAt ?? now()) - row.grantedAt),
    },
    {
      head: "Ended",
      text: (row) => (row.endedAt === null ? "still held" : (row.reason ?? "not seen")),
    },
  ],
  ({ lease, grantedAt }) => `${lease} ${grantedAt}`,
  find("ended-empty"),
);

/** The newest of those that were granted. */
export function showLeases(leases) {
  const granted = leases
    .filter((one) => one.grantedAt !== null)
    .sort((a, b) => b.grantedAt - a.grantedAt);
  ended.show(granted.slice(0, ENDED_SHOWN));
}

/** @type {[string, string, (row: any, at: number) => any][]} */
const COLUMNS = [
  ["When", "", (_, at) => clock(at, now())],
  ["Level", "number", (row) => row.level ?? "–"],
  ["Memory", "number", (row) => percent(row.memory)],
  ["CPU", "number", (row) => percent(row.cpu)],
  ["Memory stalls", "number roomy", (row) => percent(row.memoryStall)],
  ["CPU stalls", "number roomy", (row) => percent(row.cpuStall)],
  ["Held", "number roomy", (row) => row.inUse ?? "–"],
  ["Waiting", "number roomy", (row) => row.waiting ?? "–"],
];

/** Some instants of those that are drawn, evenly apart. */
export function showNumbers({ points }) {
  const table = find("numbers-table");
  if (!table.tHead) {
    const head = table.createTHead().insertRow();
    for (const [name, className] of COLUMNS)
      head.append(Object.assign(element("th", className, name), { scope: "col" }));
    table.createTBody();
  }
  const seen = points.at
    .map((_, index) => index)
    .filter((index) => points.memory[index] !== null || points.cpu[index] !== null);
  const apart = Math.max(seen.length / INSTANTS, 1);
  const rows = [];
  for (let i = seen.length - 1; i >= 0 && rows.length < INSTANTS; i -= apart)
    rows.push(seen[Math.round(i)]);
  const make = () => {
    const line = element("tr");
    COLUMNS.forEach(([, className], index) => line.append(element(index ? "td" : "th", className)));
    line.firstChild.scope = "row";
    return line;
  };
  keyed(
    table.tBodies[0],
    rows,
    (index) => points.at[index],
    make,
    (line, index) => {
      const row = Object.fromEntries(
        Object.entries(points).map(([name, column]) => [name, column[index]]),
      );
      COLUMNS.forEach(([, , text], cell) => put(line.cells[cell], text(row, points.at[index])));
    },
  );
}

export function showChanges({ changes }) {
  find("changes-empty").hidden = changes.length > 0;
  const make = () => {
    const line = element("li");
    line.append(element("span"), element("span", "aside"));
    return line;
  };
  const newest = changes.slice(-CHANGES_SHOWN).reverse();
  keyed(
    find("changes-list"),
    newest,
    ({ at }) => at,
    make,
    (line, change) => {
      const why = change.reasons?.length ? `: ${change.reasons.join("; ")}` : "";
      put(line.firstChild, `level ${change.level}${change.by_hand ? ", by hand" : ""}${why}`);
      put(line.lastChild, clock(change.at, now()));
    },
  );
}
