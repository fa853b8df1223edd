/** The client of whoever rules the queue: the operator and root, and no other user. */

import { mapping, rows, text, whole } from "./answers.js";
import { secondsOf } from "./claim.js";
import { Client, type AskOptions } from "./client.js";
import { BadRequest, NoSlot } from "./errors.js";
import type { Frame } from "./frames.js";
import type { WaitOptions } from "./lease.js";
import { briefly, nowMs } from "./waits.js";

export interface ReserveOptions {
  /** `agents`. */
  pool?: string | undefined;
  units: number;
  /** For whom: a class, a group, or both. */
  class?: "critical" | "normal" | "batch" | undefined;
  group?: string | undefined;
  forMs: number;
  /** In how long it begins; 0. */
  fromMs?: number | undefined;
  /** It may leave the others nothing at level 3. */
  whole?: boolean | undefined;
}

export interface DrainOptions extends WaitOptions {
  /** Without it all, one after the other, in the order of the configuration. */
  pool?: string | undefined;
  /** Told of the leases that are still out, whenever that changes. */
  onLeft?: ((left: Frame[]) => void) | undefined;
  /** Have leases granted again as soon as it is empty. */
  thenUnpause?: boolean | undefined;
}

/** One thing to do: which rule says so, why with numbers, and the command to do it. */
export interface Recommendation {
  rule: string;
  what: string;
  why: string;
  command: string;
}

export class Operator extends Client {
  /** Who waits, in order within each pool, as rows of the daemon's answer. */
  async queue(pool?: string, options: AskOptions = {}): Promise<Frame[]> {
    return (await this.leases(pool === undefined ? {} : { pool }, options)).waiting;
  }

  /** Has a waiter stand at that end of its class; false: there is no such ticket. */
  async move(ticket: number, to: "front" | "back" = "front"): Promise<boolean> {
    return (await this.ask("move", { ticket, to }))["found"] === true;
  }

  /** Takes a waiter out of the queue, who is told so; false: there is no such ticket. */
  async cancelTicket(ticket: number): Promise<boolean> {
    return (await this.ask("cancel", { ticket }))["found"] === true;
  }

  /** What is worth doing, the weightiest first. */
  async recommendations(options: AskOptions = {}): Promise<Recommendation[]> {
    const found = await this.ask("recommendations", {}, options);
    return rows(found, "recommendations").map((row) => ({
      rule: text(row, "rule"),
      what: text(row, "what"),
      why: text(row, "why"),
      command: text(row, "command"),
    }));
  }

  /** Has nothing granted in a pool, or in all; for so long, or until `unpause`. */
  async pause(pool?: string, options: { forMs?: number | undefined } = {}): Promise<void> {
    await this.ask("pause", { pool, for_s: secondsOf(options.forMs, "forMs") });
  }

  /** Has leases granted again; false where nothing was paused. */
  async unpause(pool?: string): Promise<boolean> {
    return (await this.ask("unpause", { pool }))["found"] === true;
  }

  /**
   * Keeps units free for some, and comes to the reservation's number.
   *
   * @throws BadRequest - so much can't be reserved, or for nobody in particular.
   */
  async reserve(options: ReserveOptions): Promise<number> {
    const { pool, units, group } = options;
    const times = {
      for_s: secondsOf(options.forMs, "forMs"),
      from_s: secondsOf(options.fromMs, "fromMs"),
    };
    const asked = { pool, units, class: options.class, group, whole: options.whole, ...times };
    return whole(await this.ask("reserve", asked), "reservation");
  }

  /** Ends a reservation; false where there is none of this number. */
  async unreserve(reservation: number): Promise<boolean> {
    return (await this.ask("unreserve", { reservation }))["found"] === true;
  }

  /**
   * Has nothing granted any more, and waits until nothing is out. It ends paused. Where it is given
   * up before, by `signal` or as `waitMs` is over, the pools that it paused are no longer paused.
   *
   * @throws NoSlot - it was not empty within the wait, or another hand ended the pause.
   */
  async drain(options: DrainOptions = {}): Promise<void> {
    const status = await this.ask("status", {}, options);
    const there = Object.keys(mapping(status, "capacity"));
    const { pool, waitMs } = options;
    if (pool !== undefined && !there.includes(pool)) {
      const message = `there is no pool "${pool}"; there are: ${there.join(", ")}`;
      throw new BadRequest(message, "unknown_pool");
    }
    const before = mapping(status, "paused");
    const pools = pool === undefined ? there : [pool];
    const begun: string[] = [];
    const giveUpAt = waitMs === undefined ? undefined : nowMs() + waitMs;
    try {
      for (const one of pools) {
        if (!(one in before)) begun.push(one);
        await this.pause(one);
        await this.#emptied(one, giveUpAt, options);
      }
    } catch (problem) {
      for (const one of begun) await briefly(this.unpause(one));
      throw problem;
    }
    if (options.thenUnpause === true) for (const one of pools) await this.unpause(one);
  }

  async #emptied(
    pool: string,
    giveUpAt: number | undefined,
    { signal, onLeft }: DrainOptions,
  ): Promise<void> {
    const stop = new AbortController();
    const end = () => stop.abort(signal?.reason);
    signal?.addEventListener("abort", end, { once: true });
    if (signal?.aborted) end();
    const late = new NoSlot(`${pool} is not empty yet; grants go on`);
    const leftMs = giveUpAt === undefined ? undefined : Math.max(0, giveUpAt - nowMs());
    const timer =
      leftMs === undefined || leftMs === Infinity
        ? undefined
        : setTimeout(() => stop.abort(late), Math.min(leftMs, 2 ** 31 - 1));
    try {
      // `level` comes first, and at once, whatever happens.
      for await (const _ of this.watch(["level", "lease", "queue"], { signal: stop.signal })) {
        const { leases } = await this.leases({ pool }, { signal: stop.signal });
        // A yielded one can't get its units back while the pool is paused.
        const left = leases.filter((row) => row["state"] !== "yielded");
        if (left.length === 0) return;
        const status = await this.ask("status", {}, { signal: stop.signal });
        if (!(pool in mapping(status, "paused"))) {
          throw new NoSlot(`${pool} is no longer paused: somebody ended that; drain it again`);
        }
        onLeft?.(left);
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
    }
  }
}
