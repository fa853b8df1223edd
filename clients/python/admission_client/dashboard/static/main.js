// What comes by the feed goes to the panel that shows it.

import { mayAct, setReadOnly } from "./acts.js";
import { showAdvice } from "./advice.js";
import { find, mark, put } from "./dom.js";
import { Feed } from "./feed.js";
import * as fleet from "./fleet.js";
import * as leases from "./leases.js";
import * as level from "./level.js";
import { now } from "./now.js";
import * as pools from "./pools.js";
import * as rest from "./rest.js";
import * as time from "./time.js";
import { clock, count, duration } from "./words.js";

const TASKS_EVERY_S = 60;
const ALARMS_SHOWN = 3;
let tasksAt = -Infinity;
let connection = { state: "opening", since: null, why: "" };
let state = null;

const show = {
  hello({ read_only: isReadOnly }) {
    const before = mayAct();
    setReadOnly(isReadOnly);
    if (before !== mayAct() && state) show.state(state);
    leases.show();
  },
  state(told) {
    state = told;
    level.showLevel(told);
    pools.showPools(told);
    time.setPresent(told);
    time.setPools(told.pools.map(({ pool }) => pool));
    leases.setParking(told.shed);
    showNotice();
    put(find("daemon"), `admission ${told.version} · daemon ${told.pid}, up for ${duration(now() - told.up_since)} · ${count(told.granted, "lease")} granted`);
  },
  level(told) {
    level.showChange(told);
    time.addChange(told);
  },
  sample: time.addSample,
  leases(told) {
    leases.showLeases(told);
    time.later();
  },
  queue(told) {
    leases.showQueue(told);
    time.later();
  },
  why(told) {
    level.showWhy(told);
    rest.showTakers(told);
    time.setThresholds(told.thresholds);
  },
  orphans: rest.showOrphans,
  recommendations: showAdvice,
};

function showConnection(how, since, why) {
  const wasAway = connection.state === "lost" || connection.state === "away" || connection.state === "refused";
  // The browser tries again and again; only what is another thing is told.
  connection = { state: how, since, why };
  const shown = find("connection");
  mark(shown, "data-state", how === "refused" ? "lost" : how);
  const when = since ? ` since ${clock(since, now())}` : "";
  put(shown, { live: "live", away: `daemon away${when}`, lost: `away${when}`, refused: `away${when}` }[how]);
  mark(find("main"), "data-stale", how !== "live");
  showNotice();
  if (how === "live" && wasAway) time.look();
}

function showNotice() {
  const said = [];
  if (connection.state === "away") said.push(`${connection.why || "The daemon does not answer"}. What is shown is what was last seen.`);
  if (connection.state === "lost") said.push("Nobody serves this page any more. What is shown is what was last seen; it goes on by itself when \"admission dashboard\" is there again.");
  if (connection.state === "refused") said.push("This address is no longer let in. Open the one that \"admission dashboard\" has printed.");
  if (connection.state === "live" && state) {
    for (const one of state.degraded) said.push(one);
    if (state.shed?.advice) said.push(state.shed.advice);
    said.push(...state.alarms.slice(0, ALARMS_SHOWN).map(alarm));
    if (state.alarms.length > ALARMS_SHOWN) said.push(`and ${count(state.alarms.length - ALARMS_SHOWN, "more alarm")}`);
  }
  put(find("notice"), said.join(" · "));
  find("notice").hidden = !said.length;
}

const alarm = (one) =>
  one.kind === "waiting"
    ? `${one.task || "somebody"} waits in ${one.pool} for ${duration(now() - one.since)}: ${one.reason}`
    : `lease ${one.lease}${one.task ? ` (${one.task})` : ""}: ${one.reason}`;

function tick() {
  if (document.hidden) return;
  level.tick();
  pools.tick();
  leases.tick();
  rest.tick();
  time.tick();
  fleet.tick();
  if (now() - tasksAt < TASKS_EVERY_S) return;
  tasksAt = now();
  rest.lookAtTasks().catch(() => {}); // nobody serves: the connection says so
}

time.start();
new Feed((name, value) => show[name](value), showConnection);
tick();
setInterval(tick, 1_000);
