// Memory, CPU and pressure over time, drawn by uPlot on one axis of time. The levels stand behind the
// lines, and the bounds that lead to them across.

import { element, keyed, put, attribute } from "./dom.js";
import { colours } from "./theme.js";
import { clock, mark, percent } from "./words.js";

// A script of its own, before this one.
const { uPlot } = /** @type {any} */ (globalThis);

export const GUTTER = 42;
export const RIGHT = 18;
const FONT = "11px system-ui, sans-serif";
// What a chart draws: the name that is shown, the fields of a point, the colour.
const KINDS = {
  memory: { name: "Memory", lines: [["memory", "", "accent"]], most: 100, height: 118 },
  cpu: { name: "CPU", lines: [["cpu", "", "second"]], most: 100, height: 118 },
  stall: {
    name: "Pressure",
    lines: [
      ["memoryStall", "memory", "accent"],
      ["cpuStall", "CPU", "second"],
      ["ioStall", "disk", "third"],
    ],
    most: null,
    height: 92,
  },
};

export class Charts {
  /** `holders`: by kind, an element with `.value` and `.plot` inside. `onHover` hears where the cursor is. */
  constructor(holders, onHover) {
    this.holders = holders;
    this.onHover = onHover;
    this.plots = {};
    this.seen = null;
  }

  /** `seen`: the points as columns, `from`, `to`, `changes` and `bounds`. */
  draw(seen) {
    this.seen = seen;
    for (const kind of Object.keys(KINDS)) {
      const plot = (this.plots[kind] ??= this.#make(kind));
      plot.setData(this.#columns(kind), false);
      plot.batch(() => {
        plot.setScale("x", { min: seen.from, max: seen.to });
        plot.setScale("y", { min: 0, max: this.#most(kind) });
      });
      this.#say(kind, this.#pointed(plot));
    }
  }

  /** Anew, in other colours. */
  recolour() {
    for (const plot of Object.values(this.plots)) plot.destroy();
    this.plots = {};
    if (this.seen) this.draw(this.seen);
  }

  resize() {
    for (const [kind, plot] of Object.entries(this.plots)) {
      const width = this.holders[kind].querySelector(".plot").clientWidth;
      if (width && width !== plot.width) plot.setSize({ width, height: KINDS[kind].height });
    }
  }

  #columns(kind) {
    const { points } = this.seen;
    const columns = [points.at];
    for (const [field] of KINDS[kind].lines) columns.push(points[field], points[`${field}Max`]);
    return columns;
  }

  #most(kind) {
    if (KINDS[kind].most) return KINDS[kind].most;
    let most = 10;
    for (const [field] of KINDS[kind].lines)
      for (const value of this.seen.points[`${field}Max`]) if (value > most) most = value;
    return Math.min(Math.ceil((most * 1.1) / 10) * 10, 100);
  }

  #make(kind) {
    const paint = colours();
    const series = [{}];
    const bands = [];
    for (const [, , colour] of KINDS[kind].lines) {
      series.push({
        stroke: paint[colour],
        width: 1.5,
        points: { size: 4, width: 0, fill: paint[colour] },
      });
      series.push({ stroke: "transparent", width: 0, points: { show: false } });
      bands.push({ series: [series.length - 1, series.length - 2], fill: paint[`${colour}-soft`] });
    }
    const plotted = this.holders[kind].querySelector(".plot");
    return new uPlot(
      {
        width: plotted.clientWidth,
        height: KINDS[kind].height,
        padding: [6, RIGHT, 0, 0],
        legend: { show: false },
        cursor: {
          y: false,
          points: { show: false },
          drag: { x: false, y: false },
          sync: { key: "time", setSeries: false },
        },
        scales: { x: { time: true, auto: false }, y: { auto: false } },
        axes: [this.#timeAxis(paint, kind === "stall"), valueAxis(paint)],
        series,
        bands,
        hooks: {
          drawClear: [(plot) => drawLevels(plot, this.seen)],
          draw: [(plot) => drawBounds(plot, this.seen.bounds[kind] ?? [])],
          setCursor: [(plot) => this.#hover(plot)],
        },
      },
      [[], ...series.slice(1).map(() => [])],
      plotted,
    );
  }

  #timeAxis(paint, isLast) {
    return {
      show: true,
      size: isLast ? 24 : 6,
      stroke: paint["ink-3"],
      font: FONT,
      space: 76,
      grid: { stroke: paint.line, width: 1 },
      ticks: { show: false },
      values: (_, marks, __, ___, step) => marks.map((at) => (isLast ? mark(at, step) : "")),
    };
  }

  /** What the pointer is on: an index of the points, or null. */
  #pointed(plot) {
    const isOn = plot.cursor.left >= 0 && this.seen.points.at.length > 0;
    return isOn ? plot.posToIdx(plot.cursor.left) : null;
  }

  #hover(plot) {
    const index = this.#pointed(plot);
    for (const kind of Object.keys(KINDS)) this.#say(kind, index);
    const { points } = this.seen;
    this.onHover(
      index === null
        ? null
        : { at: points.at[index], left: plot.cursor.left, ...pick(points, index) },
    );
  }

