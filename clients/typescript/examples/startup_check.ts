/**
 * Startup: before an autopilot starts its agents, wait until the machine can bear them.
 *
 *     node startup_check.js WORKSPACE [TIMEOUT_MS [LEVEL]] && start-the-autopilot
 *
 * The exit status is 0, or 75 where the machine is still too busy after the time-out.
 */

import { ResourceMonitor } from "admission-client";

/** How many agents to start with; 0 where now is no time to start any. */
export async function agentsToStart(
  monitor: ResourceMonitor,
  timeoutMs: number,
  level: number,
): Promise<number> {
  const isFit = await monitor.waitForResources(timeoutMs, level);
  return isFit ? await monitor.getRecommendedAgentCount() : 0;
}

const [workspace = process.cwd(), timeoutMs = "60000", level = "1"] = process.argv.slice(2);
const monitor = new ResourceMonitor(workspace);
const agents = await agentsToStart(monitor, Number(timeoutMs), Number(level));
if (agents > 0) {
  console.log(`start up to ${agents} agents`);
} else {
  const { throttle_params: params } = await monitor.getMetrics();
  console.log(`not now: level ${params.level} (${params.name})`);
  process.exitCode = 75;
}
