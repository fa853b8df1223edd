/**
 * Task assignment: a pause between two tasks, as long as the level asks for.
 *
 *     node task_delays.js WORKSPACE TASK …
 */

import { ResourceMonitor } from "admission-client";

/** Runs one task after the other. The first one need not wait. */
export async function runTasks<T>(
  monitor: ResourceMonitor,
  tasks: Iterable<T>,
  run: (task: T, reasoningEffort: string) => Promise<void>,
): Promise<void> {
  let isFirst = true;
  for (const task of tasks) {
    if (!isFirst) await monitor.applyThrottle();
    isFirst = false;
    const { throttle_params: params } = await monitor.getMetrics();
    await run(task, params.reasoning_effort);
  }
}

const [workspace = process.cwd(), ...tasks] = process.argv.slice(2);
await runTasks(new ResourceMonitor(workspace), tasks, async (task, reasoningEffort) => {
  console.log(`${task}, with ${reasoningEffort} effort`); // here, hand it to an agent
});
