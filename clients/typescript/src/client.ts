/** The client: asks, waits, and holds. */

import { randomBytes } from "node:crypto";

import { rows } from "./answers.js";
import { openOrStart } from "./autostart.js";
import { claimFields, placeOf, type AcquireOptions } from "./claim.js";
import { AdmissionError, Disconnected, LeaseLost, Unreachable } from "./errors.js";
import type { Frame } from "./frames.js";
import { Lease, type Keeper, type WaitOptions } from "./lease.js";
import { News } from "./news.js";
import { socketPath } from "./place.js";
import { Session } from "./session.js";
import { abortable, briefly, either } from "./waits.js";

export interface ClientOptions {
  /** The daemon's socket; without it, the usual place. */
  socket?: string | undefined;
  /** Start a daemon where none runs, unless `ADMISSION_AUTOSTART=0`. */
  autostart?: boolean | undefined;
  /** A daemon that lives answers within milliseconds; one that does not for so long is stuck. */
  answerTimeoutMs?: number | undefined;
  /** How long to look for a daemon that went away. It keeps places and leases for 10 s, too. */
  reconnectMs?: number | undefined;
}

export interface AskOptions {
  /** Stops waiting for the answer. */
  signal?: AbortSignal | undefined;
}

/** All who hold, and all who wait, as rows of the daemon's answer. */
export interface LeasesAnswer {
  leases: Frame[];
  waiting: Frame[];
}

/**
 * Connects when it is first used, and again by itself after the daemon was away. Requests may be
 * made while others wait. Also for `await using`, which closes it.
 */
export class Client {
  /** The daemon's socket. */
  readonly path: string;
  readonly #autostart: boolean;
  readonly #answerTimeoutMs: number;
  readonly #session: Session;
  readonly #keeper: Keeper;
  readonly #waiting = new Set<Promise<unknown>>();
  readonly #farewells = new Set<Promise<unknown>>();

