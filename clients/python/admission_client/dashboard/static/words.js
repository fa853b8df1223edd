// Numbers as people read them.

const UNITS = ["B", "kB", "MB", "GB", "TB"];
const ABSENT = "–";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "12 s", "4 min", "2.5 h", "3 d". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return ABSENT;
  const s = Math.max(seconds, 0);
  if (s < 1) return s === 0 ? "0 s" : `${Math.max(Math.round(s * 1000), 1)} ms`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 86400 ? `${tenths(s / 3600)} h` : `${tenths(s / 86400)} d`;
}

/** Rounded down: nothing has lasted for 2 h before it has. */
const tenths = (value) =>
  value < 10 ? String(Math.floor(value * 10) / 10) : String(Math.floor(value));

/** "1.4 GB"; by 1024, as everywhere in this project. */
export function bytes(count) {
  if (count === null || count === undefined) return ABSENT;
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** "62 %". */
export function percent(value) {
  if (value === null || value === undefined) return ABSENT;
  return `${value < 10 && value > 0 ? value.toFixed(1) : Math.round(value)} %`;
}

/** "14:02:31", with the day where that is not `now`'s. Instants are seconds since 1970. */
export function clock(at, now = Date.now() / 1000) {
  const then = new Date(at * 1000);
  const time = [then.getHours(), then.getMinutes(), then.getSeconds()].map(two).join(":");
  return then.toDateString() === new Date(now * 1000).toDateString()
    ? time
    : `${day(then)} ${time}`;
}

/** "14:02", "Mon 14:00" or "3 Nov", as the distance of two marks of an axis asks. */
export function mark(at, step) {
  const then = new Date(at * 1000);
  const time = `${two(then.getHours())}:${two(then.getMinutes())}`;
  if (step < 60) return `${time}:${two(then.getSeconds())}`;
  if (step < 86400) return then.getHours() || then.getMinutes() ? time : day(then);
  return day(then);
}

const day = (then) => `${then.getDate()} ${MONTHS[then.getMonth()]}`;

const two = (value) => String(value).padStart(2, "0");

/** "1 lease", "3 leases". */
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
