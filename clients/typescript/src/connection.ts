/** One connection: numbers requests, and sorts what comes back. */

import { createConnection, type Socket } from "node:net";

import {
  BadFrame,
  Disconnected,
  errorFor,
  nobodyAnswers,
  Stuck,
  Unreachable,
  type AdmissionError,
} from "./errors.js";
import { encode, Frames, type Frame } from "./frames.js";
import { TIMER_MS_MAX } from "./waits.js";

export interface RequestOptions<T> {
  /** Makes the result of the answer, at once when that comes, before anything behind it is read. */
  take: (answer: Frame) => T;
  /** Called with each event for this request; what it throws ends the request. */
  onEvent?: ((event: Frame) => void) | undefined;
  /** Events go on to come after the answer. */
  isFollowed?: boolean;
  /** How long a daemon may take to answer; without it, for ever. */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

interface Pending {
  take: (answer: Frame) => void;
  fail: (problem: unknown) => void;
  onEvent: ((event: Frame) => void) | undefined;
  isAnswered: boolean;
}

/** Requests may be made while others wait; each gets its own answer. */
export class Connection {
  /** Called when it is gone, before its requests fail. */
  onClose: () => void = () => {};
  /** Called when a lease that came by this connection ended without being given back by it. */
  onRevoked: (lease: unknown, reason: string) => void = () => {};
  /** Called when the holder of such a lease is asked to end soon. */
  onPark: (lease: unknown, reason: string) => void = () => {};

  readonly #path: string;
  readonly #socket: Socket;
  readonly #frames = new Frames();
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #failure: AdmissionError | undefined;
  #isClosed = false;

  private constructor(path: string, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
    socket.on("data", (data) => this.#read(data));
    socket.on("error", () => {}); // `close` follows, and says all that there is to say
    socket.on("close", () => this.#close());
    this.#keepAlive();
  }

  /** @throws Unreachable - nobody listens there. */
  static open(path: string): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(path);
      const refuse = (problem: NodeJS.ErrnoException) => {
        reject(nobodyAnswers(path, WHY[problem.code ?? ""] ?? problem.message));
      };
      socket.once("error", refuse);
      socket.once("connect", () => {
        socket.off("error", refuse);
        resolve(new Connection(path, socket));
      });
    });
  }

  /**
   * One request and its answer.
   *
   * @throws AdmissionError - it was refused, or the connection failed.
   * @throws the signal's reason, where that aborts.
   */
  request<T>(op: string, fields: Frame, options: RequestOptions<T>): Promise<T> {
    const { signal, timeoutMs, onEvent, isFollowed = false } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#isClosed) throw this.failure;
      const id = ++this.#lastId;
      const data = encode({ id, op, ...fields });
      const settle = (isOver: boolean) => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", giveUp);
        if (isOver) this.#pending.delete(id);
        this.#keepAlive();
      };
      const fail = (problem: unknown) => {
        settle(true);
        reject(problem as Error);
      };
      const giveUp = () => fail(signal?.reason);
      const timer =
        timeoutMs === undefined || timeoutMs > TIMER_MS_MAX
          ? undefined
          : setTimeout(() => fail(new Stuck(this.#path)), timeoutMs);
      signal?.addEventListener("abort", giveUp, { once: true });
      const take = (answer: Frame) => {
        settle(!isFollowed);
        resolve(options.take(answer));
      };
      this.#pending.set(id, { take, fail, onEvent, isAnswered: false });
      this.#keepAlive();
      this.#socket.write(data);
    });
  }

  /** Why it is closed, once it is. */
  get failure(): AdmissionError {
    return this.#failure ?? new Disconnected();
  }

  /** Closes it. Requests that wait fail by `problem`. */
  destroy(problem: AdmissionError = new Disconnected()): void {
    this.#failure ??= problem;
    this.#socket.destroy();
    this.#close();
  }

  /** The process may end while nothing is waited for: what is held ends with it anyway. */
  #keepAlive(): void {
    if (this.#pending.size > 0) this.#socket.ref();
    else this.#socket.unref();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.onClose();
    for (const one of [...this.#pending.values()]) one.fail(this.failure);
  }

  #read(data: Uint8Array): void {
    if (this.#isClosed) return;
    let frames: Frame[];
    try {
      frames = this.#frames.feed(data);
    } catch (problem) {
      if (!(problem instanceof BadFrame)) throw problem;
      const why = `what answers is no admission daemon: ${problem.message}`;
      return this.destroy(new Unreachable(why));
    }
    for (const frame of frames) this.#sort(frame);
  }

  #sort(frame: Frame): void {
    if (frame["event"] === "revoked") {
      this.onRevoked(frame["lease"], wordOf(frame["reason"], "no reason given"));
    } else if (frame["event"] === "park") {
      this.onPark(frame["lease"], wordOf(frame["reason"], "no reason given"));
    } else if (frame["id"] === 0 && frame["ok"] === false) {
      // The daemon can't tell whose it is; and as a rule, closes.
      this.#failure ??= refusal(frame);
      for (const one of [...this.#pending.values()]) one.fail(this.failure);
    } else {
      const asked = this.#pending.get(frame["id"] as number);
      if (asked !== undefined) this.#hand(asked, frame);
    }
  }

  #hand(asked: Pending, frame: Frame): void {
    try {
      if (!("ok" in frame)) {
        asked.onEvent?.(frame);
      } else if (!asked.isAnswered) {
        asked.isAnswered = true;
        if (frame["ok"] !== true) throw refusal(frame);
        asked.take(frame);
      }
    } catch (problem) {
      asked.fail(problem);
    }
  }
}

// As `strerror` has it.
const WHY: Record<string, string> = {
  ENOENT: "No such file or directory",
  ECONNREFUSED: "Connection refused",
  ENOTSOCK: "Socket operation on non-socket",
  EACCES: "Permission denied",
  ENOTDIR: "Not a directory",
};

function refusal(answer: Frame): AdmissionError {
  const given = answer["error"];
  const error = (typeof given === "object" && given !== null ? given : {}) as Frame;
  return errorFor(wordOf(error["code"], ""), wordOf(error["message"], "no reason given"));
}

/** Text, and never what might be no text: even to ask an object for its own may throw. */
function wordOf(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}
