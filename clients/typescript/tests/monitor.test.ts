/** ResourceMonitor, with a daemon or without one; the document's snippet; the examples. */

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach } from "node:test";

import {
  BadConfiguration,
  ResourceMonitor,
  Unreachable,
  type ResourceMetrics,
} from "admission-client";
import { metricsOfStatus } from "#metrics";

import { Daemon, emptyFolder, failure, Folder, golden, PACKAGE, Program, test } from "./stage.js";

const daemon = new Daemon();
const alone = new Folder();
// As the document shows them, in its order.
const FIELDS = [
  "timestamp",
  "memory_used_pct",
  "cpu_used_pct",
  "claude_processes",
  "node_processes",
  "throttle_level",
  "throttle_params",
];
const PARAMS = [
  "level",
  "name",
  "max_agents",
  "batch_size",
  "delay_ms",
  "max_concurrent",
  "reasoning_effort",
];

before(async () => {
  daemon.moveIn();
  await daemon.start();
  await daemon.until(async () => (await daemon.ask("status"))["sample"] !== null);
});
beforeEach(() => daemon.ask("level", { set: 0 }));
after(async () => {
  await daemon.end();
  alone.remove();
});

const setLevel = (level: number) => daemon.ask("level", { set: level });

function fileOf(workspace: string): string {
  return join(workspace, "state", "analytics", "resource_metrics.json");
}

function checkMetrics(metrics: ResourceMetrics): void {
  assert.deepEqual(Object.keys(metrics), FIELDS);
  assert.deepEqual(Object.keys(metrics.throttle_params), PARAMS);
  assert.match(metrics.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.ok(Number.isInteger(metrics.memory_used_pct));
}

/** Runs this with another PATH. */
async function withPath(path: string, run: () => Promise<void>): Promise<void> {
  const { PATH } = process.env;
  process.env["PATH"] = path;
  try {
    await run();
  } finally {
    process.env["PATH"] = PATH;
  }
}

// --- with a daemon -------------------------------------------------------------------------------

test("the metrics are the document's, and the level is the daemon's", async () => {
  await setLevel(2);
  const workspace = emptyFolder();
  const monitor = new ResourceMonitor(workspace);
  const metrics = await monitor.getMetrics();
  checkMetrics(metrics);
  assert.deepEqual(metrics.throttle_params, {
    level: 2,
    name: "medium",
    max_agents: 2,
    batch_size: 25,
    delay_ms: 20,
    max_concurrent: 1,
    reasoning_effort: "medium",
  });
  assert.equal(await monitor.isUnderPressure(), true);
  assert.equal(await monitor.getRecommendedAgentCount(), 2);
  assert.equal(await monitor.applyThrottle(), 20);
});

test("the daemon keeps the workspace's file from the first reading on", async () => {
  const workspace = emptyFolder();
  await new ResourceMonitor(workspace).getMetrics();
  await daemon.ask("workspace", { path: emptyFolder() }); // its turn comes behind the first one's
  const written = JSON.parse(readFileSync(fileOf(workspace), "utf8")) as ResourceMetrics;
  checkMetrics(written);
});

test("where the daemon can't have the workspace, it warns once and goes on", async () => {
  const workspace = emptyFolder();
  const warnings: string[] = [];
  const note = (warning: Error) => {
    if (warning.name === "AdmissionWarning") warnings.push(warning.message);
  };
  process.on("warning", note);
  const monitor = new ResourceMonitor(workspace);
  rmdirSync(workspace);
  checkMetrics(await monitor.getMetrics());
  checkMetrics(await monitor.getMetrics({ force: true }));
  await new Promise(setImmediate);
  process.off("warning", note);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /there is no such folder/);
});

test("a reading is good for a while, for all who ask, unless a fresh one is wanted", async () => {
  const monitor = new ResourceMonitor(emptyFolder());
  const [first, second] = await Promise.all([monitor.getMetrics(), monitor.getMetrics()]);
  assert.equal(first, second);
  await setLevel(1);
  assert.equal((await monitor.getMetrics()).throttle_level, 0);
  assert.equal((await monitor.getMetrics({ force: true })).throttle_level, 1);
});

