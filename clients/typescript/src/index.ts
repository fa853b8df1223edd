/**
 * Ask the machine's admission daemon for a lease before something heavy starts; it is given back by
 * ending.
 *
 *     import { withLease } from "admission-client";
 *
 *     await withLease({ task: "refactor", waitMs: 60_000 }, async (lease) => {
 *       await runAgent({ effort: lease.params.reasoning_effort });
 *     });
 */

export type { ThrottleParams } from "./answers.js";
export type { AcquireOptions, Bound, Place } from "./claim.js";
export { Client, type AskOptions, type ClientOptions, type LeasesAnswer } from "./client.js";
export {
  AdmissionError,
  AlreadyServed,
  BadConfiguration,
  BadFrame,
  BadRequest,
  LeaseLost,
  NoSlot,
  NotPermitted,
  Unavailable,
  Unreachable,
} from "./errors.js";
export type { Frame } from "./frames.js";
export { acquire, withLease, type LeaseOptions } from "./granted.js";
export type { Lease, WaitOptions } from "./lease.js";
export {
  Operator,
  type DrainOptions,
  type Recommendation,
  type ReserveOptions,
} from "./operator.js";
export type { ResourceMetrics } from "./metrics.js";
export { ResourceMonitor, type MonitorOptions, type SignalOptions } from "./monitor.js";
