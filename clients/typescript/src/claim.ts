/** What one asks for. */

import { isatty } from "node:tty";

import { whole, text } from "./answers.js";
import { BadRequest, type LeaseLost } from "./errors.js";
import type { Frame } from "./frames.js";
import type { WaitOptions } from "./lease.js";
import { enclosingLease } from "./place.js";

/** What ends a lease by itself. */
export type Bound = "process" | "connection" | "tree";

export interface AcquireOptions extends WaitOptions {
  /** Of which pool it takes units; `agents`. */
  pool?: string | undefined;
  /** How many; 1. */
  weight?: number | undefined;
  /** A label for people, and for what is learnt about tasks like it. */
  task?: string | undefined;
  /** Who goes first where several wait; `normal`. */
  class?: "critical" | "normal" | "batch" | undefined;
  /** Whatever should share fairly. */
  group?: string | undefined;
  /** A label: which program works. */
  agent?: string | undefined;
  /** A label: where. */
  workspace?: string | undefined;
  /** Ends by itself after so many milliseconds unless renewed. */
  ttlMs?: number | undefined;
  /**
   * It must have been granted within so many milliseconds: NoSlot at once where the daemon's
   * estimate says that it could not be, and otherwise when they have passed.
   */
  byMs?: number | undefined;
  /**
   * Wait until the machine's load is low. It starts by `byMs` at the latest where there is room,
   * and that refuses nothing.
   */
  defer?: boolean | undefined;
  /** Held for longer than so many milliseconds, it raises an alarm; it does not end. */
  maxHoldMs?: number | undefined;
  /** Then the process that it is for is asked to end, too (SIGTERM). */
  endAfterMax?: boolean | undefined;
  /**
   * `process`: ends when this process does; neither a lost connection nor a restart of the daemon
   * takes it away. `connection`: ends when the client is closed, too. `process`.
   */
  bound?: Bound | undefined;
  /** The process it is for; this one. */
  pid?: number | undefined;
  /** The lease that this process runs under; as `ADMISSION_LEASE` says. */
  parent?: number | undefined;
  /** Told of the place in the queue, whenever that changes. */
  onQueued?: ((place: Place) => void) | undefined;
  /**
   * Told when the lease has ended before it was given back: its ttl passed, somebody revoked it,
   * or it could not be taken up again.
   */
  onLost?: ((problem: LeaseLost) => void) | undefined;
  /**
   * The holder can be asked to end soon, where memory gets short and the configuration says so;
   * told once, with the reason. The lease then ends as parked.
   */
  onPark?: ((reason: string) => void) | undefined;
  /** A parked lease that this one goes on with: it waits at the head of its class. */
  resumes?: number | undefined;
}

/** Where one stands in the queue. */
export interface Place {
  /** From 1. */
  readonly position: number;
  /** How many wait in all. */
  readonly of: number;
  /** What is in the way. */
  readonly reason: string;
  /** A guess; undefined where there is nothing to guess by. */
  readonly etaMs: number | undefined;
}

/**
 * The fields of an `acquire`.
 *
 * @throws BadRequest - a number is none.
 */
export function claimFields(options: AcquireOptions): Frame {
  const { pool = "agents", weight = 1, task = "", group = "", bound = "process" } = options;
  return {
    pool,
    weight,
    task,
    class: options.class ?? "normal",
    group,
    bound,
    ttl_s: secondsOf(options.ttlMs, "ttlMs"),
    max_hold_s: secondsOf(options.maxHoldMs, "maxHoldMs"),
    end_after_max: options.endAfterMax === true ? true : undefined,
    pid: options.pid,
    parent: options.parent ?? enclosingLease(),
    parkable: options.onPark === undefined ? undefined : true,
    // Nobody stops what a person works with.
    interactive: options.onPark === undefined && isatty(0) ? true : undefined,
    resumes: options.resumes,
    agent: options.agent,
    workspace: options.workspace,
    defer: options.defer === true ? true : undefined,
  };
}

/** @throws BadRequest - it is no number of milliseconds. */
export function secondsOf(value: number | undefined, name: string): number | undefined {
  return value === undefined ? undefined : milliseconds(value, name) / 1000;
}

/** @throws BadRequest - it is no number of milliseconds. */
export function milliseconds(value: number, name: string): number {
  if (typeof value === "number" && value >= 0) return value;
  throw new BadRequest(`${name} is ${String(value)}: give milliseconds, from 0 up`);
}

/** @throws Unreachable - it is no event that we understand. */
export function placeOf(event: Frame): Place {
  const etaS = event["eta_s"];
  return {
    position: whole(event, "position"),
    of: whole(event, "of"),
    reason: text(event, "reason"),
    etaMs: typeof etaS === "number" ? etaS * 1000 : undefined,
  };
}
