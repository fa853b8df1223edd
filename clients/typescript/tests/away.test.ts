/** What the client does where the daemon is away, was away, or is none. */

import assert from "node:assert/strict";
import { closeSync, openSync, rmSync } from "node:fs";
import { after, before } from "node:test";

import {
  acquire,
  AdmissionError,
  BadConfiguration,
  Client,
  LeaseLost,
  Unavailable,
  Unreachable,
  withLease,
  type Frame,
  type Lease,
} from "admission-client";
import { encode } from "#frames";

import {
  answers,
  Daemon,
  failure,
  Folder,
  golden,
  Impostor,
  Program,
  says,
  test as plainTest,
  type Reply,
} from "./stage.js";

const daemon = new Daemon();
const nowhere = new Folder();
// Where a daemon is started anew, on a machine that is busy.
const PATIENT = { reconnectMs: 30_000 };
const GRANTED = golden("replies", "granted");
before(() => daemon.moveIn());
after(async () => {
  await daemon.end();
  nowhere.remove();
});

async function restart(): Promise<void> {
  await daemon.kill();
  await daemon.start();
}

/** With a daemon that serves, whatever the last test did to it, and nothing out. */
function test(name: string, run: () => Promise<void>): void {
  plainTest(name, async () => {
    await daemon.start();
    await run();
    await daemon.untilInUse(0);
  });
}

/** Until the holder's connection stands again: its lease is `held`, and no longer `detached`. */
async function untilTakenUp(): Promise<void> {
  await daemon.until(async () => {
    const rows = (await daemon.client().leases({ pool: "one" })).leases;
    return rows.length > 0 && rows.every((row) => row["state"] === "held");
  });
}

// --- it was away ---------------------------------------------------------------------------------

test("the body of a withLease notices no restart, and the slot stays taken", async () => {
  const told: LeaseLost[] = [];
  const onLost = (problem: LeaseLost) => told.push(problem);
  const run = withLease({ ...PATIENT, pool: "one", onLost }, async (lease) => {
    await restart();
    assert.equal(await daemon.inUse(), 1);
    assert.equal((await failure(acquire({ pool: "one", waitMs: 0 }))).name, "NoSlot");
    await restart();
    return lease.fence;
  });
  const fence = await run;
  assert.equal(await daemon.inUse(), 0);
  assert.deepEqual(told, []);
  await withLease({ pool: "one" }, (lease) => assert.ok(lease.fence > fence));
});

test("a connection-bound lease is resumed after a restart", async () => {
  await withLease({ ...PATIENT, pool: "one", bound: "connection" }, async (lease) => {
    await restart();
    await untilTakenUp();
    await lease.renew();
    assert.equal(lease.lost, undefined);
    assert.equal(await daemon.inUse(), 1);
  });
  assert.equal(await daemon.inUse(), 0);
});

test("a lease that was taken up again is told of its end", async () => {
  const holder = new Program("tests/holder.js", ["one", "connection", "0"], daemon.env);
  const id = (await holder.line()).split(" ")[1];
  await restart();
  await untilTakenUp();
  await daemon.ask("release", { lease: Number(id) });
  assert.equal(await holder.line(), `told: lease ${id} ended before it was given back: revoked`);
  holder.child.stdin?.end();
  assert.equal((await holder.end()).status, 75);
});

test("a connection-bound lease whose time passed while the daemon was away is lost", async () => {
  const lease = await acquire({ ...PATIENT, pool: "one", bound: "connection" });
  const lost = new Promise((resolve) => lease.signal.addEventListener("abort", resolve));
  await daemon.kill();
  rmSync(`${daemon.path}/a.journal`);
  await daemon.start();
  await lost;
  assert.equal(lease.lost?.code, "unknown_lease");
  assert.equal(await failure(lease.release()), lease.lost);
});