  constructor(options: ClientOptions = {}) {
    this.path = socketPath(options.socket);
    this.#autostart = options.autostart ?? false;
    this.#answerTimeoutMs = options.answerTimeoutMs ?? 10_000;
    this.#session = new Session({
      path: this.path,
      autostart: this.#autostart,
      answerTimeoutMs: this.#answerTimeoutMs,
      reconnectMs: options.reconnectMs ?? 10_000,
    });
    this.#keeper = {
      release: (lease) => this.release(lease),
      renew: (lease) => this.#renew(lease),
      yielded: (lease, body, wait) => this.#yielded(lease, body, wait),
    };
  }

  /**
   * Closes the connection: what waits is taken back, and what is bound to the connection ends. It
   * may be used again.
   */
  async close(): Promise<void> {
    const closed = new Unreachable("the client was closed");
    this.#session.interrupt(closed);
    await Promise.allSettled(this.#waiting);
    const told = Promise.allSettled(this.#farewells);
    await briefly(told.then(() => this.#session.disconnect(closed)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // --- looking -----------------------------------------------------------------------------------

  /**
   * One request and its answer; docs/design.md, "On the socket", has the ops and their fields.
   *
   * @throws AdmissionError - it was refused, or no daemon could be had.
   */
  async ask(op: string, fields: Frame = {}, { signal }: AskOptions = {}): Promise<Frame> {
    return await this.#session.ask(op, fields, signal);
  }

  /** Level, capacity, what is in use, the sample, and why. */
  async status(options: AskOptions = {}): Promise<Frame> {
    return await this.ask("status", {}, options);
  }

  /** Who holds what, and who waits; all of them, however many answers that takes. */
  async leases(
    filter: { pool?: string; task?: string; pid?: number } = {},
    options: AskOptions = {},
  ): Promise<LeasesAnswer> {
    const found: LeasesAnswer = { leases: [], waiting: [] };
    let after: unknown;
    for (;;) {
      const answer = await this.ask("leases", { ...filter, after }, options);
      const [leases, waiting] = [rows(answer, "leases"), rows(answer, "waiting")];
      found.leases.push(...leases);
      found.waiting.push(...waiting);
      after = answer["more"];
      // An answer without a row leads nowhere, whatever it says of the next one.
      if (after === undefined || leases.length + waiting.length === 0) return found;
    }
  }

  /**
   * The news, as they come, on a connection of their own; until the daemon ends, which throws. Who
   * leaves the loop, or aborts, follows them no longer.
   *
   * @param topics - of `level`, `lease`, `queue`, `sample`; without them, all.
   */
  async *watch(topics?: string[], { signal }: AskOptions = {}): AsyncGenerator<Frame, void, void> {
    const opening = openOrStart(this.path, this.#autostart);
    const connection = await abortable(opening, signal).catch((problem: unknown) => {
      opening.then((late) => late.destroy()).catch(() => {});
      throw problem;
    });
    const news = new News();
    const giveUp = () => news.end(signal?.reason);
    connection.onClose = () => news.end(connection.failure);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      await connection.request("watch", topics === undefined ? {} : { topics }, {
        take: (answer) => answer,
        onEvent: (event) => news.push(event),
        isFollowed: true,
        timeoutMs: this.#answerTimeoutMs,
        signal,
      });
      for (;;) yield await news.next();
    } finally {
      signal?.removeEventListener("abort", giveUp);
      connection.destroy();
    }
  }

  // --- holding -----------------------------------------------------------------------------------

  /**
   * A lease, when it is granted. If the daemon goes away meanwhile, the place in the queue is taken
   * up again.
   *
   * @throws NoSlot - nothing was free within the wait.
   * @throws AdmissionError - it was refused, or no daemon could be had.
   */
  async acquire(options: AcquireOptions = {}): Promise<Lease> {
    options.signal?.throwIfAborted();
    return await tracked(this.#waiting, this.#acquire(options));
  }

  async #acquire(options: AcquireOptions): Promise<Lease> {
    const signal = either(options.signal, this.#session.closing);
    const request = new Uint8Array(randomBytes(16));
    const fields = { ...claimFields(options), request };
    const take = (answer: Frame) =>
      this.#session.hold(new Lease(answer, this.#keeper, options.onLost, options.onPark));
    const { onQueued } = options;
    const onEvent = (event: Frame) => {
      if (event["event"] === "queued") onQueued?.(placeOf(event));
    };
    const wait = { waitMs: options.waitMs, byMs: options.byMs, signal };
    let isSent = false;
    const onSend = () => {
      isSent = true;
    };
    try {
      return await this.#session.persist("acquire", fields, wait, { take, onEvent, onSend });
    } catch (problem) {
      // Unless the daemon has refused it, it may still grant it, and nobody waits any more: after
      // an abort, a bug in `onQueued`, no answer in time, or one that is nonsense.
      const isRefused = problem instanceof AdmissionError && !(problem instanceof Unreachable);
      if (isSent && (signal?.aborted || !isRefused)) {
        await briefly(tracked(this.#farewells, this.#session.tell("cancel", { request })));
      }
      throw problem;
    }
  }

  /**
   * Gives a lease back. A shared one is its holder's, and stays.
   *
   * @throws LeaseLost - it had ended already.
   */
  async release(lease: Lease): Promise<void> {
    if (lease.isShared) return;
    this.#session.letGo(lease);
    if (lease.lost !== undefined) throw lease.lost;
    try {
      await this.ask("release", { lease: lease.id });
    } catch (problem) {
      if (!(problem instanceof Disconnected)) throw problem;
      await this.#session.reconnect();
      // A second try after a broken connection may find that the first one had worked.
      await this.ask("release", { lease: lease.id }).catch((second: unknown) => {
        if (!(second instanceof LeaseLost)) throw second;
      });
    }
  }

  async #renew(lease: Lease): Promise<void> {
    if (lease.lost !== undefined) throw lease.lost;
    lease.update(await this.ask("renew", { lease: lease.id }));
  }

  async #yielded<T>(lease: Lease, body: () => Promise<T> | T, wait: WaitOptions): Promise<T> {
    if (lease.isShared) return await body();
    if (lease.lost !== undefined) throw lease.lost;
    await this.ask("yield", { lease: lease.id });
    try {
      return await body();
    } finally {
      await this.#regain(lease, wait);
    }
  }

  async #regain(lease: Lease, wait: WaitOptions): Promise<void> {
    const take = (answer: Frame) => lease.update(answer);
    const signal = either(wait.signal, this.#session.closing, lease.signal);
    try {
      await this.#session.persist("regain", { lease: lease.id }, { ...wait, signal }, { take });
    } catch (problem) {
      // An abort takes the wish back, and the units with it if they are there by now.
      if (wait.signal?.aborted) await briefly(this.ask("yield", { lease: lease.id }));
      throw problem;
    }
  }
}

/** The same work, which is in this set as long as it takes. */
async function tracked<T>(where: Set<Promise<unknown>>, work: Promise<T>): Promise<T> {
  where.add(work);
  try {
    return await work;
  } finally {
    where.delete(work);
  }
}
