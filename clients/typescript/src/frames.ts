/**
 * Frames: a 4-byte big-endian length (1 to 65,536) and one msgpack map with string keys.
 *
 * Whole numbers beyond 2^53 are never rounded: they come in as `bigint`, and whoever needs a
 * `number` there refuses them. A daemon would have to grant a thousand leases a second for
 * 285,000 years to get there.
 */

import { decode as unpack, encode as pack } from "@msgpack/msgpack";

import { BadFrame, BadRequest, messageOf } from "./errors.js";

export const FRAME_BYTES_MAX = 65_536;
export const FRAME_DEPTH_MAX = 8;
const LENGTH_BYTES = 4;

/** The map inside a frame. */
export type Frame = Record<string, unknown>;

const LIMITS = {
  useBigInt64: true,
  maxStrLength: FRAME_BYTES_MAX,
  maxBinLength: FRAME_BYTES_MAX,
  maxArrayLength: FRAME_BYTES_MAX,
  maxMapLength: FRAME_BYTES_MAX,
  maxExtLength: FRAME_BYTES_MAX,
} as const;

/**
 * One frame, length and all. Fields that are undefined are left out; half a surrogate pair, as
 * cutting a label leaves one, becomes U+FFFD.
 *
 * @throws BadRequest - it is too large for a frame, or holds what msgpack can't carry.
 */
export function encode(message: Frame): Uint8Array {
  let body: Uint8Array;
  try {
    body = pack(carriable(message), { ignoreUndefined: true, useBigInt64: true, maxDepth: 64 });
  } catch (problem) {
    throw new BadRequest(
      `this can't be sent: ${messageOf(problem)}; use smaller numbers and text`,
    );
  }
  if (body.length > FRAME_BYTES_MAX) {
    throw new BadRequest(
      `a message of ${body.length} bytes is longer than a frame may be ` +
        `(${FRAME_BYTES_MAX}); send less text`,
    );
  }
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  frame.writeUInt32BE(body.length);
  frame.set(body, LENGTH_BYTES);
  return frame;
}

/** As the encoder wants it: it would make floats of whole numbers of more than 32 bits. */
function carriable(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (typeof value === "number") {
    const isLong = Number.isSafeInteger(value) && (value >= 2 ** 32 || value < -(2 ** 31));
    return isLong ? BigInt(value) : value;
  }
  if (typeof value === "bigint") return checked(value);
  if (Array.isArray(value)) return value.map(carriable);
  return isMap(value) ? mapValues(value, carriable) : value;
}

function checked(value: bigint): bigint {
  if (value === BigInt.asUintN(64, value) || value === BigInt.asIntN(64, value)) return value;
  throw new RangeError("a whole number of more than 64 bits");
}

function mapValues(map: Frame, change: (value: unknown) => unknown): Frame {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, change(value)]));
}

/**
 * The map inside one frame.
 *
 * @throws BadFrame - it is not msgpack, not a map with string keys, or nested too deeply.
 */
export function decode(body: Uint8Array): Frame {
  let message: unknown;
  try {
    message = unpack(body, { ...LIMITS, mapKeyConverter: stringKey });
  } catch (problem) {
    if (problem instanceof BadFrame) throw problem;
    throw new BadFrame("the frame does not hold one msgpack value");
  }
  if (!isMap(message)) {
    throw new BadFrame("a frame holds a map, not another value; send {'id': 1, 'op': …}");
  }
  return plain(message, FRAME_DEPTH_MAX) as Frame;
}

function stringKey(key: unknown): string {
  if (typeof key === "string") return key;
  throw new BadFrame("the keys of a frame's map are strings; one is another value");
}

function isMap(value: unknown): value is Frame {
  return (
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/** The same value, with numbers for all whole numbers that one can hold exactly. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (value instanceof Uint8Array) return new Uint8Array(value); // and no window on the stream
  const isList = Array.isArray(value);
  if (!isList && !isMap(value)) return value;
  if (depth === 0) throw new BadFrame(`a frame nests at most ${FRAME_DEPTH_MAX} deep`);
  if (isList) return value.map((part: unknown) => plain(part, depth - 1));
  return mapValues(value, (part) => plain(part, depth - 1));
}

/** Cuts a stream of bytes into frames; sans I/O. */
export class Frames {
  #buffer: Buffer = Buffer.alloc(0);

  /**
   * The frames that `data` completes, in order.
   *
   * @throws BadFrame - the stream can't be followed any further.
   */
  feed(data: Uint8Array): Frame[] {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    const frames: Frame[] = [];
    let start = 0;
    while (this.#buffer.length - start >= LENGTH_BYTES) {
      const length = this.#buffer.readUInt32BE(start);
      if (length < 1 || length > FRAME_BYTES_MAX) {
        throw new BadFrame(`a frame is 1 to ${FRAME_BYTES_MAX} bytes long, not ${length}`);
      }
      const end = start + LENGTH_BYTES + length;
      if (this.#buffer.length < end) break;
      frames.push(decode(this.#buffer.subarray(start + LENGTH_BYTES, end)));
      start = end;
    }
    this.#buffer = this.#buffer.subarray(start);
    return frames;
  }
}