test("where the daemon stays away, a connection-bound lease is lost, and no other", async () => {
  const client = daemon.client({ reconnectMs: 100 });
  const told: string[] = [];
  const onLost = (problem: LeaseLost) => told.push(problem.message);
  const mine = await client.acquire({ pool: "one", onLost });
  const theirs = await client.acquire({ pool: "two", bound: "connection", onLost });
  const lost = new Promise((resolve) => theirs.signal.addEventListener("abort", resolve));
  await daemon.kill();
  await lost;
  const why = `lease ${theirs.id} could not be taken up again: no daemon answers at `;
  assert.ok(theirs.lost?.message.startsWith(why), theirs.lost?.message);
  assert.equal(mine.lost, undefined);
  await daemon.start();
  assert.equal(await daemon.inUse(), 1);
  await mine.release();
  assert.deepEqual(told, [theirs.lost?.message]);
  await client.close();
});

test("waiters keep their places over a restart and get their leases in order", async () => {
  const first = await acquire({ ...PATIENT, pool: "one" });
  const second = acquire({ ...PATIENT, pool: "one", task: "second" });
  await daemon.untilWaiting("second");
  const third = acquire({ ...PATIENT, pool: "one", task: "third", waitMs: 60_000 });
  await daemon.untilWaiting("second", "third");
  await restart();
  assert.deepEqual(await daemon.waiting(), ["second", "third"]);
  await first.release();
  const granted: Lease = await second;
  assert.ok(granted.fence > first.fence);
  await daemon.untilWaiting("third");
  await granted.release();
  await (await third).release();
});

test("the wait goes on over a restart, and is no longer for it", async () => {
  const first = await acquire({ ...PATIENT, pool: "one" });
  const second = failure(acquire({ ...PATIENT, pool: "one", task: "second", waitMs: 500 }));
  await daemon.untilWaiting("second");
  await restart();
  assert.match((await second).message, /^no slot /);
  assert.deepEqual(await daemon.waiting(), []);
  await first.release();
});

test("an abort while the daemon is away takes the request back once it is back", async () => {
  const first = await acquire({ ...PATIENT, pool: "one" });
  const abort = new AbortController();
  const options = { ...PATIENT, pool: "one", task: "second", signal: abort.signal };
  const second = failure(acquire(options));
  await daemon.untilWaiting("second");
  await daemon.kill();
  abort.abort();
  assert.equal((await second).name, "AbortError");
  await daemon.start();
  await daemon.untilWaiting();
  await first.release();
});

test("a lease that was yielded is regained over a restart", async () => {
  const options = { ...PATIENT, pool: "one", bound: "connection", task: "yields" } as const;
  await withLease(options, async (lease) => {
    let theirs: Lease | undefined;
    const regained = lease.yielded(async () => {
      theirs = await acquire({ ...PATIENT, pool: "one" });
    });
    await daemon.untilWaiting("yields");
    await restart();
    await daemon.untilWaiting("yields");
    await theirs?.release();
    await regained;
    assert.equal(await daemon.inUse(), 1);
  });
});

test("a holder that is killed frees its slot for the next one", async () => {
  const holder = new Program("tests/holder.js", ["one", "process", "0"], daemon.env);
  await holder.line();
  const next = new Program("tests/holder.js", ["one", "process", ""], daemon.env);
  await daemon.untilWaiting("holder");
  await holder.kill();
  assert.match(await next.line(), /^held \d+ own$/);
  next.child.stdin?.end();
  assert.deepEqual(await next.end(), { lines: ["released"], status: 0 });
});

test("a lease that can't be given back is unreachable, and free when it can", async () => {
  const client = daemon.client({ reconnectMs: 50 });
  const lease = await client.acquire({ pool: "one" });
  await daemon.kill();
  const problem = await failure(lease.release());
  assert.match(problem.message, /^no daemon answers at .*; start one with "admission serve"$/);
  await daemon.start();
  await client.release(lease);
  assert.equal(await daemon.inUse(), 0);
  await client.close();
});

