// The panel "over time": the range, the charts, the slots, and the same in numbers.

import { Charts } from "./charts.js";
import { element, find, keyed, mark, put } from "./dom.js";
import { measured } from "./feed.js";
import { present } from "./leases.js";
import { heard, now } from "./now.js";
import { Past } from "./past.js";
import { onColours } from "./theme.js";
import { Timeline } from "./timeline.js";
import { clock, percent } from "./words.js";

/** @type {[string, number][]} */
const RANGES = [
  ["1 min", 60], ["10 min", 600], ["1 h", 3600], ["6 h", 21_600], ["1 day", 86_400], ["1 week", 604_800], ["1 month", 2_678_400],
];
const KEPT = "admission-range";
const POINTS = 400;
const NUMBERS = 15;
const AGAIN_S = { least: 10, most: 300 };
// Up to here the axis moves every second; what is longer would move by less than a pixel.
const MOVES_S = 600;
const APART_MS = 400;

const past = new Past();
const charts = new Charts(
  { memory: find("chart-memory"), cpu: find("chart-cpu"), stall: find("chart-stall") },
  (at) => put(find("time-at"), at ? clock(at.at, now()) : ""),
);
const timeline = new Timeline(find("timeline"), find("slots-said"), find("tip"));
let range_s = Number(localStorage.getItem(KEPT)) || 3600;
let fetchedAt = -Infinity;
let fetching = null;
let isDue = false;
let drawnAt = 0;

export function start() {
  for (const [name, seconds] of RANGES) {
    const button = element("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => choose(seconds));
    find("ranges").append(button);
  }
  onColours(() => charts.recolour());
  new ResizeObserver(() => charts.resize()).observe(find("chart-memory"));
  for (const id of ["numbers", "changes"]) find(id).addEventListener("toggle", later);
  document.addEventListener("visibilitychange", () => document.hidden || look());
  choose(range_s);
}

export function addSample(sample) {
  past.addSample(sample);
  later();
}

export function addChange(change) {
  past.addChange(change);
  later();
}

export function setThresholds(thresholds) {
  past.thresholds = thresholds;
  later();
}

/** What is drawn is drawn once, whatever comes at once; and in two frames, so that neither is long. */
export function later() {
  if (isDue || document.hidden) return;
  isDue = true;
  setTimeout(() => requestAnimationFrame(drawAll), Math.max(drawnAt + APART_MS - Date.now(), 0));
}

function drawAll() {
  isDue = false;
  drawnAt = Date.now();
  measured("charts", drawCharts);
  requestAnimationFrame(() => measured("slots", drawSlots));
}

export function tick() {
  if (document.hidden) return;
  const again_s = Math.min(Math.max(range_s / POINTS, AGAIN_S.least), AGAIN_S.most);
  if (now() - fetchedAt > again_s) look();
  else if (range_s <= MOVES_S) later();
}

function choose(seconds) {
  range_s = seconds;
  localStorage.setItem(KEPT, String(seconds));
  [...find("ranges").children].forEach((button, index) => mark(button, "aria-pressed", String(RANGES[index][1] === seconds)));
  look();
}

/** Asks for the history. A range that was chosen since is another question. */
export async function look() {
  fetchedAt = now();
  fetching?.abort();
  const mine = (fetching = new AbortController());
  const before = Date.now();
  try {
    const answer = await fetch(`/history?from_s=${range_s}&points=${POINTS}`, { signal: mine.signal });
    if (answer.ok) {
      const fetched = await answer.json();
      heard(fetched.until, before, Date.now());
      past.fetched = fetched;
    }
  } catch {
    // Nobody serves, or another range was asked for: what is there stays.
  }
  if (fetching !== mine) return;
  fetching = null;
  later();
}

function drawSlots() {
  const to = now();
  timeline.draw(leasesSince(to - range_s), to - range_s, to, to);
}

function drawCharts() {
  const to = now();
  const seen = past.between(to - range_s, to, range_s / POINTS);
  charts.draw(seen);
  if (find("numbers").open) showNumbers(seen);
  if (find("changes").open) showChanges(seen);
}

/** The history's leases, and those of now; of one that is in both, what is now. */
function leasesSince(from) {
  const here = present();
  const known = new Set(here.map(({ lease }) => lease).filter(Boolean));
  const until = past.fetched?.until ?? 0;
  const before = (past.fetched?.leases ?? [])
    .filter((one) => !known.has(one.lease) && (one.ended_at ?? until) >= from)
    .map((one) => ({
      lease: one.lease,
      task: one.task,
      class: one.class,
      pool: one.pool,
      queuedAt: one.queued_at,
      grantedAt: one.granted_at,
      // It is not held now: it ended since the history was read, or nobody saw when.
      endedAt: one.ended_at ?? (one.granted_at > until - range_s ? until : one.granted_at),
      reason: one.reason,
    }));
  return [...before, ...here];
}

/** @type {[string, (row: any, at: number) => any][]} */
const COLUMNS = [
  ["When", (_, at) => clock(at, now())],
  ["Level", (row) => row.level ?? "–"],
  ["Memory", (row) => percent(row.memory)],
  ["CPU", (row) => percent(row.cpu)],
  ["Memory stalls", (row) => percent(row.memoryStall)],
  ["CPU stalls", (row) => percent(row.cpuStall)],
  ["Held", (row) => row.inUse ?? "–"],
  ["Waiting", (row) => row.waiting ?? "–"],
];

/** Some instants of those that are drawn, evenly apart. */
function showNumbers({ points }) {
  const table = find("numbers-table");
  if (!table.tHead) {
    const head = table.createTHead().insertRow();
    for (const [name] of COLUMNS) head.append(Object.assign(element("th", "number", name), { scope: "col" }));
    table.createTBody();
  }
  const seen = points.at.map((_, index) => index).filter((index) => points.memory[index] !== null || points.cpu[index] !== null);
  const apart = Math.max(seen.length / NUMBERS, 1);
  const rows = [];
  for (let i = seen.length - 1; i >= 0 && rows.length < NUMBERS; i -= apart) rows.push(seen[Math.round(i)]);
  const make = () => {
    const line = element("tr");
    COLUMNS.forEach((_, index) => line.append(element(index ? "td" : "th", "number")));
    line.firstChild.scope = "row";
    return line;
  };
  keyed(table.tBodies[0], rows, (index) => points.at[index], make, (line, index) => {
    const row = Object.fromEntries(Object.entries(points).map(([name, column]) => [name, column[index]]));
    COLUMNS.forEach(([, text], cell) => put(line.cells[cell], text(row, points.at[index])));
  });
}

function showChanges({ changes }) {
  find("changes-empty").hidden = changes.length > 0;
  const make = () => {
    const line = element("li");
    line.append(element("span"), element("span", "aside"));
    return line;
  };
  const newest = changes.slice(-50).reverse();
  keyed(find("changes-list"), newest, ({ at }) => at, make, (line, change) => {
    const why = change.reasons?.length ? `: ${change.reasons.join("; ")}` : "";
    put(line.firstChild, `level ${change.level}${change.by_hand ? ", by hand" : ""}${why}`);
    put(line.lastChild, clock(change.at, now()));
  });
}
