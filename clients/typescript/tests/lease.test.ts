/** Leases, waits and news, with a daemon that is there. */

import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";

import {
  acquire,
  BadRequest,
  Client,
  LeaseLost,
  NoSlot,
  withLease,
  type Frame,
  type Lease,
  type Place,
} from "admission-client";

import { Daemon, failure, Program, test } from "./stage.js";

const daemon = new Daemon();
before(async () => {
  daemon.moveIn();
  await daemon.start();
});
afterEach(async () => {
  delete process.env["ADMISSION_LEASE"];
  await daemon.until(async () => {
    const status = await daemon.ask("status");
    const busy = { ...(status["in_use"] as object), ...(status["waiting"] as object) };
    return Object.values(busy).every((count) => count === 0);
  });
});
after(() => daemon.end());

/** A body that goes on until it is told to end. */
function body() {
  let begin!: (lease: Lease) => void;
  let end!: () => void;
  const begun = new Promise<Lease>((resolve) => (begin = resolve));
  const ended = new Promise<void>((resolve) => (end = resolve));
  const run = async (lease: Lease) => {
    begin(lease);
    await ended;
    return lease.id;
  };
  return { run, begun, end };
}

// --- holding -------------------------------------------------------------------------------------

test("a lease is held for the body and no longer, and the body's result comes out", async () => {
  const result = await withLease({ pool: "one", task: "refactor" }, async (lease) => {
    assert.deepEqual([lease.pool, lease.weight, lease.level, lease.isShared], ["one", 1, 0, false]);
    assert.deepEqual([lease.bound, lease.params.reasoning_effort], ["process", "high"]);
    assert.equal(await daemon.inUse(), 1);
    const rows = (await daemon.client().leases({ pool: "one" })).leases;
    assert.deepEqual([rows[0]?.["task"], rows[0]?.["pid"]], ["refactor", process.pid]);
    return "done";
  });
  assert.equal(result, "done");
  assert.equal(await daemon.inUse(), 0);
});

test("a body that fails gives its lease back, and fails as it did", async () => {
  const problem = new Error("its own");
  const run = () => withLease({ pool: "one" }, () => Promise.reject(problem));
  assert.equal(await failure(run()), problem);
  assert.equal(await daemon.inUse(), 0);
});

test("three at once at capacity 2: never more than two bodies run, and all do", async () => {
  let now = 0;
  let most = 0;
  const bodies = [body(), body(), body()];
  const run = bodies.map((one, index) =>
    withLease({ pool: "two", task: String(index) }, async (lease) => {
      most = Math.max(most, ++now);
      await one.run(lease);
      now -= 1;
    }),
  );
  const first = await Promise.race(bodies.map((one) => one.begun));
  await daemon.untilInUse(2, "two");
  await daemon.until(async () => (await daemon.waiting("two")).length === 1);
  for (const one of bodies) one.end();
  await Promise.all(run);
  assert.equal(most, 2);
  assert.equal(first.pool, "two");
});

test("what is asked for arrives at the daemon, each under its name", async () => {
  const client = daemon.client();
  const asked = { pool: "many", weight: 7, task: "タスク", class: "batch", group: "g" } as const;
  const lease = await client.acquire({ ...asked, ttlMs: 90_000, bound: "connection" });
  const [row] = (await client.leases({ task: "タスク" })).leases;
  const expected = { ...asked, ttl_s: 90, bound: "connection", pid: process.pid };
  for (const [name, value] of Object.entries(expected)) assert.equal(row?.[name], value, name);
  await lease.release();
  const child = new Program("tests/holder.js", ["one", "process", "0"], daemon.env);
  await child.line();
  const theirs = await client.acquire({ pool: "many", pid: child.child.pid });
  await child.kill();
  await daemon.untilInUse(0, "many");
  assert.ok((await failure(theirs.release())) instanceof LeaseLost);
  await client.close();
});

test("fences only ever grow", async () => {
  const fences: number[] = [];
  for (let i = 0; i < 3; i++) await withLease({ pool: "one" }, (lease) => fences.push(lease.fence));
  assert.deepEqual(fences, [...new Set(fences)].sort((a, b) => a - b));
});

test("what a command learns of its lease is in its environment", async () => {
  await withLease({ pool: "one" }, (lease) => {
    assert.deepEqual(lease.environment(), {
      ADMISSION_LEASE: String(lease.id),
      ADMISSION_FENCE: String(lease.fence),
      ADMISSION_LEVEL: "0",
      ADMISSION_BATCH_SIZE: "100",
      ADMISSION_DELAY_MS: "0",
      ADMISSION_MAX_CONCURRENT: "3",
      ADMISSION_REASONING_EFFORT: "high",
    });
  });
});

test("a command under a lease shares it, and does not give it away", async () => {
  await withLease({ pool: "one" }, async (lease) => {
    const env = { ...daemon.env, ...lease.environment() };
    const child = new Program("tests/holder.js", ["one", "process", "0"], env);
    assert.equal(await child.line(), `held ${lease.id} shared`);
    child.child.stdin?.end();
    assert.deepEqual(await child.end(), { lines: ["released"], status: 0 });
    assert.equal(await daemon.inUse(), 1);
  });
});

