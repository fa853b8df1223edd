/** The golden frames are what this client says and understands. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as errors from "admission-client";
import { errorFor } from "#errors";
import { decode, encode, FRAME_BYTES_MAX, Frames, type Frame } from "#frames";

import { python, ROOT, test } from "./stage.js";

interface Golden {
  name: string;
  message: Frame;
  frame: Buffer;
}

/** JSON has no bytes: they stand as `{"hex": "…"}`. */
function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === "hex") {
    return new Uint8Array(Buffer.from(String(first[1]), "hex"));
  }
  return Object.fromEntries(entries.map(([name, part]) => [name, fromJson(part)]));
}

function goldens(file: string): Golden[] {
  const path = join(ROOT, "tests", "wire", `${file}.json`);
  const found = JSON.parse(readFileSync(path, "utf8")) as {
    name: string;
    message: unknown;
    frame: string;
  }[];
  return found.map((one) => ({
    name: one.name,
    message: fromJson(one.message) as Frame,
    frame: Buffer.from(one.frame, "hex"),
  }));
}

const FRAME_HEAD_BYTES = 4;
const frameOf = (body: number[]) => Buffer.from([0, 0, 0, body.length, ...body]);

for (const file of ["requests", "replies", "events"]) {
  for (const one of goldens(file)) {
    test(`${file}: a golden frame gives back its message in its order: ${one.name}`, () => {
      const [message, ...more] = new Frames().feed(one.frame);
      assert.deepEqual(message, one.message);
      assert.deepEqual(Object.keys(message ?? {}), Object.keys(one.message));
      assert.equal(more.length, 0);
    });
  }
}

for (const one of goldens("requests")) {
  test(`a golden request gives exactly its frame: ${one.name}`, () => {
    assert.equal(Buffer.from(encode(one.message)).toString("hex"), one.frame.toString("hex"));
  });
}

test("frames are cut wherever the stream was, and none is lost", () => {
  const all = goldens("replies");
  const stream = Buffer.concat(all.map((one) => one.frame));
  for (const step of [1, 3, 7, 1000, stream.length]) {
    const frames = new Frames();
    const found: Frame[] = [];
    for (let at = 0; at < stream.length; at += step) {
      found.push(...frames.feed(stream.subarray(at, at + step)));
    }
    assert.deepEqual(
      found,
      all.map((one) => one.message),
    );
  }
});

test("ids beyond 32 bits keep their value, and beyond 53 none is rounded", () => {
  for (const id of [5_000_000_000, Number.MAX_SAFE_INTEGER, 2n ** 53n, 2n ** 63n - 1n]) {
    const frame = encode({ id, after: [id, 0] });
    assert.equal(frame[FRAME_HEAD_BYTES + 4], 0xcf, "a whole number, not a float");
    assert.deepEqual(new Frames().feed(frame), [{ id, after: [id, 0] }]);
  }
});

test("half a surrogate pair, as cutting a label leaves one, can be sent", () => {
  const [message] = new Frames().feed(encode({ task: "🦆".slice(0, 1) }));
  assert.deepEqual(message, { task: "\ufffd" });
});