test("a daemon that is stopped is unreachable, and a request is taken back later", async () => {
  process.kill(daemon.pid, "SIGSTOP");
  const client = daemon.client({ answerTimeoutMs: 50 });
  const problem = await failure(client.acquire({ pool: "one", waitMs: 0 }));
  assert.equal(problem.message, `the daemon at ${daemon.socket} does not answer; is it stopped?`);
  process.kill(daemon.pid, "SIGCONT");
  await daemon.untilInUse(0);
  await client.close();
});

test("the news end with the daemon, and a client connects again by itself", async () => {
  const client = daemon.client();
  const before = (await client.status())["pid"];
  const news = client.watch(["level"]);
  assert.equal((await news.next()).value?.["event"], "level");
  await restart();
  assert.match((await failure(news.next())).message, /^the daemon closed the connection; see /);
  assert.notEqual((await client.status())["pid"], before);
  await client.close();
});

// --- nobody is there -----------------------------------------------------------------------------

plainTest("where no daemon is, and none may be started, it says so", async () => {
  const socket = nowhere.socket;
  const started = await failure(acquire({ socket }));
  assert.ok(started instanceof Unreachable);
  assert.equal(
    started.message,
    `no daemon answers at ${socket}, and ADMISSION_AUTOSTART=0 forbids to start one; ` +
      'start one with "admission serve"',
  );
  for (const [why, make] of [
    ["No such file or directory", () => {}],
    ["Connection refused", () => closeSync(openSync(socket, "w"))],
  ] as const) {
    make();
    const looked = await failure(new Client({ socket }).status());
    const start = 'start one with "admission serve"';
    assert.equal(looked.message, `no daemon answers at ${socket} (${why}); ${start}`);
  }
  rmSync(socket);
});

plainTest("a socket's path that is too long is said to be so", () => {
  const socket = `/tmp/${"x".repeat(100)}`;
  assert.throws(() => new Client({ socket }), BadConfiguration);
});

// --- it is none ----------------------------------------------------------------------------------