test("a lease is given back once, however often that is asked; and by `await using`", async () => {
  const lease = await acquire({ pool: "one" });
  await Promise.all([lease.release(), lease.release()]);
  await lease[Symbol.asyncDispose]();
  assert.equal(await daemon.inUse(), 0);
});

test("a program that forgets its lease may end all the same, and so gives it back", async () => {
  const child = new Program("tests/holder.js", ["one", "process", "0", "forget"], daemon.env);
  assert.match(await child.line(), /^held \d+ own$/);
  assert.equal((await child.end()).status, 0);
  await daemon.untilInUse(0);
});

test("one client holds several leases; connection-bound ones end when it is closed", async () => {
  const client = daemon.client();
  await Promise.all([
    client.acquire({ pool: "many", bound: "connection", weight: 3 }),
    client.acquire({ pool: "many", bound: "connection", weight: 4 }),
  ]);
  assert.equal(await daemon.inUse("many"), 7);
  await client.close();
  await daemon.untilInUse(0, "many");
  const again = await client.acquire({ pool: "many" });
  await client.release(again);
  await client.close();
});

// --- refusals ------------------------------------------------------------------------------------

test("a refusal is an error with its code, in the daemon's words", async () => {
  const refused = await failure(acquire({ pool: "none" }));
  assert.ok(refused instanceof BadRequest);
  assert.deepEqual([refused.code, refused.exitStatus], ["unknown_pool", 64]);
  assert.match(refused.message, /^there is no pool "none"; the pools are /);
  const never = await failure(acquire({ pool: "one", weight: 2 }));
  assert.equal((never as BadRequest).code, "impossible");
  for (const options of [{ weight: 1.5 }, { ttlMs: Number.NaN }, { waitMs: -1 }]) {
    assert.equal(((await failure(acquire(options))) as BadRequest).code, "bad_request");
  }
  const lost = await failure(daemon.ask("release", { lease: 2n ** 62n }));
  assert.ok(lost instanceof LeaseLost);
});

test("who will not wait is told why there is no slot, and who waits too long as well", async () => {
  await withLease({ pool: "one" }, async () => {
    const now = await failure(acquire({ pool: "one", waitMs: 0 }));
    assert.ok(now instanceof NoSlot);
    assert.deepEqual([now.code, now.exitStatus], ["timeout", 75]);
    assert.match(now.message, /^no slot now: 1 of 1 units of one are out; /);
    const later = await failure(acquire({ pool: "one", waitMs: 50 }));
    assert.match(later.message, /^no slot within 0\.\d+ s: 1 of 1 units .* are out, you were 1st/);
    assert.deepEqual(await daemon.waiting(), []);
  });
});

// --- waiting -------------------------------------------------------------------------------------

test("places are told while one waits, and an error in who listens ends the wait", async () => {
  const places: Place[] = [];
  const holder = body();
  const held = withLease({ pool: "one" }, holder.run);
  await holder.begun;
  const problem = new Error("a bug");
  const onQueued = (place: Place) => {
    places.push(place);
    throw problem;
  };
  assert.equal(await failure(acquire({ pool: "one", onQueued })), problem);
  assert.deepEqual([places[0]?.position, places[0]?.of], [1, 1]);
  assert.equal(places[0]?.reason, "1 of 1 units of one are out");
  assert.deepEqual(await daemon.waiting(), []);
  holder.end();
  await held;
});

test("an abort takes a waiting request back, and the next one is served", async () => {
  const holder = body();
  const held = withLease({ pool: "one" }, holder.run);
  await holder.begun;
  const abort = new AbortController();
  const options = { pool: "one", task: "second", signal: abort.signal };
  const second = failure(withLease(options, () => {}));
  await daemon.untilWaiting("second");
  const third = acquire({ pool: "one", task: "third" });
  await daemon.untilWaiting("second", "third");
  abort.abort();
  assert.equal((await second).name, "AbortError");
  assert.deepEqual(await daemon.waiting(), ["third"]);
  holder.end();
  await held;
  await (await third).release();
});

test("an abort whose reason is an error of ours takes the request back all the same", async () => {
  const holder = body();
  const held = withLease({ pool: "one" }, holder.run);
  await holder.begun;
  const abort = new AbortController();
  const second = failure(acquire({ pool: "one", task: "second", signal: abort.signal }));
  await daemon.untilWaiting("second");
  const reason = new LeaseLost("another one");
  abort.abort(reason);
  assert.equal(await second, reason);
  assert.deepEqual(await daemon.waiting(), []);
  holder.end();
  await held;
});

test("an abort just before or just after a grant leaves nothing out", async () => {
  for (let turns = 0; turns < 8; turns++) {
    const abort = new AbortController();
    const wanted = acquire({ pool: "one", signal: abort.signal });
    const turn = async (left: number): Promise<void> => {
      if (left > 0) await new Promise(setImmediate).then(() => turn(left - 1));
    };
    await turn(turns);
    abort.abort();
    await wanted.then(
      (lease) => lease.release(),
      (problem: Error) => assert.equal(problem.name, "AbortError"),
    );
    assert.equal(await daemon.inUse(), 0);
  }
});

