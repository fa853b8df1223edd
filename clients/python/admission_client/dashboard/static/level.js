// The throttle level: how high, why, since when, and what it allows.

import { ask, forField, forOption, howLong, mayAct } from "./acts.js";
import { element, find, keyed, attribute, put } from "./dom.js";
import { now } from "./now.js";
import { clock, duration } from "./words.js";

const NAMES = ["normal", "light", "medium", "heavy"];
const PARAMS = [
  ["max_agents", "agents", String],
  ["max_concurrent", "concurrent", String],
  ["batch_size", "batch", String],
  ["delay_ms", "delay", (ms) => duration(ms / 1000)],
  ["reasoning_effort", "effort", String],
];

const SHED_SHOWN = 3;
const RUNGS = { park: "parked", freeze: "stopped for a while", thaw: "let go on" };

let state = null;

/** At once, before the rest of the state comes. */
export function showChange({ at, level, name, reasons }) {
  showNumeral(level, name, reasons);
  if (state) state = { ...state, level, name, reasons, since: at };
  tick();
}

export function showLevel(told) {
  state = told;
  showNumeral(told.level, told.name, told.reasons);
  put(find("level-forecast"), told.forecast ? `Forecast: ${told.forecast}` : "");
  put(
    find("level-by"),
    told.by_hand ? (told.by_hand.off ? "throttling is off" : "set by hand") : "",
  );
  const acts = told.shed?.acts ?? [];
  keyed(
    find("level-shed"),
    acts.slice(-SHED_SHOWN),
    ({ rung, lease, at }) => `${rung} ${lease} ${at}`,
    () => element("li"),
    (line, act) =>
      put(
        line,
        `${clock(act.at, now())}: ${RUNGS[act.rung] ?? act.rung} lease ${act.lease}, ${act.why}`,
      ),
  );
  keyed(
    find("level-params"),
    PARAMS,
    ([field]) => field,
    makeFigure,
    (child, [field, , said]) => {
      const value = told.params?.[field];
      put(child.lastChild, value === undefined || value === null ? "–" : said(value));
    },
  );
  showActs();
  tick();
}

export function showWhy({ to_fall: toFall }) {
  const said = toFall.map((one) => `To fall: ${one}`);
  keyed(
    find("level-falls"),
    said,
    (one) => one,
    () => element("li"),
    put,
  );
}

export function tick() {
  if (!state) return;
  const since =
    state.since === null
      ? ""
      : `for ${duration(now() - state.since)}, since ${clock(state.since, now())}`;
  const until = state.by_hand?.until ? `; by hand until ${clock(state.by_hand.until, now())}` : "";
  put(find("level-since"), since + until);
}

function showNumeral(level, name, reasons) {
  put(find("level-numeral"), level);
  attribute(find("level-numeral"), "data-level", level);
  put(find("level-said"), `Level ${level},`);
  put(find("level-name"), name);
  const badge = find("badge");
  put(badge, `${level} ${name}`);
  attribute(badge, "data-level", level);
  badge.hidden = false;
  document.title = `${level} ${name} – admission`;
  [...find("level-steps").children].forEach((step, index) =>
    step.classList.toggle("on", index <= level),
  );
  keyed(
    find("level-reasons"),
    reasons,
    (reason) => reason,
    () => element("li"),
    put,
  );
}

function makeFigure([, label]) {
  const made = element("div");
  made.append(element("dt", "", label), element("dd"));
  return made;
}

function showActs() {
  const acts = find("level-acts");
  acts.hidden = !mayAct();
  const choices = [
    { key: "auto", name: "Auto" },
    ...NAMES.map((name, level) => ({ key: level, name: String(level), title: name })),
  ];
  keyed(
    acts,
    choices,
    ({ key }) => key,
    makeChoice,
    (button, { key }) => {
      const pressed = state.by_hand ? !state.by_hand.off && key === state.level : key === "auto";
      attribute(button, "aria-pressed", String(pressed));
    },
  );
}

function makeChoice({ key, name, title }) {
  const button = element("button", "", name);
  button.type = "button";
  if (title) button.title = title;
  button.addEventListener("click", () => (key === "auto" ? giveBack() : setLevel(key)));
  return button;
}

function setLevel(level) {
  ask({
    title: `Set the level to ${level} (${NAMES[level]})`,
    text: "It then no longer follows the machine, until the time is over or it is given back.",
    fields: [howLong("until it is given back")],
    command: (chosen) => `admission level ${level}${forOption(chosen)}`,
    what: (chosen) => ({ op: "level", set: level, ...forField(chosen) }),
    yes: "Set it",
    done: `The level is set to ${level}.`,
  });
}

function giveBack() {
  ask({
    title: "Give the level back to the machine",
    text: "It follows memory and CPU again.",
    command: () => "admission level auto",
    what: () => ({ op: "level", auto: true }),
    yes: "Give it back",
    done: "The level follows the machine.",
  });
}
