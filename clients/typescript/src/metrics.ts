/** The user's document's metrics: from a daemon's answer, or from a look of our own. */

import { mapping, paramsOf, text, whole, type ThrottleParams } from "./answers.js";
import { complaint, runAdmission } from "./command.js";
import {
  AdmissionError,
  BadConfiguration,
  BadRequest,
  messageOf,
  NotPermitted,
  Unreachable,
} from "./errors.js";
import type { Frame } from "./frames.js";

/** The map of the user's document, field by field. What is not known is null. */
export interface ResourceMetrics {
  /** When the sample was taken, `2025-10-23T16:30:00Z`. */
  readonly timestamp: string;
  /** 0 to 100. */
  readonly memory_used_pct: number | null;
  /** 0 to 100. */
  readonly cpu_used_pct: number | null;
  readonly claude_processes: number | null;
  readonly node_processes: number | null;
  /** 0 normal, 1 light, 2 medium, 3 heavy. */
  readonly throttle_level: number;
  /** Of this level. */
  readonly throttle_params: ThrottleParams;
}

/** @throws Unreachable - it is no map of the document. */
export function metricsOf(found: Frame): ResourceMetrics {
  return {
    timestamp: text(found, "timestamp"),
    memory_used_pct: wholeOrNull(found["memory_used_pct"]),
    cpu_used_pct: wholeOrNull(found["cpu_used_pct"]),
    claude_processes: wholeOrNull(found["claude_processes"]),
    node_processes: wholeOrNull(found["node_processes"]),
    throttle_level: whole(found, "throttle_level"),
    throttle_params: paramsOf(mapping(found, "throttle_params")),
  };
}

/** Cut and not rounded, as the bounds of the levels are whole numbers. */
function wholeOrNull(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? Math.floor(value) : null;
}

/**
 * The metrics in what a daemon answers to `status`.
 *
 * @param atMs - when it answered, in milliseconds since 1970.
 * @throws Unreachable - it is no answer of a daemon that we understand.
 */
export function metricsOfStatus(status: Frame, atMs: number): ResourceMetrics {
  const sample = status["sample"] == null ? {} : mapping(status, "sample");
  const ageS = sample["age_s"];
  const takenAtMs = typeof ageS === "number" && Number.isFinite(ageS) ? atMs - ageS * 1000 : atMs;
  return metricsOf({
    ...sample,
    timestamp: timestampOf(takenAtMs),
    throttle_level: status["level"],
    throttle_params: status["params"],
  });
}

/** @throws Unreachable - no calendar has such a day. */
function timestampOf(ms: number): string {
  try {
    return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
  } catch {
    throw new Unreachable("what answers has a sample of no known time; it is no admission daemon");
  }
}

/**
 * The metrics without a daemon: one look by `admission throttle`, which also puts them into the
 * workspace's file. Takes about a second.
 *
 * @param onTrouble - told why the file could not be written, where it could not.
 * @throws BadConfiguration - the file, or a threshold in the environment, is wrong.
 * @throws Unreachable - there is no command `admission`, or it says nothing that we understand.
 */
export async function lookAlone(
  path: string,
  workspace: string,
  onTrouble: (why: string) => void,
): Promise<ResourceMetrics> {
  const words = ["throttle", "--socket", path, "--workspace", workspace];
  const ran = await runAdmission(words).catch((problem: unknown) => {
    throw new Unreachable(`"admission throttle" can't be run: ${messageOf(problem)}`);
  });
  if (ran === undefined) {
    throw new Unreachable(
      `no daemon answers at ${path}, and there is no command "admission" on the PATH to look at ` +
        'the machine with; put it there, or start a daemon with "admission serve"',
    );
  }
  if (ran.stdout.trim() === "") throw failureOf(ran.status, complaint(ran));
  if (ran.status !== 0) onTrouble(complaint(ran));
  return metricsOf(parsed(ran.stdout));
}

function parsed(written: string): Frame {
  try {
    return mapping({ metrics: JSON.parse(written) as unknown }, "metrics");
  } catch {
    throw new Unreachable('"admission throttle" did not answer with the map of its metrics');
  }
}

const BY_STATUS = [BadConfiguration, BadRequest, NotPermitted] as const;

function failureOf(status: number | null, why: string): AdmissionError {
  const kind = BY_STATUS.find((one) => one.exitStatus === status) ?? Unreachable;
  return new kind(why);
}
