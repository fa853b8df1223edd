// What tasks took before, and what outlived its lease.

import { ask, mayAct } from "./acts.js";
import { element, find, put } from "./dom.js";
import { now } from "./now.js";
import { Table, buttons, twoLines } from "./table.js";
import { bytes, count, duration } from "./words.js";

const SINCE_S = 7 * 86_400;
const BUSY_CPUS = 0.1;
const HOWS = { ended: "It has ended.", killed: "It had to be killed." };

const tasks = new Table(
  find("tasks-table"),
  [
    { head: "Task", isName: true, className: "wide", text: (row) => row.task || "–" },
    { head: "Runs", className: "number", by: (row) => row.runs, text: (row) => row.runs },
    { head: "Failed", className: "number", by: (row) => row.failures, text: (row) => row.failures },
    {
      head: "Memory",
      className: "number",
      by: (row) => row.memory_p50_bytes,
      fill: (cell, row) => halfAndMost(cell, row, "memory", "bytes", bytes),
    },
    {
      head: "CPU",
      className: "number roomy",
      by: (row) => row.cpu_p50_s,
      fill: (cell, row) => halfAndMost(cell, row, "cpu", "s", duration),
    },
    {
      head: "Lasted",
      className: "number",
      by: (row) => row.lasted_p50_s,
      fill: (cell, row) => halfAndMost(cell, row, "lasted", "s", duration),
    },
    { head: "Seen", className: "number roomy", text: (row) => `${duration(row.last_seen_s)} ago` },
  ],
  ({ task }) => task,
  find("tasks-empty"),
);

const orphans = new Table(
  find("orphans-table"),
  [
    {
      head: "Process",
      isName: true,
      fill: (cell, row) => twoLines(cell, row.command || row.name, row.evidence),
    },
    { head: "PID", className: "number roomy", text: (row) => row.pid },
    { head: "Memory", className: "number", text: (row) => bytes(row.memory_bytes) },
    { head: "Age", className: "number", isLive: true, text: (row) => duration(now() - row.since) },
    {
      head: "",
      className: "act",
      fill: (cell, row) => buttons(cell, row.isSurvivor && mayAct() ? STOP : [], cell.parentNode),
    },
  ],
  ({ pid, start_ticks: ticks }) => `${pid} ${ticks}`,
  find("orphans-empty"),
);

const takers = new Table(
  find("takers-table"),
  [
    {
      head: "Program",
      isName: true,
      fill: (cell, row) => twoLines(cell, row.name, row.lease ? `lease ${row.lease}` : "no lease"),
    },
    { head: "PID", className: "number roomy", text: (row) => row.pid },
    { head: "Processes", className: "number roomy", text: (row) => row.processes },
    {
      head: "CPUs",
      className: "number",
      text: (row) => (row.cpus === null ? "–" : row.cpus.toFixed(1)),
    },
    { head: "Memory", className: "number", text: (row) => bytes(row.rss_bytes) },
  ],
  ({ pid }) => pid,
  find("takers-empty"),
);

const STOP = [
  { name: "Stop", about: (row) => `Stop process ${row.pid}, ${row.command}`, call: askToStop },
];

/** The median, and what 19 of 20 stayed within. */
function halfAndMost(cell, row, name, unit, said) {
  if (!cell.childElementCount) cell.append(element("span"), element("span", "most roomy"));
  put(cell.firstChild, said(row[`${name}_p50_${unit}`]));
  put(cell.lastChild, ` / ${said(row[`${name}_p95_${unit}`])}`);
}

export async function lookAtTasks() {
  const answer = await fetch(`/tasks?since_s=${SINCE_S}`);
  if (answer.ok) tasks.show((await answer.json()).tasks);
}

export function showOrphans({ survivors, agents, left_out: more }) {
  const rows = [
    ...survivors.map((row) => ({ ...row, isSurvivor: true })),
    ...agents.map((row) => ({ ...row, isSurvivor: false })),
  ];
  orphans.show(rows);
  const memory = survivors.reduce((sum, row) => sum + (row.memory_bytes ?? 0), 0);
  const said = [
    survivors.length && `${survivors.length} outlived their lease, ${bytes(memory)}`,
    agents.length && `${count(agents.length, "agent")} without a lease`,
    more && `${more} more`,
  ];
  put(find("orphans-aside"), said.filter(Boolean).join(" · "));
}

/** The largest by memory and by CPU, each once. */
export function showTakers({ by_memory: byMemory, by_cpu: byCpu }) {
  const rows = new Map(
    [...byMemory, ...byCpu.filter(({ cpus }) => cpus >= BUSY_CPUS)].map((row) => [row.pid, row]),
  );
  takers.show([...rows.values()].sort((a, b) => b.rss_bytes - a.rss_bytes));
}

export const tick = () => orphans.tick();

function askToStop(row) {
  ask({
    title: `Stop process ${row.pid}`,
    text: `${row.command || row.name}: ${row.evidence}. It gets SIGTERM, and after 10 s SIGKILL.`,
    command: () => `admission orphans --stop ${row.pid}`,
    what: () => ({ op: "stop", pid: row.pid, start_ticks: row.start_ticks }),
    yes: "Stop it",
    done: ({ stopped }) =>
      HOWS[stopped?.[0]?.how] ?? `It was left: ${stopped?.[0]?.why ?? "it is gone"}.`,
  });
}
