/** A daemon answers this client's frames as `tests/wire/conversations.json` says. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, before } from "node:test";

import type { Frame } from "admission-client";
import { encode, Frames } from "#frames";

import { Daemon, ROOT, test } from "./stage.js";

interface Step {
  on: string;
  send?: Frame;
  send_hex?: string;
  get?: Frame;
  closed?: true;
  close?: true;
}

type Kept = Map<string, unknown>;

const told = JSON.parse(
  readFileSync(join(ROOT, "tests", "wire", "conversations.json"), "utf8"),
) as { configuration: string[]; conversations: { name: string; steps: Step[] }[] };

const daemon = new Daemon();
before(async () => {
  writeFileSync(daemon.config, told.configuration.join("\n"));
  await daemon.start();
});
after(() => daemon.end());

// --- what fits ------------------------------------------------------------------------------------

const KINDS: Record<string, (got: unknown) => boolean> = {
  uint: (got) => typeof got === "number" && Number.isInteger(got) && got >= 0,
  number: (got) => typeof got === "number",
  text: (got) => typeof got === "string",
  bool: (got) => typeof got === "boolean",
  list: Array.isArray,
  map: (got) => typeof got === "object" && got !== null && !Array.isArray(got),
  null: (got) => got === null,
};

const isMap = (value: unknown): value is Frame => KINDS["map"]!(value);

function check(wanted: unknown, got: unknown, kept: Kept, at = "frame"): void {
  if (Array.isArray(wanted)) {
    assert.ok(Array.isArray(got) && got.length === wanted.length, `${at} is ${String(got)}`);
    wanted.forEach((part, place) => check(part, got[place], kept, `${at}[${place}]`));
  } else if (!isMap(wanted)) assert.deepEqual(got, wanted, at);
  else if ("keep" in wanted) kept.set(String(wanted["keep"]), got);
  else if ("kept" in wanted) assert.deepEqual(got, kept.get(String(wanted["kept"])), at);
  else if ("is" in wanted) {
    const kinds = String(wanted["is"]);
    assert.ok(kinds.split(" or ").some((kind) => KINDS[kind]!(got)), `${at} is no ${kinds}`);
  } else {
    assert.ok(isMap(got), `${at} is no map`);
    for (const [name, part] of Object.entries(wanted)) {
      assert.ok(name in got, `${at}.${name} is missing`);
      check(part, got[name], kept, `${at}.${name}`);
    }
  }
}

/** What is sent, with what was kept in its place, and bytes for `{"hex": "…"}`. */
function filled(value: unknown, kept: Kept): unknown {
  if (!isMap(value)) return value;
  if ("kept" in value) return kept.get(String(value["kept"]));
  if ("hex" in value) return new Uint8Array(Buffer.from(String(value["hex"]), "hex"));
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, filled(part, kept)]));
}

// --- who talks ------------------------------------------------------------------------------------

/** One connection. What came of other requests than the one that is asked for waits here. */
class Line {
  readonly #socket: Socket;
  readonly #data: AsyncIterator<Buffer>;
  readonly #frames = new Frames();
  #arrived: Frame[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#data = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next frame under that id; news of the queue only where such are wanted. */
  async get(wanted: Frame): Promise<Frame> {
    for (;;) {
      const place = this.#arrived.findIndex((frame) => frame["id"] === wanted["id"]);
      if (place < 0) {
        assert.ok(await this.#receive(), `closed before ${JSON.stringify(wanted)}`);
        continue;
      }
      const [frame] = this.#arrived.splice(place, 1);
      if (frame!["event"] !== "queued" || wanted["event"] === "queued") return frame!;
    }
  }

  /** To the daemon's end of it, before which nothing more may come. */
  async closed(): Promise<void> {
    while (await this.#receive());
    assert.deepEqual(this.#arrived, []);
  }

  async close(): Promise<void> {
    const gone = this.#socket.closed ? undefined : once(this.#socket, "close");
    this.#socket.destroy();
    await gone;
  }

  async #receive(): Promise<boolean> {
    const { value, done } = await this.#data.next();
    if (done === true) return false;
    this.#arrived.push(...this.#frames.feed(value));
    return true;
  }
}

async function open(): Promise<Line> {
  const socket = connect(daemon.socket);
  await once(socket, "connect");
  return new Line(socket);
}

async function take(step: Step, line: Line, kept: Kept): Promise<void> {
  if (step.send !== undefined) line.send(encode(filled(step.send, kept) as Frame));
  else if (step.send_hex !== undefined) line.send(Buffer.from(step.send_hex, "hex"));
  else if (step.get !== undefined) check(step.get, await line.get(step.get), kept);
  else if (step.closed === true) await line.closed();
  else await line.close();
}

async function isIdle(): Promise<boolean> {
  const { leases, waiting } = await daemon.ask("leases");
  return (leases as unknown[]).length + (waiting as unknown[]).length === 0;
}

for (const { name, steps } of told.conversations) {
  test(`the daemon answers as it is written: ${name}`, async () => {
    const lines = new Map<string, Line>();
    const kept: Kept = new Map();
    try {
      for (const step of steps) {
        const line = lines.get(step.on) ?? (await open());
        lines.set(step.on, line);
        await take(step, line, kept);
      }
    } finally {
      await Promise.all([...lines.values()].map((line) => line.close()));
    }
    while (!(await isIdle())); // that a connection is closed is no answer to anything
  });
}
