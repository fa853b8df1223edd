// Who holds a slot, and who waits for one.

import { ask, mayAct } from "./acts.js";
import { element, find, attribute, put } from "./dom.js";
import { now } from "./now.js";
import { Table, buttons, twoLines } from "./table.js";
import { bytes, count, duration } from "./words.js";

const ENOUGH = 500;
let held = [];
let waiting = [];
let queueAt = 0;
let parking = new Set();

const leases = new Table(
  find("leases-table"),
  [
    { head: "Lease", className: "number roomy", by: (row) => row.lease, text: (row) => row.lease },
    {
      head: "Task",
      isName: true,
      isLive: true,
      by: (row) => row.task,
      fill: (cell, row) => fillTask(cell, row, stateOf(row)),
    },
    { head: "Class", className: "roomy", fill: fillClass },
    {
      head: "From",
      className: "wide roomy",
      text: (row) => [row.user, row.from].filter(Boolean).join(": ") || "–",
    },
    { head: "PID", className: "number roomy", text: (row) => row.pid || "–" },
    {
      head: "Memory",
      className: "number",
      by: (row) => row.memory_bytes,
      text: (row) => bytes(row.memory_bytes),
    },
    {
      head: "Waited",
      className: "number roomy",
      by: (row) => row.waited_s,
      text: (row) => duration(row.waited_s),
    },
    {
      head: "Held",
      className: "number",
      isLive: true,
      by: (row) => -row.since,
      text: (row) => duration(now() - row.since),
    },
    {
      head: "",
      className: "act",
      fill: (cell) => buttons(cell, mayAct() ? RELEASE : [], cell.parentNode),
    },
  ],
  ({ lease }) => lease,
  find("leases-empty"),
);

const queue = new Table(
  find("queue-table"),
  [
    { head: "Place", className: "number", text: (row) => row.position },
    { head: "Task", isName: true, fill: (cell, row) => fillWaiter(cell, row) },
    { head: "Class", className: "roomy", fill: fillClass },
    {
      head: "Waits",
      className: "number",
      isLive: true,
      text: (row) => duration(now() - row.since),
    },
    { head: "About", className: "number", isLive: true, text: etaOf },
    {
      head: "",
      className: "act",
      fill: (cell) => buttons(cell, mayAct() ? QUEUE : [], cell.parentNode),
    },
  ],
  ({ ticket }) => ticket,
  find("queue-empty"),
);

const RELEASE = [
  {
    name: "Release",
    about: (row) => `Release lease ${row.lease}, ${row.task}`,
    call: askToRelease,
  },
];
const QUEUE = [
  {
    name: "Move",
    about: (row) => `Move ${row.task || "the waiter"}, ticket ${row.ticket}`,
    call: askToMove,
  },
  {
    name: "Cancel",
    about: (row) => `Cancel ${row.task || "the waiter"}, ticket ${row.ticket}`,
    call: askToCancel,
  },
];

export function showLeases(told) {
  held = told.leases;
  show();
}

export function showQueue(told) {
  waiting = told.waiting;
  queueAt = told.at;
  show();
}

/** Which leases are asked to end. */
export function setParking(shed) {
  parking = new Set(shed?.parking ?? []);
  leases.tick();
}

export function tick() {
  leases.tick();
  queue.tick();
}

export const show = () => {
  const sought = find("leases-filter").value.trim().toLowerCase();
  const found = sought ? held.filter((row) => isSought(row, sought)) : held;
  const queued = sought ? waiting.filter((row) => isSought(row, sought)) : waiting;
  leases.show(found.slice(0, ENOUGH));
  queue.show(queued.slice(0, ENOUGH));
  put(find("leases-aside"), shown(found, held, "held"));
  put(find("queue-aside"), shown(queued, waiting, "waiting"));
  put(find("leases-empty"), held.length ? "None of them has that." : "Nobody holds a slot.");
  put(find("queue-empty"), waiting.length ? "None of them has that." : "Nobody waits.");
};

find("leases-filter").addEventListener("input", show);

function shown(found, all, word) {
  const cut = found.length > ENOUGH ? `, the first ${ENOUGH} of them` : "";
  return found.length === all.length
    ? all.length
      ? `${all.length} ${word}${cut}`
      : ""
    : `${found.length} of ${all.length}${cut}`;
}

