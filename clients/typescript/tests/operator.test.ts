/** The queue in hand, with a daemon that is there. */

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { acquire, NoSlot, Operator } from "admission-client";

import { Daemon, failure, test } from "./stage.js";

const daemon = new Daemon();
before(async () => {
  daemon.moveIn();
  await daemon.start();
});
after(() => daemon.end());

test("a drain ends as the last lease does, and is undone where it is given up", async () => {
  await using operator = new Operator();
  const lease = await acquire({ pool: "one", task: "last", maxHoldMs: 60_000 });
  const stop = new AbortController();
  const given = operator.drain({
    pool: "one",
    signal: stop.signal,
    onLeft: (left) => {
      assert.equal(left[0]?.["task"], "last");
      stop.abort(new Error("enough"));
    },
  });
  assert.match(String(await failure(given)), /enough/);
  assert.deepEqual((await operator.status())["paused"], {});
  const late = await failure(operator.drain({ pool: "one", waitMs: 1 }));
  assert.ok(late instanceof NoSlot);
  await operator.drain({ pool: "one", onLeft: () => void lease.release() });
  assert.deepEqual((await operator.status())["paused"], { one: null });
  assert.equal(await operator.unpause("one"), true);
});

test("what is worth doing is told with its command", async () => {
  await using operator = new Operator();
  await operator.pause("one");
  const stop = new AbortController();
  acquire({ pool: "one", task: "a", signal: stop.signal }).catch(() => {});
  await daemon.until(async () => (await operator.queue("one")).length === 1);
  const found = (await operator.recommendations()).find(({ rule }) => rule === "paused");
  assert.deepEqual(found, {
    rule: "paused",
    what: "have one granted again",
    why: "one was paused by hand until somebody ends that, and 1 waits",
    command: "admission unpause one",
  });
  stop.abort();
  await daemon.until(async () => (await operator.queue("one")).length === 0);
  assert.equal(await operator.unpause("one"), true);
});

test("the queue is listed, put in another order, and waiters are taken out", async () => {
  await using operator = new Operator();
  const held = await acquire({ pool: "one" });
  for (const [index, task] of ["a", "b"].entries()) {
    acquire({ pool: "one", task }).catch(() => {});
    await daemon.until(async () => (await operator.queue("one")).length === index + 1);
  }
  const tickets = (await operator.queue("one")).map((row) => row["ticket"] as number);
  assert.equal(await operator.move(tickets[0]!, "back"), true);
  const order = (await operator.queue("one")).map((row) => row["task"]);
  assert.deepEqual(order, ["b", "a"]);
  for (const ticket of tickets) assert.equal(await operator.cancelTicket(ticket), true);
  assert.equal(await operator.cancelTicket(tickets[0]!), false);
  const number = await operator.reserve({ pool: "many", units: 1, group: "g", forMs: 60_000 });
  assert.equal(await operator.unreserve(number), true);
  await held.release();
});

test("who can't start by then is told", async () => {
  const held = await acquire({ pool: "one" });
  const problem = await failure(acquire({ pool: "one", byMs: 1 }));
  assert.ok(problem instanceof NoSlot);
  await held.release();
});
