/**
 * Runtime: an orchestrator looks every 30 s, and has more or fewer workers.
 *
 *     node periodic_check.js WORKSPACE [INTERVAL_MS]      until Ctrl-C
 */

import { setInterval } from "node:timers/promises";

import { ResourceMonitor, type ResourceMetrics } from "admission-client";

/** Calls `adjust` with the first reading, and with each one that asks for something else. */
export async function watchResources(
  monitor: ResourceMonitor,
  intervalMs: number,
  adjust: (metrics: ResourceMetrics) => void,
  signal?: AbortSignal,
): Promise<void> {
  let level: number | undefined;
  const look = async () => {
    const metrics = await monitor.getMetrics({ force: true, signal });
    if (metrics.throttle_level !== level) adjust(metrics);
    level = metrics.throttle_level;
  };
  await look();
  for await (const _ of setInterval(intervalMs, undefined, { signal })) await look();
}

const [workspace = process.cwd(), intervalMs = "30000"] = process.argv.slice(2);
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
try {
  await watchResources(
    new ResourceMonitor(workspace),
    Number(intervalMs),
    ({ throttle_params: params }) => {
      console.log(`level ${params.level} (${params.name}): run ${params.max_agents} agents`);
    },
    stop.signal,
  );
} catch (problem) {
  if (!stop.signal.aborted) throw problem;
  console.log("stopped");
}
