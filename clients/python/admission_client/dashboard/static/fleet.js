// The fleet that this machine's daemon is in; nothing where it is in none.

import { find, put } from "./dom.js";
import { now } from "./now.js";
import { Table } from "./table.js";
import { duration } from "./words.js";

const EVERY_S = 10;
const SELDOM_S = 120;
const AWAY = {
  share: "in its pools only what is given back here is granted again",
  refuse: "nothing new is granted in its pools",
};

const nodes = new Table(
  find("fleet-table"),
  [
    { head: "Node", isName: true, text: (row) => row.node + (row.self ? " (here)" : "") },
    { head: "State", text: (row) => row.state },
    { head: "Level", className: "number", text: (row) => row.level },
    { head: "Agents", className: "number", text: (row) => `${row.out} of ${row.capacity}` },
    { head: "Waiting", className: "number", text: (row) => row.waiting },
    { head: "Cost", className: "number roomy", text: (row) => row.cost },
    {
      head: "Labels",
      className: "wide roomy",
      text: (row) => (row.labels ?? []).join(", ") || "–",
    },
    { head: "Heard of", className: "number roomy", text: (row) => `${duration(row.seen_s)} ago` },
  ],
  ({ node }) => node,
  find("fleet-empty"),
);

const pools = new Table(
  find("fleet-pools-table"),
  [
    { head: "Pool", isName: true, text: (row) => row.pool },
    { head: "Held", className: "number", text: (row) => `${row.held} of ${row.capacity}` },
    { head: "Waiting", className: "number", text: (row) => row.waiting },
    { head: "Held here", className: "number", text: (row) => row.own_held },
    { head: "Waiting here", className: "number roomy", text: (row) => row.own_waiting },
    {
      head: "Lost here",
      className: "number roomy",
      text: (row) => (row.lost ?? []).join(", ") || "–",
    },
  ],
  ({ pool }) => pool,
  find("fleet-pools-empty"),
);

let due = 0;

export function tick() {
  if (now() < due) return;
  due = now() + SELDOM_S;
  look().catch(() => {}); // nobody serves: the connection says so
}

async function look() {
  const answer = await fetch("/fleet");
  const found = answer.ok ? await answer.json() : {};
  const isIn = Boolean(found.node || found.nodes?.length);
  find("fleet").hidden = !isIn;
  if (!isIn) return;
  due = now() + EVERY_S;
  put(
    find("fleet-aside"),
    found.problem
      ? `away (${found.problem}): ${AWAY[found.when_away] ?? ""}`
      : `${found.nodes.length} nodes`,
  );
  nodes.show(found.nodes);
  pools.show(found.pools ?? []);
}