test("who waits for resources is woken when the level falls, and has a fresh reading", async () => {
  await setLevel(3);
  const monitor = new ResourceMonitor(emptyFolder());
  assert.equal((await monitor.getMetrics()).throttle_level, 3);
  assert.equal(await monitor.waitForResources(0, 1), false);
  assert.equal(await monitor.waitForResources(-1, 3), true);
  assert.equal(await monitor.waitForResources(30, 1), false);
  const waits = monitor.waitForResources(60_000, 1);
  await setLevel(2);
  await setLevel(1);
  assert.equal(await waits, true);
  assert.equal((await monitor.getMetrics()).throttle_level, 1);
});

test("every wait can be given up", async () => {
  await setLevel(3);
  const monitor = new ResourceMonitor(emptyFolder());
  const signal = AbortSignal.abort();
  const later = new AbortController();
  const waits = failure(monitor.waitForResources(60_000, 0, { signal: later.signal }));
  setImmediate(() => later.abort());
  for (const problem of [
    await waits,
    await failure(monitor.getMetrics({ force: true, signal })),
    await failure(monitor.applyThrottle({ signal })),
    await failure(monitor.waitForResources(60_000, 0, { signal })),
  ]) {
    assert.equal(problem.name, "AbortError");
  }
});

test("what is no folder, and what is no level, is refused", async () => {
  assert.throws(() => new ResourceMonitor("/nonexistent"), {
    name: "BadRequest",
    message: "workspace /nonexistent: there is no such folder; give the path of one",
  });
  const wrong = await failure(new ResourceMonitor(emptyFolder()).waitForResources(0, 4));
  assert.equal(wrong.message, "level is 0 to 3, not 4");
});

test("a sample of the past has its own time, and one that is missing is not made up", () => {
  const status = golden("replies", "status");
  const metrics = metricsOfStatus(status, Date.UTC(2025, 9, 23, 16, 30, 0));
  const sample = status["sample"] as Record<string, number>;
  assert.equal(metrics.memory_used_pct, Math.floor(sample["memory_used_pct"] ?? -1));
  const none = metricsOfStatus({ ...status, sample: null }, Date.UTC(2025, 9, 23, 16, 30, 0));
  assert.equal(none.timestamp, "2025-10-23T16:30:00Z");
  assert.equal(none.memory_used_pct, null);
  for (const name of ["level", "params"]) {
    assert.throws(() => metricsOfStatus({ ...status, [name]: null }, 0), Unreachable);
  }
  assert.throws(() => metricsOfStatus({ ...status, sample: { age_s: 1e300 } }, 0), Unreachable);
});

// --- without one ---------------------------------------------------------------------------------

test("without a daemon it looks by the command, starts none, and the file is written", async () => {
  const workspace = emptyFolder();
  const monitor = new ResourceMonitor(workspace, { socket: alone.socket });
  const metrics = await monitor.getMetrics();
  checkMetrics(metrics);
  assert.equal(metrics.throttle_level, 0);
  assert.deepEqual(JSON.parse(readFileSync(fileOf(workspace), "utf8")), metrics);
  assert.equal(await monitor.waitForResources(0, 0), true);
  assert.ok(!existsSync(alone.socket));
});

test("without a daemon, what is wrong is told by the command", async () => {
  const good = readFileSync(daemon.config);
  writeFileSync(daemon.config, "[throttle]\nmemory_hihg_pct = 1\n");
  const monitor = new ResourceMonitor(emptyFolder(), { socket: alone.socket });
  const problem = await failure(monitor.getMetrics());
  writeFileSync(daemon.config, good);
  assert.ok(problem instanceof BadConfiguration, String(problem));
  assert.match(problem.message, /memory_hihg_pct/);
});

