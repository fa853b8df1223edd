// The panel "over time": the range, the charts, the slots, and the same in numbers.

import { Charts, GUTTER } from "./charts.js";
import { element, find, keyed, attribute, put } from "./dom.js";
import { measured } from "./feed.js";
import { present } from "./leases.js";
import { heard, now } from "./now.js";
import { showChanges, showLeases, showNumbers } from "./numbers.js";
import { Past } from "./past.js";
import { onColours } from "./theme.js";
import { Timeline } from "./timeline.js";
import { clock } from "./words.js";

/** @type {[string, number][]} */
const RANGES = [
  ["1 min", 60],
  ["10 min", 600],
  ["1 h", 3600],
  ["6 h", 21_600],
  ["1 day", 86_400],
  ["1 week", 604_800],
  ["1 month", 2_678_400],
];
const KEPT = "admission-range";
const POINTS = 500;
const AGAIN_S = { least: 10, most: 300 };
// Up to here the axis moves every second; what is longer would move by less than a pixel.
const MOVES_S = 600;
const APART_MS = 400;
const GONE_KEPT = 200;

const past = new Past();
const charts = new Charts(
  { memory: find("chart-memory"), cpu: find("chart-cpu"), stall: find("chart-stall") },
  showCursor,
);
const timeline = new Timeline(find("timeline"), find("slots-said"), find("tip"));
let range_s = Number(localStorage.getItem(KEPT)) || 3600;
let fetchedAt = -Infinity;
let fetching = null;
let isDue = false;
let drawnAt = 0;
let lately = [];
let gone = [];

export function start() {
  for (const [name, seconds] of RANGES) {
    const button = element("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => choose(seconds));
    find("ranges").append(button);
  }
  onColours(() => charts.recolour());
  new ResizeObserver(() => charts.resize()).observe(find("chart-memory"));
  for (const id of ["numbers", "ended", "changes"]) find(id).addEventListener("toggle", later);
  document.addEventListener("visibilitychange", () => document.hidden || look());
  find("slots-pool").addEventListener("change", later);
  choose(range_s);
}

/** Of which the slots can be shown; the first one is, until another is chosen. */
export function setPools(names) {
  const chosen = find("slots-pool");
  keyed(
    chosen,
    names,
    (name) => name,
    (name) => element("option", "", name),
    put,
  );
  chosen.hidden = names.length < 2;
}

export function addSample(sample) {
  past.addSample(sample);
  later();
}

export function addChange(change) {
  past.addChange(change);
  later();
}

/** Which level is in force, and since when. */
export function setPresent({ level, since }) {
  past.present = { level, since };
}

export function setThresholds(thresholds) {
  past.thresholds = thresholds;
  later();
}

/** Those that hold, as they are now. One that is gone stays in the picture until the history has it. */
export function noteLeases(leases) {
  const held = new Set(leases.map(({ lease }) => lease));
  for (const one of lately) if (!held.has(one.lease)) gone.push({ ...one, endedAt: now() });
  lately = present().filter((one) => one.lease !== null);
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
  [...find("ranges").children].forEach((button, index) =>
    attribute(button, "aria-pressed", String(RANGES[index][1] === seconds)),
  );
  look();
}

/** Asks for the history. A range that was chosen since is another question. */
export async function look() {
  fetchedAt = now();
  fetching?.abort();
  const mine = (fetching = new AbortController());
  const before = Date.now();
  try {
    const answer = await fetch(`/history?from_s=${range_s}&points=${POINTS}`, {
      signal: mine.signal,
    });
    if (answer.ok) {
      const fetched = await answer.json();
      heard(fetched.until, before, Date.now());
      past.fetched = fetched;
      const known = new Set(fetched.leases.filter((one) => one.ended_at).map(({ lease }) => lease));
      gone = gone.filter((one) => !known.has(one.lease)).slice(-GONE_KEPT);
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
  const pool = find("slots-pool").value;
  const leases = leasesSince(to - range_s).filter((one) => !pool || one.pool === pool);
  timeline.draw(leases, to - range_s, to, to, past.fetched?.left_out ?? 0);
  if (find("ended").open) showLeases(leases);
}

/** What the pointer is on, in words, and as a line through the slots. */
function showCursor(seen) {
  const cross = find("cross");
  cross.hidden = !seen;
  if (seen) cross.style.transform = `translateX(${GUTTER + seen.left}px)`;
  const said = seen ? [clock(seen.at, now())] : [];
  if (seen?.level != null)
    said.push(`level ${seen.level}`, `${seen.held} held`, `${seen.waiting} waiting`);
  put(find("time-at"), said.join(" · "));
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
  const here = [...gone, ...present()];
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