const without = (name: string) => answers({ ...GRANTED, [name]: undefined });
const NONSENSE: [string, Reply[], RegExp][] = [
  ["http", [says(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"))], /^what answers is no adm/],
  ["garbage", [says(Buffer.from([0, 0, 0, 2, 0xc1, 0xc1]))], /^what answers is no admission/],
  ["4 GB", [says(Buffer.alloc(64, 0xff))], /^what answers is no admission daemon: a frame is 1 to/],
  ["empty", [answers({})], /^what answers has no usable "lease" in its answer: it is no admission/],
  ["no params", [without("params")], /^what answers has no usable "params" in its answer/],
  ["an id of 60 bits", [answers({ ...GRANTED, lease: 2n ** 60n })], /no usable "lease"/],
  ["closes", [], /^the daemon closed the connection; see "admission status"$/],
  ["hangs up", [() => undefined], /^the daemon closed the connection; see "admission status"$/],
  ["half a frame", [(asked) => answers(GRANTED)(asked)?.subarray(0, 9)], /closed the connection/],
  [
    "a queue of nonsense",
    [(asked) => encode({ id: asked["id"], event: "queued", position: "first" }), answers({})],
    /no usable "position"/,
  ],
  [
    "an error that is none",
    [(asked) => encode({ id: asked["id"], ok: 1, error: { code: [], message: { toString: 1 } } })],
    /^no reason given$/,
  ],
];

for (const [name, replies, message] of NONSENSE) {
  plainTest(`nonsense is unreachable and said in one sentence: ${name}`, async () => {
    const impostor = await Impostor.at(nowhere.socket, [replies]);
    const client = new Client({ socket: nowhere.socket, reconnectMs: 50, answerTimeoutMs: 5000 });
    const problem = await failure(client.acquire({ onQueued: () => {} }));
    assert.ok(problem instanceof AdmissionError, String(problem));
    assert.equal(problem instanceof Unreachable, name !== "an error that is none");
    assert.match(problem.message, message);
    await client.close();
    await impostor.close();
  });
}

plainTest("a holder whose daemon goes mad hears of it, and does not fall over", async () => {
  const revoked = (lease: unknown, reason: unknown) =>
    encode({ id: 1, event: "revoked", lease, reason });
  const mad = [revoked([42], 1), revoked(7, "no"), revoked(42, { toString: 1 })];
  const script = [answers(GRANTED), () => Buffer.concat(mad), answers({})];
  const impostor = await Impostor.at(nowhere.socket, [script]);
  const client = new Client({ socket: nowhere.socket });
  const lease = await client.acquire();
  const lost = new Promise((resolve) => lease.signal.addEventListener("abort", resolve));
  const asked = failure(client.status());
  await lost;
  assert.match(lease.lost?.message ?? "", /^lease 42 ended .*: no reason given$/);
  await client.close();
  assert.equal((await asked).message, "the client was closed");
  await impostor.close();
});

plainTest("a lease is resumed by its secret before anything else is asked", async () => {
  const told: unknown[] = [];
  const resumed: Reply = (asked) => {
    told.push(asked["lease"], asked["secret"]);
    return answers({ ...GRANTED, level: 3 })(asked);
  };
  const script = [[answers(GRANTED)], [resumed, answers({}), answers({}), answers({})]];
  const impostor = await Impostor.at(nowhere.socket, script);
  const client = new Client({ socket: nowhere.socket });
  const lease = await client.acquire();
  while (lease.level !== 3) await client.status(); // until it was taken up
  await client.close();
  assert.deepEqual(told.slice(0, 2), [42, GRANTED["secret"]]);
  assert.deepEqual(impostor.asked[1]?.slice(0, 1), ["resume"]);
  await impostor.close();
});

plainTest("a lease that is resumed with nonsense is lost, and the holder hears why", async () => {
  const script = [[answers(GRANTED)], [answers({ lease: 42 })]];
  const impostor = await Impostor.at(nowhere.socket, script);
  const client = new Client({ socket: nowhere.socket, reconnectMs: 50 });
  const lease = await client.acquire();
  const lost = new Promise((resolve) => lease.signal.addEventListener("abort", resolve));
  await lost;
  assert.match(lease.lost?.message ?? "", /^lease 42 could not be taken up again: .*no usable/);
  await client.close();
  await impostor.close();
});

plainTest("a grant that can't be understood is taken back", async () => {
  const script = [[answers({ lease: 42 }), answers({ found: true })]];
  const impostor = await Impostor.at(nowhere.socket, script);
  const client = new Client({ socket: nowhere.socket });
  assert.match((await failure(client.acquire())).message, /no usable/);
  assert.deepEqual(impostor.asked, [["acquire", "cancel"]]);
  await client.close();
  await impostor.close();
});

plainTest("a request whose answer was lost is made again under the same id", async () => {
  const requests: Frame[] = [];
  const noted =
    (reply: Reply): Reply =>
    (asked) => {
      requests.push(asked);
      return reply(asked);
    };
  const impostor = await Impostor.at(nowhere.socket, [
    [noted(() => undefined)],
    [answers({}), noted(answers(GRANTED)), answers({})],
  ]);
  await withLease({ socket: nowhere.socket }, (lease) => assert.equal(lease.id, 42));
  assert.deepEqual(impostor.asked, [["acquire"], ["hello", "acquire", "release"]]);
  assert.equal((requests[0]?.["request"] as Uint8Array).length, 16);
  assert.deepEqual(requests[0]?.["request"], requests[1]?.["request"]);
  await impostor.close();
});

plainTest("what the daemon says of no request in particular is for all that wait", async () => {
  const message = "1024 connections are open, and that is the limit; close some of yours";
  const error = { code: "too_many_connections", message };
  const impostor = await Impostor.at(nowhere.socket, [[says(encode({ id: 0, ok: false, error }))]]);
  const problem = await failure(acquire({ socket: nowhere.socket }));
  assert.ok(problem instanceof Unavailable);
  assert.equal(problem.message, message);
  await impostor.close();
});
