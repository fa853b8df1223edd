// The server's clock. The page may be looked at from another machine, through ssh, whose clock differs.

let ahead_s = 0;

export const now = () => Date.now() / 1000 + ahead_s;

/** The server said `instant` at some time between two readings of our clock. */
export function heard(instant, before_ms, after_ms) {
  ahead_s = instant - (before_ms + after_ms) / 2000;
  if (Math.abs(ahead_s) < 0.5) ahead_s = 0;
}