const SOUGHT = [
  "task",
  "from",
  "pid",
  "class",
  "group",
  "pool",
  "agent",
  "workspace",
  "lease",
  "ticket",
  "state",
];
const isSought = (row, sought) =>
  SOUGHT.some((field) =>
    String(row[field] ?? "")
      .toLowerCase()
      .includes(sought),
  );

function fillTask(cell, row, state) {
  twoLines(
    cell,
    row.task || "–",
    [row.class, otherPool(row), row.from].filter(Boolean).join(" · "),
    "sub narrow",
  );
  const said = cell.children[2] ?? cell.appendChild(element("span", "sub state"));
  put(said, state);
  said.hidden = !state;
}

function fillWaiter(cell, row) {
  twoLines(cell, row.task || "–", row.reason + movedOf(row));
}

function fillClass(cell, row) {
  twoLines(cell, row.class, [otherPool(row), row.group].filter(Boolean).join(" · "));
  cell.firstChild.className = "class";
  attribute(cell.firstChild, "data-class", row.class);
}

/** The pool where it is not the usual one, and the units where they are not one. */
function otherPool(row) {
  const pool = row.pool === "agents" ? "" : row.pool;
  return row.weight === 1 ? pool : `${pool} ×${row.weight}`.trim();
}

function stateOf(row) {
  const said = [];
  if (row.stopped_since) said.push(`stopped for ${duration(now() - row.stopped_since)}`);
  if (row.state === "yielded") said.push("gave its units back for a while");
  if (row.state === "lost") said.push("lost: the fleet may have given its unit to another node");
  if (row.state === "detached") said.push("its connection is awaited");
  if (parking.has(row.lease)) said.push("asked to end for now");
  if (row.left?.length)
    said.push(`goes on in ${count(row.left.length, "process", "processes")} it left`);
  if (row.max_hold_s && now() - row.since > row.max_hold_s)
    said.push("held for longer than it was meant for");
  return said.join("; ");
}

function etaOf(row) {
  if (row.eta_s === null) return "–";
  return duration(Math.max(row.eta_s - Math.max(now() - queueAt, 0), 0));
}

function movedOf(row) {
  const climbed = row.climbed ? `; climbed ${count(row.climbed, "class", "classes")} by age` : "";
  return (row.moved ? `; put to the ${row.moved} by hand` : "") + climbed;
}

function askToRelease(row) {
  ask({
    title: `Release lease ${row.lease}`,
    text: `${row.task || "Its holder"}${row.pid ? ` (PID ${row.pid})` : ""} keeps running, and somebody else gets its slot.`,
    command: () => `admission release ${row.lease}`,
    what: () => ({ op: "release", lease: row.lease }),
    yes: "Release it",
    done: `Lease ${row.lease} is released.`,
  });
}

function askToMove(row) {
  ask({
    title: `Move ${row.task || "the waiter"}`,
    text: "To an end of its class.",
    fields: [
      {
        name: "to",
        label: "To the",
        options: [
          ["front", "front"],
          ["back", "back"],
        ],
      },
    ],
    command: ({ to }) => `admission queue move ${row.ticket} --to ${to}`,
    what: ({ to }) => ({ op: "move", ticket: row.ticket, to }),
    yes: "Move it",
    done: ({ found }) => (found ? "It is moved." : "It no longer waits."),
  });
}

function askToCancel(row) {
  ask({
    title: `Take ${row.task || "the waiter"} out of the queue`,
    text: "It is told so, and ends without a slot.",
    command: () => `admission queue cancel ${row.ticket}`,
    what: () => ({ op: "cancel", ticket: row.ticket }),
    yes: "Take it out",
    done: ({ found }) => (found ? "It is out of the queue." : "It no longer waits."),
  });
}

/** For the timeline: who holds and who waits now, as the history has them. */
export const present = () => [
  ...held.map((row) => ({
    ...base(row),
    lease: row.lease,
    queuedAt: row.since - row.waited_s,
    grantedAt: row.since,
  })),
  ...waiting.map((row) => ({ ...base(row), lease: null, queuedAt: row.since, grantedAt: null })),
];

const base = (row) => ({ task: row.task, class: row.class, pool: row.pool, endedAt: null });
