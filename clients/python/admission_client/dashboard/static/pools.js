// Pools as bars, with what is reserved and who has paused what.

import { ask, forField, forOption, howLong, mayAct } from "./acts.js";
import { element, find, keyed, attribute, put } from "./dom.js";
import { now } from "./now.js";
import { clock, count, duration } from "./words.js";

let state = null;

export function showPools(told) {
  state = told;
  const kept = reservedNow();
  keyed(
    find("pools"),
    told.pools,
    ({ pool }) => pool,
    makePool,
    (line, pool) => fillPool(line, pool, kept),
  );
  put(find("pools-aside"), count(told.held, "lease") + " out");
  const reserve = find("reserve");
  reserve.hidden = !mayAct();
  reserve.onclick = askToReserve;
  find("reservations-empty").hidden = told.reservations.length > 0;
  tick();
}

export function tick() {
  if (!state) return;
  keyed(
    find("reservations"),
    state.reservations,
    ({ reservation }) => reservation,
    makeReservation,
    fillReservation,
  );
}

function reservedNow() {
  const units = {};
  for (const one of state.reservations)
    if (one.from <= now()) units[one.pool] = (units[one.pool] ?? 0) + one.units;
  return units;
}

function makePool({ pool }) {
  const line = element("li", "pool");
  const head = element("div", "line");
  head.append(element("span", "name", pool), element("span", "said"), element("button", "quiet"));
  const track = element("div", "track");
  track.append(
    element("div", "fill"),
    element("div", "fill over"),
    element("div", "kept"),
    element("div", "limit"),
  );
  attribute(track, "aria-hidden", "true");
  line.append(head, track, element("p", "aside"));
  const button = head.lastChild;
  button.type = "button";
  button.addEventListener("click", () =>
    line.pool.paused ? askToUnpause(pool) : askToPause(pool),
  );
  return line;
}

function fillPool(line, pool, kept) {
  line.pool = pool;
  const [head, track, aside] = line.children;
  const [, said, button] = head.children;
  put(said, `${pool.in_use} of ${pool.capacity}`);
  button.hidden = !mayAct();
  put(button, pool.paused ? "Unpause" : "Pause …");
  attribute(button, "aria-label", pool.paused ? `Unpause ${pool.pool}` : `Pause … ${pool.pool}`);
  const all = Math.max(pool.capacity, pool.in_use, 1);
  const share = (units) => `${(100 * units) / all}%`;
  const [fill, over, reserved, limit] = track.children;
  const within = Math.min(pool.in_use, pool.capacity);
  fill.style.width = share(within);
  over.style.left = share(within);
  over.style.width = share(pool.in_use - within);
  const units = Math.min(kept[pool.pool] ?? 0, pool.capacity);
  reserved.style.left = share(pool.capacity - units);
  reserved.style.width = share(units);
  limit.style.left = share(pool.capacity);
  limit.hidden = pool.in_use <= pool.capacity;
  put(aside, about(pool, units));
  aside.hidden = !aside.textContent;
}

function about(pool, reserved) {
  const said = [];
  if (pool.paused)
    said.push(pool.paused_until ? `paused until ${clock(pool.paused_until, now())}` : "paused");
  if (pool.overcommitted)
    said.push(`${pool.overcommitted} more than now allowed, since the capacity shrank`);
  if (pool.waiting) said.push(`${pool.waiting} waiting`);
  if (reserved) said.push(`${reserved} reserved`);
  return said.join(" · ");
}

function makeReservation({ reservation }) {
  const line = element("li");
  const button = element("button", "quiet", "End it");
  button.type = "button";
  attribute(button, "aria-label", `End it: reservation ${reservation}`);
  button.addEventListener("click", () => askToUnreserve(line.item));
  line.append(element("span"), element("span", "aside"), button);
  return line;
}

function fillReservation(line, one) {
  line.item = one;
  const whom = [one.class && `class ${one.class}`, one.group && `group ${one.group}`]
    .filter(Boolean)
    .join(", ");
  put(
    line.children[0],
    `${one.units} of ${one.pool} for ${whom || "nobody else"}${one.whole ? ", as a whole" : ""}`,
  );
  const begun = one.from <= now();
  put(
    line.children[1],
    begun ? `${duration(one.until - now())} left` : `from ${clock(one.from, now())}`,
  );
  line.children[2].hidden = !mayAct();
}

function askToPause(pool) {
  ask({
    title: `Pause ${pool}`,
    text: "Nobody is granted anything there meanwhile. Who holds a slot keeps it.",
    fields: [howLong("until it is unpaused")],
    command: (chosen) => `admission pause ${pool}${forOption(chosen)}`,
    what: (chosen) => ({ op: "pause", pool, ...forField(chosen) }),
    yes: "Pause it",
    done: `${pool} is paused.`,
  });
}

function askToUnpause(pool) {
  ask({
    title: `Unpause ${pool}`,
    text: "Who waits is granted again, in order.",
    command: () => `admission unpause ${pool}`,
    what: () => ({ op: "unpause", pool }),
    yes: "Unpause it",
    done: `${pool} grants again.`,
  });
}

function askToReserve() {
  ask({
    title: "Reserve units",
    text: "They are kept free for a class or a group. Who is meant by it goes first, within it.",
    fields: [
      { name: "pool", label: "Pool", options: state.pools.map(({ pool }) => [pool, pool]) },
      { name: "units", label: "Units", type: "number", min: 1, max: 99, value: 1, required: true },
      {
        name: "class",
        label: "Class",
        options: [
          ["critical", "critical"],
          ["normal", "normal"],
          ["batch", "batch"],
          ["any", ""],
        ],
      },
      { name: "group", label: "Group", type: "text", maxLength: 200, placeholder: "any" },
      howLong(),
      { name: "whole", label: "Even if nothing stays for the others", type: "checkbox" },
    ],
    command: (chosen) => {
      const named = chosen.class ? ` --class ${chosen.class}` : "";
      const grouped = chosen.group ? ` --group ${quoted(chosen.group)}` : "";
      return `admission reserve ${chosen.pool} ${chosen.units}${forOption(chosen)}${named}${grouped}${chosen.whole ? " --whole" : ""}`;
    },
    what: (chosen) => ({
      op: "reserve",
      pool: chosen.pool,
      units: Number(chosen.units),
      ...(chosen.class ? { class: chosen.class } : {}),
      ...(chosen.group ? { group: chosen.group } : {}),
      ...(chosen.whole ? { whole: true } : {}),
      ...forField(chosen),
    }),
    yes: "Reserve them",
    done: "They are reserved.",
  });
}

function askToUnreserve(one) {
  ask({
    title: `End reservation ${one.reservation}`,
    text: `${count(one.units, "unit")} of ${one.pool} is for everybody again.`,
    command: () => `admission unreserve ${one.reservation}`,
    what: () => ({ op: "unreserve", reservation: one.reservation }),
    yes: "End it",
    done: "The reservation is over.",
  });
}

const quoted = (word) => (/^[\w.@/+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
