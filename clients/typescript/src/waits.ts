/** Waits that can be given up. */

// A timer counts milliseconds in 31 bits; one beyond that would ring at once.
export const TIMER_MS_MAX = 2 ** 31 - 1;
// What is taken back on the way out gets so long to be heard before one leaves.
const FAREWELL_MS = 1000;

/**
 * Waits so long.
 *
 * @param isIdle - whether the process may end meanwhile.
 * @throws the signal's reason, where that aborts.
 */
export function sleep(ms: number, signal?: AbortSignal, isIdle = false): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const end = () => {
      signal?.removeEventListener("abort", giveUp);
      resolve();
    };
    const timer = setTimeout(end, Math.min(Math.max(ms, 0), TIMER_MS_MAX));
    const giveUp = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    if (isIdle) timer.unref();
    signal?.addEventListener("abort", giveUp, { once: true });
  });
}

/** What this comes to, unless the signal aborts first; the work itself goes on. */
export function abortable<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason as Error);
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}

/** Waits for it, and no longer than is polite; how it ends is nobody's business. */
export async function briefly(work: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const heard = work.catch(() => {}).finally(() => over.abort());
  await Promise.race([heard, sleep(FAREWELL_MS, over.signal).catch(() => {})]);
}

/** One signal for these; undefined where none is given. */
export function either(...signals: (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

/** A clock that no one sets. */
export function nowMs(): number {
  return performance.now();
}
