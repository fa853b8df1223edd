/** What the daemon granted. */

import { mapping, paramsOf, text, whole, type ThrottleParams } from "./answers.js";
import { LeaseLost, type AdmissionError } from "./errors.js";
import type { Frame } from "./frames.js";
import { LEASE_VARIABLE } from "./place.js";

/** How long to wait, and how to stop waiting. */
export interface WaitOptions {
  /** At most so many milliseconds; without it for ever, 0 now or not at all. */
  waitMs?: number | undefined;
  /** Stops the wait: the daemon hears of it, and the wait rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Whoever granted it, and takes it back. */
export interface Keeper {
  release(lease: Lease): Promise<void>;
  renew(lease: Lease): Promise<void>;
  yielded<T>(lease: Lease, body: () => Promise<T> | T, options: WaitOptions): Promise<T>;
}

/**
 * The right to hold `weight` units of `pool` until it ends.
 *
 * Also for `await using`, which gives it back.
 */
export class Lease {
  readonly id: number;
  /** Only ever grows, across restarts too: whoever guards a resource can refuse an older one. */
  readonly fence: number;
  readonly pool: string;
  readonly weight: number;
  /** `process`, `connection` or what else the daemon binds a lease to. */
  readonly bound: string;
  readonly waitedMs: number;
  /** It is the lease that this process runs under already, and not this one's to give back. */
  readonly isShared: boolean;

  readonly #secret: string;
  #level: number;
  #params: ThrottleParams;
  #lost: LeaseLost | undefined;
  #loss: AbortController | undefined;
  #release: Promise<void> | undefined;
  readonly #keeper: Keeper;
  readonly #onLost: ((problem: LeaseLost) => void) | undefined;
  #onPark: ((reason: string) => void) | undefined;

  /**
   * @param reply - what the daemon answered.
   * @throws Unreachable - it is no answer that we understand.
   */
  constructor(
    reply: Frame,
    keeper: Keeper,
    onLost?: (problem: LeaseLost) => void,
    onPark?: (reason: string) => void,
  ) {
    this.id = whole(reply, "lease");
    this.fence = whole(reply, "fence");
    this.pool = text(reply, "pool");
    this.weight = whole(reply, "weight");
    this.bound = text(reply, "bound");
    this.waitedMs = whole(reply, "waited_ms");
    this.isShared = reply["shared"] === true;
    this.#secret = text(reply, "secret");
    this.#level = whole(reply, "level");
    this.#params = paramsOf(mapping(reply, "params"));
    this.#keeper = keeper;
    this.#onLost = onLost;
    this.#onPark = onPark;
  }

  /** The throttle level when the daemon last answered about it. */
  get level(): number {
    return this.#level;
  }

  /** What that level asks of its agents. */
  get params(): ThrottleParams {
    return this.#params;
  }

  /** Why it ended before it was given back; undefined while it has not, as far as is known. */
  get lost(): LeaseLost | undefined {
    return this.#lost;
  }

  /** Aborts when the lease is lost, with a LeaseLost: for whatever should stop then. */
  get signal(): AbortSignal {
    if (this.#loss === undefined) {
      this.#loss = new AbortController();
      if (this.#lost !== undefined) this.#loss.abort(this.#lost);
    }
    return this.#loss.signal;
  }

  /** The variables by which a command learns what it was granted, and shares it. */
  environment(): Record<string, string> {
    const params = this.params;
    return {
      [LEASE_VARIABLE]: String(this.id),
      ADMISSION_FENCE: String(this.fence),
      ADMISSION_LEVEL: String(this.level),
      ADMISSION_BATCH_SIZE: String(params.batch_size),
      ADMISSION_DELAY_MS: String(params.delay_ms),
      ADMISSION_MAX_CONCURRENT: String(params.max_concurrent),
      ADMISSION_REASONING_EFFORT: params.reasoning_effort,
    };
  }

  /**
   * Gives it back; once, however often it is called. A shared one is its holder's, and stays.
   *
   * @throws LeaseLost - it had ended already.
   */
  release(): Promise<void> {
    this.#release ??= this.#keeper.release(this);
    return this.#release;
  }

  /**
   * Has the `ttlMs` that it was asked for begin anew.
   *
   * @throws LeaseLost - it has ended.
   */
  renew(): Promise<void> {
    return this.#keeper.renew(this);
  }

  /**
   * Gives the units back while `body` runs, as when that waits for a model's answer, and takes
   * them again behind it, whether it failed or not; waiting where one must, before newcomers.
   * A shared lease keeps its units: others of the process above may need them.
   *
   * @throws NoSlot - there were none within the wait; the lease is still there, without its units.
   * @throws whatever `body` throws, unless taking them again failed.
   */
  yielded<T>(body: () => Promise<T> | T, options: WaitOptions = {}): Promise<T> {
    return this.#keeper.yielded(this, body, options);
  }

  /** By what it is taken up again on another connection. @internal */
  proof(): Frame {
    return { lease: this.id, secret: this.#secret };
  }

  /** What its keeper heard of it since. @internal */
  update(reply: Frame): void {
    this.#level = whole(reply, "level");
    this.#params = paramsOf(mapping(reply, "params"));
  }

  /** Its holder is asked to end soon; of which it hears once. @internal */
  park(reason: string): void {
    const onPark = this.#onPark;
    this.#onPark = undefined;
    if (onPark !== undefined) queueMicrotask(() => onPark(reason));
  }

  /** It ended, and not by its holder's will. @internal */
  lose(problem: AdmissionError): void {
    if (this.#lost !== undefined) return;
    const lost = problem instanceof LeaseLost ? problem : new LeaseLost(problem.message);
    this.#lost = lost;
    this.#loss?.abort(lost);
    const onLost = this.#onLost;
    // On its own, so that an error in it is its owner's and upsets nothing here.
    if (onLost !== undefined) queueMicrotask(() => onLost(lost));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
