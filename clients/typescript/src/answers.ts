/** Reads fields of an answer. Where one is missing, it is no answer of a daemon that we know. */

import { Unreachable } from "./errors.js";
import type { Frame } from "./frames.js";

/**
 * The whole number of this name; one beyond 2^53 is refused, as rounding it would name another
 * lease.
 *
 * @throws Unreachable - there is none. Likewise below.
 */
export function whole(frame: Frame, name: string): number {
  const value = frame[name];
  if (Number.isSafeInteger(value)) return value as number;
  throw nonsense(name);
}

export function text(frame: Frame, name: string): string {
  const value = frame[name];
  if (typeof value === "string") return value;
  throw nonsense(name);
}

export function mapping(frame: Frame, name: string): Frame {
  const value = frame[name];
  if (isMap(value)) return value;
  throw nonsense(name);
}

export function rows(frame: Frame, name: string): Frame[] {
  const value = frame[name];
  if (Array.isArray(value) && value.every(isMap)) return value;
  throw nonsense(name);
}

function isMap(value: unknown): value is Frame {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

function nonsense(name: string): Unreachable {
  return new Unreachable(
    `what answers has no usable "${name}" in its answer: it is no admission daemon, or one of ` +
      'another version; restart it with "admission serve"',
  );
}

/** What the throttle level in force asks of its agents; the user's document's names. */
export interface ThrottleParams {
  /** 0 normal, 1 light, 2 medium, 3 heavy. */
  readonly level: number;
  readonly name: string;
  /** How many agents may run on this machine, all told. */
  readonly max_agents: number;
  /** How many tasks to take at a time. */
  readonly batch_size: number;
  /** The pause between two of them. */
  readonly delay_ms: number;
  /** How many heavy steps inside agents. */
  readonly max_concurrent: number;
  /** `high`, `medium` or `low`, unless configured otherwise. */
  readonly reasoning_effort: string;
}

export function paramsOf(found: Frame): ThrottleParams {
  return {
    level: whole(found, "level"),
    name: text(found, "name"),
    max_agents: whole(found, "max_agents"),
    batch_size: whole(found, "batch_size"),
    delay_ms: whole(found, "delay_ms"),
    max_concurrent: whole(found, "max_concurrent"),
    reasoning_effort: text(found, "reasoning_effort"),
  };
}