  /** The figures beside the name, of the instant under the cursor or the last one; and in words. */
  #say(kind, index = null) {
    const { points, from } = this.seen;
    const holder = this.holders[kind];
    const shown = index ?? points.at.length - 1;
    const figure = (child, [field, name]) => {
      const value = index === null ? lastOf(points[field]) : points[field][shown];
      put(child, name ? `${name} ${percent(value)}` : percent(value));
    };
    const make = ([, , colour]) => element("span", `figure ${colour}`);
    keyed(holder.querySelector(".value"), KINDS[kind].lines, ([field]) => field, make, figure);
    if (index !== null) return;
    const words = KINDS[kind].lines.map(([field, name]) =>
      inWords(field, name || KINDS[kind].name, points),
    );
    const bounds = this.seen.bounds[kind] ?? [];
    const limits = bounds.length ? ` Bounds at ${bounds.map(percent).join(", ")}.` : "";
    attribute(
      holder.querySelector(".plot"),
      "aria-label",
      `${words.join(". ")}, since ${clock(from)}.${limits}`,
    );
  }
}

/** "memory 62 % now, 48 % to 71 %": what the line shows, for who does not see it. */
function inWords(field, name, points) {
  let least = Infinity;
  let most = -Infinity;
  for (const value of points[field]) {
    if (value === null) continue;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (most < least) return `${name}: nothing was seen`;
  return `${name} ${percent(lastOf(points[field]))} now, ${percent(least)} to ${percent(most)}`;
}

function lastOf(values) {
  for (let i = values.length - 1; i >= 0; i -= 1) if (values[i] !== null) return values[i];
  return null;
}

const pick = (points, index) => ({
  level: points.level[index],
  held: points.inUse[index],
  waiting: points.waiting[index],
});

const valueAxis = (paint) => ({
  size: GUTTER,
  stroke: paint["ink-3"],
  font: FONT,
  space: 26,
  gap: 6,
  grid: { stroke: paint.line, width: 1 },
  ticks: { show: false },
});

/** What was in force when: each level above 0 as a tint, and all of them as a strip at the foot. */
function drawLevels(plot, seen) {
  const { ctx, bbox } = plot;
  const paint = colours();
  ctx.save();
  for (const { from, to, level } of seen.stretches) {
    const left = Math.max(plot.valToPos(from, "x", true), bbox.left);
    const right = Math.min(plot.valToPos(to, "x", true), bbox.left + bbox.width);
    if (right <= left) continue;
    ctx.fillStyle = paint[`level-${level}`];
    if (level) {
      ctx.globalAlpha = 0.13;
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.globalAlpha = 0.9;
    ctx.fillRect(
      left,
      bbox.top + bbox.height - 2 * devicePixelRatio,
      right - left,
      2 * devicePixelRatio,
    );
  }
  ctx.restore();
}

function drawBounds(plot, bounds) {
  const { ctx, bbox } = plot;
  const paint = colours();
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  bounds.forEach((bound, index) => {
    if (bound > plot.scales.y.max) return;
    const y = Math.round(plot.valToPos(bound, "y", true)) + 0.5;
    ctx.strokeStyle = paint[`level-${Math.min(index + 1, 3)}`];
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  });
  ctx.restore();
}
