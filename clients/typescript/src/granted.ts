/** A lease with a client of its own: for whoever needs no more than that. */

import type { AcquireOptions } from "./claim.js";
import { Client, type ClientOptions } from "./client.js";
import type { Lease } from "./lease.js";
import { briefly } from "./waits.js";

export interface LeaseOptions extends AcquireOptions, ClientOptions {}

/**
 * A lease, when it is granted; to be given back by `release()`, by `await using`, or by the end of
 * this process. A daemon is started where none runs. Inside `admission run`, the lease is shared.
 *
 * @throws NoSlot - nothing was free within the wait.
 * @throws AdmissionError - it was refused, or no daemon could be had.
 */
export async function acquire(options: LeaseOptions = {}): Promise<Lease> {
  const client = new OneLeaseClient({ ...options, autostart: options.autostart ?? true });
  try {
    return await client.acquire(options);
  } catch (problem) {
    void client.close(); // which may take a while, where a daemon that is away is to hear of it
    throw problem;
  }
}

/** Its connection ends with its lease. */
class OneLeaseClient extends Client {
  override async release(lease: Lease): Promise<void> {
    try {
      await super.release(lease);
    } finally {
      await this.close();
    }
  }
}

/**
 * Holds a lease while `body` runs, waiting for it where one must, and comes to what that does.
 *
 * The lease belongs to this process, so it ends with it whatever happens, and neither a lost
 * connection nor a restart of the daemon takes it away.
 *
 * @throws LeaseLost - at the end, that it had ended before: its ttl passed, it was revoked, or it
 *   could not be taken up again. `lease.signal` tells at once.
 * @throws NoSlot - nothing was free within the wait.
 * @throws AdmissionError - it was refused, or no daemon could be had.
 */
export async function withLease<T>(
  options: LeaseOptions,
  body: (lease: Lease) => Promise<T> | T,
): Promise<T> {
  const lease = await acquire(options);
  let result: T;
  try {
    result = await body(lease);
  } catch (problem) {
    await briefly(lease.release());
    throw problem;
  }
  await lease.release();
  return result;
}