test("what has been aborted already asks for nothing", async () => {
  const signal = AbortSignal.abort();
  const client = daemon.client();
  for (const work of [
    acquire({ pool: "one", signal }),
    client.status({ signal }),
    client.watch(["level"], { signal }).next(),
  ]) {
    assert.equal((await failure(work)).name, "AbortError");
  }
  await client.close();
});

test("closing a client takes back what waits by it", async () => {
  const holder = body();
  const held = withLease({ pool: "one" }, holder.run);
  await holder.begun;
  const client = daemon.client();
  const second = failure(client.acquire({ pool: "one", task: "second" }));
  await daemon.untilWaiting("second");
  await client.close();
  assert.equal((await second).message, "the client was closed");
  assert.deepEqual(await daemon.waiting(), []);
  holder.end();
  await held;
});

// --- what becomes of a lease ---------------------------------------------------------------------

test("a holder hears that its lease was revoked, and withLease says so at the end", async () => {
  const holder = new Program("tests/holder.js", ["one", "process", "0"], daemon.env);
  const id = (await holder.line()).split(" ")[1];
  await daemon.ask("release", { lease: Number(id) });
  const lost = `lease ${id} ended before it was given back: revoked`;
  assert.deepEqual(
    [await holder.line(), await holder.line()],
    [`told: ${lost}`, `aborted: ${lost}`],
  );
  holder.child.stdin?.end();
  assert.deepEqual(await holder.end(), { lines: [`LeaseLost: ${lost}`], status: 75 });
});

test("a lease whose ttl passed is lost, and one that is renewed is not", async () => {
  const lease = await acquire({ pool: "one", ttlMs: 60_000 });
  await lease.renew();
  await lease.release();
  const short = await acquire({ pool: "one", ttlMs: 20 });
  await new Promise((resolve) => short.signal.addEventListener("abort", resolve));
  assert.equal(short.lost, short.signal.reason);
  assert.equal((await failure(short.renew())).message, short.lost?.message);
  assert.match((await failure(short.release())).message, /before it was given back: ttl passed$/);
});

test("a lease is yielded while a body runs, and regained behind it", async () => {
  await withLease({ pool: "one" }, async (lease) => {
    const result = await lease.yielded(async () => {
      assert.equal(await daemon.inUse(), 0);
      await withLease({ pool: "one", waitMs: 0 }, () => {});
      return "answer";
    });
    assert.equal(result, "answer");
    assert.equal(await daemon.inUse(), 1);
    const problem = new Error("no answer");
    assert.equal(await failure(lease.yielded(() => Promise.reject(problem))), problem);
    assert.equal(await daemon.inUse(), 1);
  });
});

test("who regains waits, can be told to stop, and has no units then", async () => {
  const abort = new AbortController();
  const other = daemon.client();
  await withLease({ pool: "one", task: "yields" }, async (lease) => {
    let theirs: Lease | undefined;
    const regaining = failure(
      lease.yielded(async () => (theirs = await other.acquire({ pool: "one" })), {
        signal: abort.signal,
      }),
    );
    await daemon.untilWaiting("yields");
    abort.abort();
    assert.equal((await regaining).name, "AbortError");
    assert.deepEqual(await daemon.waiting(), []);
    const problem = await failure(lease.yielded(() => {}, { waitMs: 0 }));
    assert.ok(problem instanceof NoSlot, String(problem));
    await theirs?.release();
    await lease.yielded(() => {});
    assert.equal(await daemon.inUse(), 1);
  });
  await other.close();
});

// --- looking -------------------------------------------------------------------------------------

test("the news come in order, on their own connection, until one leaves", async () => {
  const client = daemon.client();
  const seen: unknown[] = [];
  let lease: Lease | undefined;
  for await (const event of client.watch(["level", "lease"])) {
    if (event["event"] === "level") lease = await client.acquire({ pool: "one" });
    else seen.push([event["event"], event["lease"]]);
    if (event["event"] === "granted") await lease?.release();
    if (event["event"] === "ended") break;
  }
  assert.deepEqual(seen, [
    ["granted", lease?.id],
    ["ended", lease?.id],
  ]);
  await client.close();
});

test("an abort ends the news", async () => {
  const abort = new AbortController();
  const follow = async () => {
    for await (const _ of new Client().watch(["level"], { signal: abort.signal })) abort.abort();
  };
  assert.equal((await failure(follow())).name, "AbortError");
});

test("all leases are shown, however many answers that takes", async () => {
  const client = daemon.client();
  const task = "🦆".repeat(100);
  const held: Lease[] = [];
  for (let i = 0; i < 100; i++) {
    held.push(await client.acquire({ pool: "many", task, group: task }));
  }
  const first: Frame = await client.ask("leases", { pool: "many" });
  assert.ok(first["more"], "they did not fit one answer");
  const all = await client.leases({ pool: "many" });
  assert.deepEqual(
    all.leases.map((row) => row["lease"]),
    held.map((lease) => lease.id),
  );
  await Promise.all(held.map((lease) => lease.release()));
  await client.close();
});