test("what is too large for a frame, or no value of msgpack, is refused before it is sent", () => {
  const circular: Frame = {};
  circular["self"] = circular;
  const length = /^a message of \d+ bytes is longer than a frame may be \(65536\); send less text$/;
  const long = { task: "x".repeat(FRAME_BYTES_MAX) };
  assert.throws(() => encode(long), errorLike("bad_request", length));
  for (const bad of [circular, { f: () => {} }, { big: 2n ** 70n }]) {
    assert.throws(() => encode(bad as Frame), errorLike("bad_request", /^this can't be sent: /));
  }
});

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

test("a frame nests at most 8 deep", () => {
  const body = (depth: number) => encode({ a: nested(depth - 1) }).subarray(FRAME_HEAD_BYTES);
  assert.deepEqual(decode(body(8)), { a: nested(7) });
  assert.throws(() => decode(body(9)), errorLike("bad_frame", /nests at most 8 deep/));
});

const BAD_FRAMES: [string, Buffer, RegExp][] = [
  ["length 0", Buffer.from([0, 0, 0, 0]), /^a frame is 1 to 65536 bytes long, not 0$/],
  ["4 GB announced", Buffer.from([0xff, 0xff, 0xff, 0xff]), /not 4294967295$/],
  ["HTTP", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), /^a frame is 1 to 65536 bytes long/],
  ["no msgpack", frameOf([0xc1]), /does not hold one msgpack value/],
  ["half a value", frameOf([0x81, 0xa1, 0x61]), /does not hold one msgpack value/],
  ["more than one", frameOf([0x80, 0x80]), /does not hold one msgpack value/],
  ["a list of 4 thousand million", frameOf([0xdd, 0xff, 0xff, 0xff, 0xff]), /does not hold one/],
  ["text of 4 GB", frameOf([0xdb, 0xff, 0xff, 0xff, 0xff]), /does not hold one msgpack value/],
  ["a list", frameOf([0x90]), /holds a map, not another value/],
  ["a number", frameOf([0x01]), /holds a map, not another value/],
  ["nothing", frameOf([0xc0]), /holds a map, not another value/],
  ["a time", frameOf([0xd6, 0xff, 0, 0, 0, 1]), /holds a map, not another value/],
  ["a key that is a number", frameOf([0x81, 0x01, 0x01]), /keys of a frame's map are strings/],
  ["__proto__", frameOf([0x81, 0xa9, ...Buffer.from("__proto__"), 0x80]), /does not hold one/],
];

for (const [name, bytes, message] of BAD_FRAMES) {
  test(`bytes that are no frame are a bad frame: ${name}`, () => {
    assert.throws(() => new Frames().feed(bytes), errorLike("bad_frame", message));
  });
}

test("no bytes whatever do more than that", () => {
  let seed = 1;
  const byte = () => (seed = (seed * 48_271) % 2_147_483_647) & 0xff;
  for (let round = 0; round < 3000; round++) {
    const body = Array.from({ length: 1 + (byte() % 40) }, byte);
    try {
      new Frames().feed(frameOf([0x81, 0xa1, 0x61, ...body]));
    } catch (problem) {
      assert.ok(problem instanceof errors.BadFrame, String(problem));
    }
  }
});

test("the errors are the table of the protocol: names, codes, exit statuses", async () => {
  const table = await python(
    "import json\nfrom admission.protocol import AdmissionError\n" +
      "kinds = AdmissionError.__subclasses__()\n" +
      "print(json.dumps({k.__name__: [list(k.codes), k.exit_status] for k in kinds}))",
  );
  const ours: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(errors)) {
    if (Object.getPrototypeOf(kind) !== errors.AdmissionError) continue;
    const { codes, exitStatus } = kind as typeof errors.AdmissionError;
    ours[name] = [codes, exitStatus];
  }
  assert.deepEqual(ours, JSON.parse(table));
});

test("an error has its code, its status and its name; one from the future is a plain one", () => {
  const lost = errorFor("holder_gone", "no");
  assert.ok(lost instanceof errors.LeaseLost && lost instanceof Error);
  assert.deepEqual([lost.code, lost.exitStatus, lost.name], ["holder_gone", 75, "LeaseLost"]);
  assert.equal(new errors.Unreachable("no").code, "unreachable");
  const unknown = errorFor("too_sunny", "no");
  assert.deepEqual([unknown.constructor, unknown.code], [errors.AdmissionError, "too_sunny"]);
});

function errorLike(code: string, message: RegExp) {
  return (problem: unknown) => {
    assert.ok(problem instanceof errors.AdmissionError, String(problem));
    assert.equal(problem.code, code);
    assert.match(problem.message, message);
    return true;
  };
}
