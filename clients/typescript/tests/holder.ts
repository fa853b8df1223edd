/** A program that holds a lease until its standard input ends: POOL BOUND WAIT_MS [forget]. */

import { acquire, AdmissionError, withLease, type LeaseOptions } from "admission-client";

const [pool, bound, waitMs, forget] = process.argv.slice(2);
const options: LeaseOptions = {
  pool,
  bound: bound === "connection" ? "connection" : "process",
  waitMs: waitMs === "" ? undefined : Number(waitMs),
  task: "holder",
  reconnectMs: 30_000, // tests restart daemons on machines that are busy
  onLost: (problem) => console.log(`told: ${problem.message}`),
};

async function hold(): Promise<void> {
  await withLease(options, async (lease) => {
    console.log(`held ${lease.id} ${lease.isShared ? "shared" : "own"}`);
    lease.signal.addEventListener("abort", () => {
      const { message } = lease.signal.reason as Error;
      setImmediate(() => console.log(`aborted: ${message}`));
    });
    for await (const _ of process.stdin);
  });
  console.log("released");
}

try {
  if (forget === undefined) await hold();
  else console.log(`held ${(await acquire(options)).id} own`);
} catch (problem) {
  if (!(problem instanceof AdmissionError)) throw problem;
  console.log(`${problem.name}: ${problem.message}`);
  process.exitCode = problem.exitStatus;
}
