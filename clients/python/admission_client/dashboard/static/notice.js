// How the connection stands, and what else there is to be told at once.

import { find, attribute, put } from "./dom.js";
import { now } from "./now.js";
import { clock, count, duration } from "./words.js";

const ALARMS_SHOWN = 3;
const LAST_SEEN = "What is shown is what was last seen";
const SAID = {
  away: ({ why }) => `${why || "The daemon does not answer"}. ${LAST_SEEN}.`,
  lost: () =>
    `Nobody serves this page any more. ${LAST_SEEN}; it goes on by itself when "admission dashboard" is there again.`,
  refused: () =>
    'This address is no longer let in. Open the one that "admission dashboard" has printed.',
};

let connection = { how: "opening", since: null, why: "" };
let state = null;

/** Whether it is live again, after it was not. */
export function showConnection(how, since, why) {
  const before = connection;
  connection = { how, since, why };
  const shown = find("connection");
  attribute(shown, "data-state", how);
  const when = since ? ` since ${clock(since, now())}` : "";
  put(shown, how === "live" ? "live" : how === "away" ? `daemon away${when}` : `away${when}`);
  show();
  return how === "live" && before.how !== "live" && before.how !== "opening";
}

export function showState(told) {
  state = told;
  show();
}

function show() {
  const said = SAID[connection.how] ? [SAID[connection.how](connection)] : present();
  put(find("notice"), said.join(" · "));
  find("notice").hidden = !said.length;
}

function present() {
  if (!state) return [];
  const said = [...state.degraded];
  if (state.shed?.advice) said.push(state.shed.advice);
  said.push(...state.alarms.slice(0, ALARMS_SHOWN).map(alarm));
  const more = state.alarms.length - ALARMS_SHOWN;
  if (more > 0) said.push(`and ${count(more, "more alarm")}`);
  return said;
}

const alarm = (one) =>
  one.kind === "waiting"
    ? `${one.task || "somebody"} waits in ${one.pool} for ${duration(now() - one.since)}: ${one.reason}`
    : `lease ${one.lease}${one.task ? ` (${one.task})` : ""}: ${one.reason}`;
