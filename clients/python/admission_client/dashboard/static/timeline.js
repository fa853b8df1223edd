// Who held a slot when, and who waited: each lease as a bar in the first lane that was free, on the same
// axis of time as the charts above it.

import { attribute, put } from "./dom.js";
import { GUTTER, RIGHT } from "./charts.js";
import { colours, onColours } from "./theme.js";
import { clock, count, duration } from "./words.js";

const LANE = { least: 2, most: 18 };
const HELD_HEIGHT = 200;
const WAITED_HEIGHT = 90;
const FONT = "11px system-ui, sans-serif";
const LETTERS_FROM = 13;
const ROOM_FOR_TEXT = 34;
const GAP = 14;

/** Spans in the first lane free when each begins; gives the number of lanes. Spans are by `from`. */
export function pack(spans) {
  const ends = [];
  for (const span of spans) {
    let lane = 0;
    while (lane < ends.length && ends[lane] > span.from) lane += 1;
    ends[lane] = span.to;
    span.lane = lane;
  }
  return ends.length;
}

export class Timeline {
  constructor(canvas, said, tip) {
    this.canvas = canvas;
    this.said = said;
    this.tip = tip;
    this.hits = [];
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    onColours(() => this.paint());
    // Asking for the width each time would have the whole page laid out each time.
    new ResizeObserver(([seen]) => {
      this.width = seen.contentRect.width;
      this.paint();
    }).observe(canvas.parentNode);
  }

  /** `leases`: with `queuedAt`, `grantedAt` (null: waits), `endedAt` (null: holds), `task`, `class`; `leftOut`: how many more there were. */
  draw(leases, from, to, now, leftOut) {
    this.from = from;
    this.to = to;
    this.held = [];
    this.waited = [];
    for (const one of leases) {
      const granted = one.grantedAt ?? now;
      if (one.grantedAt !== null) add(this.held, one, granted, one.endedAt ?? now, from, to);
      if (granted - one.queuedAt > 0.05) add(this.waited, one, one.queuedAt, granted, from, to);
    }
    for (const spans of [this.held, this.waited]) spans.sort((a, b) => a.from - b.from);
    this.lanes = { held: pack(this.held), waited: pack(this.waited) };
    this.#say(leftOut);
    this.paint();
  }

  paint() {
    const { width } = this;
    if (!this.held || !width) return;
    const held = laneHeight(this.lanes.held, HELD_HEIGHT);
    const waited = laneHeight(this.lanes.waited, WAITED_HEIGHT);
    const heldHeight = Math.max(this.lanes.held, 1) * held;
    const waitedHeight = this.lanes.waited * waited;
    const height = Math.ceil(heldHeight + (waitedHeight ? waitedHeight + GAP : 0)) + 2;
    this.#size(width, height);
    const pen = this.canvas.getContext("2d");
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.hits = [];
    this.#band(pen, "held", this.held, 0, held, width);
    if (waitedHeight) this.#band(pen, "waited", this.waited, heldHeight + GAP, waited, width);
  }

  #size(width, height) {
    const wide = Math.round(width * devicePixelRatio);
    const tall = Math.round(height * devicePixelRatio);
    if (this.canvas.height !== tall) this.canvas.height = tall;
    if (this.canvas.width !== wide) this.canvas.width = wide;
    this.canvas.style.height = `${height}px`;
  }

  #band(pen, kind, spans, top, lane, width) {
    const paint = colours();
    const scale = (width - GUTTER - RIGHT) / (this.to - this.from);
    pen.font = FONT;
    pen.textBaseline = "middle";
    pen.fillStyle = paint["ink-3"];
    pen.textAlign = "right";
    pen.fillText(
      kind === "held" ? "held" : "waited",
      GUTTER - 6,
      top + Math.max(lane, LETTERS_FROM) / 2 + 1,
    );
    pen.textAlign = "left";
    for (const span of spans) {
      const left = GUTTER + (span.from - this.from) * scale;
      const wide = Math.max((span.to - span.from) * scale, 1);
      const y = top + span.lane * lane;
      const tall = Math.max(lane - (lane > 4 ? 2 : 0.5), 1);
      pen.fillStyle = paint[span.one.class] ?? paint.normal;
      pen.globalAlpha = kind === "held" ? 1 : 0.35;
      pen.fillRect(left, y, wide - (wide > 3 ? 1 : 0), tall);
      pen.globalAlpha = 1;
      if (lane >= LETTERS_FROM && wide > ROOM_FOR_TEXT)
        label(
          pen,
          span.one.task || "–",
          left,
          y,
          wide,
          tall,
          kind === "held" ? paint.panel : paint.ink,
        );
      this.hits.push({ left, right: left + wide, top: y, bottom: y + tall, one: span.one });
    }
  }

  #point(event) {
    const { offsetX: x, offsetY: y } = event;
    const hit = this.hits.find(
      (one) => x >= one.left && x <= one.right && y >= one.top && y <= one.bottom,
    );
    this.tip.hidden = !hit;
    if (!hit) return;
    put(this.tip, about(hit.one));
    const wide = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(x + 12, this.width - wide))}px`;
    this.tip.style.top = `${y + 16}px`;
  }

  #say(leftOut) {
    const hold = this.held.filter((span) => span.one.endedAt === null).length;
    const wait = this.waited.filter((span) => span.one.grantedAt === null).length;
    let words = `${count(this.held.length, "lease")} since ${clock(this.from)}, in ${count(this.lanes.held, "lane")}; ${hold} of them still held, ${wait} waiting`;
    if (leftOut) words += `; ${leftOut} older ones are left out`;
    attribute(this.canvas, "aria-label", `Who held a slot when: ${words}.`);
    put(this.said, words);
  }
}

function add(spans, one, begun, ended, from, to) {
  if (ended < from || begun > to) return;
  spans.push({ one, from: Math.max(begun, from), to: Math.min(Math.max(ended, begun), to) });
}

const laneHeight = (lanes, room) =>
  Math.max(LANE.least, Math.min(LANE.most, room / Math.max(lanes, 1)));

function label(pen, text, left, top, wide, tall, colour) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, wide - 5, tall);
  pen.clip();
  pen.fillStyle = colour;
  pen.fillText(text.slice(0, 80), left + 5, top + tall / 2 + 1);
  pen.restore();
}

function about(one) {
  const waited = (one.grantedAt ?? Date.now() / 1000) - one.queuedAt;
  const parts = [
    `${one.lease ? `${one.lease} ` : ""}${one.task || "no task"}`,
    `${one.pool}, ${one.class}`,
  ];
  parts.push(
    one.grantedAt === null ? `waits for ${duration(waited)}` : `waited ${duration(waited)}`,
  );
  if (one.grantedAt !== null) {
    const held = duration((one.endedAt ?? Date.now() / 1000) - one.grantedAt);
    parts.push(
      one.endedAt === null ? `held for ${held}` : `held ${held}, ${one.reason ?? "ended"}`,
    );
  }
  return parts.join(" · ");
}
