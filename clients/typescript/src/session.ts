/** A connection that comes back by itself, and what is held by it. */

import { openOrStart } from "./autostart.js";
import { milliseconds } from "./claim.js";
import type { Connection, RequestOptions } from "./connection.js";
import {
  AdmissionError,
  Disconnected,
  LeaseLost,
  messageOf,
  Stuck,
  Unavailable,
  Unreachable,
} from "./errors.js";
import type { Frame } from "./frames.js";
import type { Lease, WaitOptions } from "./lease.js";
import { abortable, nowMs, sleep } from "./waits.js";

const RECONNECT_PAUSES_MS = [10, 20, 50, 100, 200, 500];
// Asking these twice could do them twice, or say that they failed where they had not.
const NOT_TWICE = new Set(["acquire", "release"]);

/** For whom, and how patiently. */
export interface SessionOptions {
  path: string;
  autostart: boolean;
  answerTimeoutMs: number;
  reconnectMs: number;
}

/** Connects when it is first used, and after each loss of the connection. */
export class Session {
  readonly #options: SessionOptions;
  readonly #held = new Map<number, Lease>();
  #connection: Promise<Connection> | undefined;
  #mayStart = false;
  #closing = new AbortController();
  #isRecovering = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Aborts when whoever waits by this session is to stop. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Stops whoever waits, and forgets what is held. */
  interrupt(problem: AdmissionError): void {
    this.#held.clear();
    this.#closing.abort(problem);
    this.#closing = new AbortController();
  }

