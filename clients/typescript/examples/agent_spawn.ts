/**
 * Agent spawn: never more than `max_agents` on this machine, whoever else starts some.
 *
 *     node agent_spawn.js COUNT COMMAND [ARGUMENT …]
 *
 * All are asked for at once. The daemon lets as many run as the level allows, the others wait for
 * their turn; where the level rises, no agent is ended, but none starts until fewer run.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";

import { withLease } from "admission-client";

/** One agent, once there is room for it; its exit status. */
export async function runAgent(command: string, words: string[], task: string): Promise<number> {
  return await withLease({ pool: "agents", task }, async (lease) => {
    console.log(`${task} starts at level ${lease.level}`);
    // By its environment, the agent knows the level, and what it starts shares this lease.
    const env = { ...process.env, ...lease.environment() };
    const agent = spawn(command, words, { env, stdio: "inherit" });
    const [status] = (await once(agent, "exit")) as [number | null];
    return status ?? 1;
  });
}

const [count = "1", command = "true", ...words] = process.argv.slice(2);
const names = Array.from({ length: Number(count) }, (_, index) => `agent ${index + 1}`);
const statuses = await Promise.all(names.map((name) => runAgent(command, words, name)));
console.log(`${statuses.filter((status) => status === 0).length} of ${statuses.length} went well`);
process.exitCode = Math.max(...statuses);
