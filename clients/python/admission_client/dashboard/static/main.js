// What comes by the feed goes to the panel that shows it.

import { mayAct, setReadOnly } from "./acts.js";
import { showAdvice } from "./advice.js";
import { find, put } from "./dom.js";
import { Feed } from "./feed.js";
import * as fleet from "./fleet.js";
import * as leases from "./leases.js";
import * as level from "./level.js";
import * as notice from "./notice.js";
import { now } from "./now.js";
import * as pools from "./pools.js";
import * as rest from "./rest.js";
import * as time from "./time.js";
import { count, duration } from "./words.js";

const TASKS_EVERY_S = 60;
let tasksAt = -Infinity;
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
    notice.showState(told);
    put(
      find("daemon"),
      `admission ${told.version} · daemon ${told.pid}, up for ${duration(now() - told.up_since)} · ${count(told.granted, "lease")} granted`,
    );
  },
  level(told) {
    level.showChange(told);
    time.addChange(told);
  },
  sample: time.addSample,
  leases(told) {
    leases.showLeases(told);
    time.noteLeases(told.leases);
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
new Feed(
  (name, value) => show[name](value),
  (how, since, why) => {
    if (notice.showConnection(how, since, why)) time.look();
  },
);
tick();
setInterval(tick, 1_000);