  /** Closes the connection; what is bound to it ends. It may be used again. */
  async disconnect(problem: AdmissionError): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    connection?.destroy(problem);
  }

  // --- what is held ------------------------------------------------------------------------------

  /** Has this lease taken up again wherever the connection is lost. */
  hold(lease: Lease): Lease {
    if (!lease.isShared) this.#held.set(lease.id, lease);
    return lease;
  }

  /** Its end is nobody's loss any more. */
  letGo(lease: Lease): void {
    this.#held.delete(lease.id);
  }

  #lose(lease: Lease, problem: AdmissionError): void {
    this.#held.delete(lease.id);
    lease.lose(problem);
  }

  // --- requests ----------------------------------------------------------------------------------

  /** One request and its answer. */
  async ask(op: string, fields: Frame, signal?: AbortSignal): Promise<Frame> {
    const wasConnected = this.#connection !== undefined;
    try {
      return await this.#ask(op, fields, signal);
    } catch (problem) {
      // A connection that was idle may have been dead for a while.
      if (!(problem instanceof Disconnected) || !wasConnected || NOT_TWICE.has(op)) throw problem;
      return await this.#ask(op, fields, signal);
    }
  }

  /** A request that waits for units, made again wherever the daemon went away meanwhile. */
  async persist<T>(
    op: string,
    fields: Frame,
    { waitMs, byMs, signal }: WaitOptions & { byMs?: number | undefined },
    how: Pick<RequestOptions<T>, "take" | "onEvent"> & { onSend?: () => void },
  ): Promise<T> {
    const giveUpAt = waitMs === undefined ? undefined : nowMs() + milliseconds(waitMs, "waitMs");
    const by = byMs === undefined ? undefined : nowMs() + milliseconds(byMs, "byMs");
    for (;;) {
      const leftMs = giveUpAt === undefined ? undefined : Math.max(0, giveUpAt - nowMs());
      // Infinity is for ever, and msgpack has a number for it that no daemon would take.
      const isBounded = leftMs !== undefined && leftMs !== Infinity;
      const timeoutMs = isBounded ? leftMs + this.#options.answerTimeoutMs : undefined;
      try {
        const connection = await abortable(this.#connected(), signal);
        how.onSend?.();
        const wait_s = isBounded ? leftMs / 1000 : undefined;
        const by_s = by === undefined ? undefined : Math.max(0, by - nowMs()) / 1000;
        const asked = { ...fields, wait_s, by_s };
        return await connection.request(op, asked, { ...how, signal, timeoutMs });
      } catch (problem) {
        if (!(problem instanceof Disconnected)) throw problem;
        await this.reconnect(signal);
      }
    }
  }

  /** Tells the daemon at once, or when it is back; for its sake, none is started. */
  async tell(op: string, fields: Frame): Promise<void> {
    try {
      await this.#askOn(await this.#connected(false), op, fields);
    } catch (problem) {
      if (!(problem instanceof Unreachable) || problem instanceof Stuck) throw problem;
      await this.reconnect(undefined, false);
      await this.#askOn(await this.#connected(false), op, fields);
    }
  }

  // --- the connection ----------------------------------------------------------------------------

  async #ask(op: string, fields: Frame, signal?: AbortSignal): Promise<Frame> {
    return await this.#askOn(await abortable(this.#connected(), signal), op, fields, signal);
  }

  #askOn(connection: Connection, op: string, fields: Frame, signal?: AbortSignal): Promise<Frame> {
    const timeoutMs = this.#options.answerTimeoutMs;
    return connection.request(op, fields, { take: (answer) => answer, timeoutMs, signal });
  }

  /** The connection, made where there is none; everything held was taken up on it. */
  #connected(autostart = this.#options.autostart): Promise<Connection> {
    const current = this.#connection;
    if (current === undefined) return this.#begin(autostart);
    // Who may start a daemon does not go by what came of an attempt that might not.
    const isEnough = this.#mayStart || !autostart;
    return isEnough ? current : current.catch(() => this.#connected(autostart));
  }

  #begin(autostart: boolean): Promise<Connection> {
    const opening = this.#connect(autostart, () => this.#gone(opening));
    this.#connection = opening;
    this.#mayStart = autostart;
    opening.catch(() => this.#forget(opening));
    return opening;
  }

  async #connect(autostart: boolean, onClose: () => void): Promise<Connection> {
    const connection = await openOrStart(this.#options.path, autostart);
    connection.onClose = onClose;
    connection.onRevoked = (id, reason) => {
      const lease = this.#held.get(id as number);
      if (lease === undefined) return;
      const message = `lease ${lease.id} ended before it was given back: ${reason}`;
      this.#lose(lease, new LeaseLost(message, "revoked"));
    };
    connection.onPark = (id, reason) => this.#held.get(id as number)?.park(reason);
    try {
      await this.#resume(connection);
    } catch (problem) {
      connection.destroy();
      throw problem;
    }
    return connection;
  }

  async #resume(connection: Connection): Promise<void> {
    for (const lease of [...this.#held.values()]) {
      try {
        lease.update(await this.#askOn(connection, "resume", lease.proof()));
      } catch (problem) {
        const isItsEnd =
          problem instanceof AdmissionError &&
          !(problem instanceof Unreachable || problem instanceof Unavailable);
        if (!isItsEnd) throw problem;
        this.#lose(lease, problem);
      }
    }
  }

  #forget(opening: Promise<Connection>): void {
    if (this.#connection === opening) this.#connection = undefined;
  }

  #gone(opening: Promise<Connection>): void {
    this.#forget(opening);
    if (this.#held.size > 0) void this.#recover();
  }

  /** Takes up again what is held, while nobody asks for anything. */
  async #recover(): Promise<void> {
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    try {
      await this.reconnect(this.closing, this.#bound().length > 0);
    } catch (problem) {
      for (const lease of this.#bound()) {
        const why = `lease ${lease.id} could not be taken up again: ${messageOf(problem)}`;
        this.#lose(lease, new LeaseLost(why));
      }
    } finally {
      this.#isRecovering = false;
    }
  }

  /** What ends with the connection. The rest needs none to be held. */
  #bound(): Lease[] {
    return [...this.#held.values()].filter((lease) => lease.bound === "connection");
  }

  /** Connects again to a daemon that was there a moment ago. */
  async reconnect(signal?: AbortSignal, isNeeded = true): Promise<void> {
    const giveUpAt = nowMs() + this.#options.reconnectMs;
    for (let attempt = 0; ; attempt++) {
      try {
        const opening = this.#connected(isNeeded && this.#options.autostart);
        // Who only accepts connections is no daemon yet.
        await this.#askOn(await abortable(opening, signal), "hello", {}, signal);
        return;
      } catch (problem) {
        const pauseMs = RECONNECT_PAUSES_MS[attempt] ?? RECONNECT_PAUSES_MS.at(-1) ?? 0;
        const mayPass = problem instanceof Unreachable || problem instanceof Unavailable;
        if (!mayPass || nowMs() + pauseMs > giveUpAt) throw problem;
        await sleep(pauseMs, signal, !isNeeded);
      }
    }
  }
}
