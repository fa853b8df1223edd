// What was seen, from a minute to a month: the history, and behind its newest point what came by the feed.

const SAMPLES_KEPT = 4_000;
const SEEN_FOR_S = 95;
// So many changes of the level are told of at most, the newest.
const CHANGES_TOLD = 1_000;
const FIELDS = {
  memory: "memory_used_pct",
  cpu: "cpu_used_pct",
  memoryStall: "memory_stall_pct",
  cpuStall: "cpu_stall_pct",
  ioStall: "io_stall_pct",
};
const SUFFIXED = Object.keys(FIELDS).flatMap((name) => [name, `${name}Max`]);

export class Past {
  constructor() {
    this.samples = [];
    this.changes = [];
    this.fetched = null;
    this.thresholds = null;
    this.present = null;
  }

  addSample(sample) {
    const last = this.samples.at(-1);
    if (last && sample.at <= last.at) return;
    this.samples.push(sample);
    if (this.samples.length > SAMPLES_KEPT) this.samples.splice(0, SAMPLES_KEPT / 4);
  }

  addChange(change) {
    if (this.changes.some((one) => one.at === change.at)) return;
    this.changes.push(change);
    this.changes.sort((a, b) => a.at - b.at);
    if (this.changes.length > SAMPLES_KEPT) this.changes.shift();
  }

  /** What is to be drawn between two instants: points as columns, stretches of levels, bounds, changes. */
  between(from, to, step) {
    const points = this.#points(from, to, step);
    const stretches = this.#stretches(this.#allChanges(), from, to);
    points.level = points.level.map(
      (level, index) => level ?? levelAt(stretches, points.at[index]),
    );
    const changes = this.#allChanges().filter(({ at }) => at >= from && at <= to);
    return { from, to, points, changes, stretches, bounds: this.#bounds() };
  }

  #points(from, to, step) {
    const points = emptyPoints();
    const series = this.fetched?.series;
    const half = this.fetched ? this.fetched.step_s / 2 : 0;
    let newest = -Infinity;
    const gap = Math.max(3 * step, SEEN_FOR_S);
    for (let i = 0; series && i < series.at.length; i += 1) {
      const at = Math.min(series.at[i] + half, this.fetched.newest ?? Infinity);
      if (at <= newest) continue;
      if (at - newest > gap && Number.isFinite(newest)) push(points, newest + gap / 2, () => null);
      push(points, at, (field, isMost) => series[field]?.[isMost ? "max" : "mean"][i] ?? null);
      points.level[points.level.length - 1] = series.level?.[i] ?? null;
      points.inUse[points.inUse.length - 1] = series.in_use?.max[i] ?? null;
      points.waiting[points.waiting.length - 1] = series.waiting?.max[i] ?? null;
      newest = at;
    }
    for (const sample of this.samples) {
      if (sample.at <= newest || sample.at < from || sample.at > to + 1) continue;
      if (sample.at - newest > gap && Number.isFinite(newest))
        push(points, newest + gap / 2, () => null);
      push(points, sample.at, (field) => sample[field] ?? null);
      newest = sample.at;
    }
    return points;
  }

  #allChanges() {
    const fetched = this.fetched?.levels ?? [];
    const last = fetched.at(-1)?.at ?? -Infinity;
    // One that the feed told first stands in the history with an instant that is hardly another.
    return [...fetched, ...this.changes.filter((one) => one.at > last + 0.5)];
  }

  #stretches(changes, from, to) {
    let level = this.fetched?.level_before ?? null;
    let since = this.fetched ? Math.max(from, this.fetched.oldest ?? from) : from;
    const stretches = [];
    if (this.fetched?.levels.length >= CHANGES_TOLD) {
      since = Math.max(since, this.fetched.levels[0].at);
      stretches.push(...this.#coarse(since));
    }
    for (const change of changes.filter(({ at }) => at <= to)) {
      if (change.at > since && level !== null)
        stretches.push({ from: since, to: change.at, level });
      since = Math.max(change.at, from);
      level = change.level;
    }
    // Where nothing changed in all that is known, it is what it is now.
    if (level === null && this.present)
      [level, since] = [this.present.level, Math.max(since, this.present.since ?? since)];
    if (level !== null && to > since) stretches.push({ from: since, to, level });
    return stretches;
  }

  /** Before the oldest change that is told of: the highest level of each interval. */
  #coarse(until) {
    const { series, step_s: step } = this.fetched;
    const stretches = [];
    for (let i = 0; i < series.at.length && series.at[i] < until; i += 1) {
      const level = series.level[i];
      const last = stretches.at(-1);
      const to = Math.min(series.at[i] + step, until);
      if (last?.level === level) last.to = to;
      else if (level !== null) stretches.push({ from: series.at[i], to, level });
    }
    return stretches;
  }

  #bounds() {
    const known = this.thresholds ?? this.fetched?.thresholds;
    return { memory: known?.memory_pct ?? [], cpu: known?.cpu_pct ?? [] };
  }
}

const levelAt = (stretches, at) =>
  stretches.find((one) => at >= one.from && at < one.to)?.level ?? null;

function emptyPoints() {
  return Object.fromEntries(
    ["at", "level", "inUse", "waiting", ...SUFFIXED].map((name) => [name, []]),
  );
}

function push(points, at, read) {
  points.at.push(at);
  for (const name of ["level", "inUse", "waiting"]) points[name].push(null);
  for (const [name, field] of Object.entries(FIELDS)) {
    points[name].push(read(field, false));
    points[`${name}Max`].push(read(field, true));
  }
}