test("without a daemon and without the command, that is what it says", () =>
  withPath("/nonexistent", async () => {
    const monitor = new ResourceMonitor(emptyFolder(), { socket: alone.socket });
    const problem = await failure(monitor.getMetrics());
    assert.ok(problem instanceof Unreachable);
    assert.match(problem.message, /there is no command "admission" on the PATH to look at/);
  }));

test("a command that says nonsense is no daemon, and no crash", () =>
  withPath(`${alone.path}:${process.env["PATH"]}`, async () => {
    const command = join(alone.path, "admission");
    for (const said of ["[]", "no json", '{"throttle_level": 1}', "null"]) {
      writeFileSync(command, `#!/bin/sh\necho '${said}'\n`);
      const monitor = new ResourceMonitor(emptyFolder(), { socket: alone.socket });
      assert.ok((await failure(monitor.getMetrics())) instanceof Unreachable);
    }
  }));

// --- the document's snippet ----------------------------------------------------------------------

test("the snippet that is run is the document's, to the letter", () => {
  const document = readFileSync(join(PACKAGE, "examples", "document.md"), "utf8");
  const snippet = readFileSync(join(PACKAGE, "examples", "snippet.ts"), "utf8");
  assert.equal(/```typescript\n(.*?)```/s.exec(document)?.[1], snippet);
});

test("the document's snippet runs unchanged, and is held back until the level falls", async () => {
  await setLevel(2);
  const bundled = `--import=${join(PACKAGE, "build", "tests", "as_bundled.js")}`;
  const program = new Program("examples/snippet.js", [emptyFolder()], daemon.env, bundled);
  assert.equal(await program.line(), "Throttle level: 2");
  assert.equal(await program.line(), "Reduce to 2 agents");
  await setLevel(0);
  assert.deepEqual(await program.end(), { lines: [], status: 0 });
});

// --- the examples --------------------------------------------------------------------------------

test("example: an autopilot starts once the machine can bear it", async () => {
  await setLevel(3);
  const words = [emptyFolder(), "0", "1"];
  const tooBusy = new Program("examples/startup_check.js", words, daemon.env);
  assert.deepEqual(await tooBusy.end(), { lines: ["not now: level 3 (heavy)"], status: 75 });
  const patient = new Program("examples/startup_check.js", [emptyFolder()], daemon.env);
  await setLevel(1);
  assert.deepEqual(await patient.end(), { lines: ["start up to 3 agents"], status: 0 });
});

test("example: an orchestrator that looks now and then follows the level", async () => {
  const program = new Program("examples/periodic_check.js", [emptyFolder(), "10"], daemon.env);
  assert.equal(await program.line(), "level 0 (normal): run 5 agents");
  await setLevel(2);
  assert.equal(await program.line(), "level 2 (medium): run 2 agents");
  program.child.kill("SIGINT");
  assert.deepEqual(await program.end(), { lines: ["stopped"], status: 0 });
});

test("example: tasks are run with pauses between them", async () => {
  await setLevel(3);
  const words = [emptyFolder(), "lint", "test"];
  const program = new Program("examples/task_delays.js", words, daemon.env);
  const lines = ["lint, with low effort", "test, with low effort"];
  assert.deepEqual(await program.end(), { lines, status: 0 });
});

test("example: no more agents run than the level allows", async () => {
  await setLevel(2);
  const program = new Program("examples/agent_spawn.js", ["3", "cat"], daemon.env);
  await daemon.until(async () => {
    const status = await daemon.ask("status");
    const [inUse, waiting] = ["in_use", "waiting"].map(
      (name) => (status[name] as Record<string, number>)["agents"],
    );
    assert.ok((inUse ?? 0) <= 2);
    return inUse === 2 && waiting === 1;
  });
  program.child.stdin?.end();
  const { lines, status } = await program.end();
  const starts = [1, 2, 3].map((number) => `agent ${number} starts at level 2`);
  assert.deepEqual([lines.slice(0, 3).sort(), lines.slice(3)], [starts, ["3 of 3 went well"]]);
  assert.equal(status, 0);
});
