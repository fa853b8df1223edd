/** A daemon is started where none runs: once, for whoever needs it, and for longer than that. */

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { after, before } from "node:test";

import { acquire, Client, Unreachable, withLease, type Lease } from "admission-client";

import { failure, Folder, test } from "./stage.js";

const folder = new Folder();
before(() => {
  folder.moveIn();
  delete process.env["ADMISSION_AUTOSTART"];
});
after(async () => {
  // The daemon that was started belongs to nobody; it writes nothing any more once it is gone.
  const lock = `${folder.path}/a.lock`;
  if (existsSync(folder.socket)) {
    const news = new Client().watch(["level"]);
    await news.next();
    process.kill(Number(readFileSync(lock, "utf8")), "SIGKILL");
    await failure(news.next());
  }
  folder.remove();
});

test("without the command, that is what it says", async () => {
  const { PATH } = process.env;
  process.env["PATH"] = "/nonexistent";
  const problem = await failure(acquire());
  process.env["PATH"] = PATH;
  assert.ok(problem instanceof Unreachable);
  assert.match(problem.message, /and there is no command "admission" on the PATH to start one/);
});

test("why none could be started is told", async () => {
  const good = readFileSync(folder.config);
  writeFileSync(folder.config, "[pools]\none = {capacty = 1}\n");
  const problem = await failure(acquire());
  writeFileSync(folder.config, good);
  const none = `no daemon answers at ${folder.socket}, and none could be started`;
  assert.ok(problem.message.startsWith(`${none}: ${folder.config}`), problem.message);
  assert.doesNotMatch(problem.message, /\n/);
});

test("three first clients start one daemon, under no lease, and it outlives them", async () => {
  process.env["ADMISSION_LEASE"] = "4711";
  process.env["ADMISSION_KEPT"] = "yes";
  const ids: number[] = [];
  const note = (lease: Lease) => ids.push(lease.id);
  // Each in a pool of its own: under a lease, what one process asks for in one pool is shared. And none
  // waits, as within one pool no other one that comes before it is waited for.
  await Promise.all(["one", "two", "many"].map((pool) => withLease({ pool, waitMs: 0 }, note)));
  assert.deepEqual(ids.sort(), [1, 2, 3]);
  const client = new Client();
  const status = await client.status();
  await client.close();
  assert.deepEqual([status["granted"], status["ended"]], [3, 3]);
  const said = readFileSync(`${folder.path}/a.log`, "utf8");
  assert.equal(said.split(" serving ").length, 2);
  assert.doesNotMatch(said, /Traceback/);
  const seen = `/proc/${String(status["pid"])}/environ`;
  if (existsSync(seen)) {
    const environment = readFileSync(seen, "utf8").split("\0");
    assert.ok(environment.includes("ADMISSION_KEPT=yes"));
    assert.ok(!environment.includes("ADMISSION_LEASE=4711"));
  }
});
