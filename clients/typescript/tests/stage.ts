/** A daemon of a test's own, and what stands in for one. */

import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { test as nodeTest } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Client, type ClientOptions, type Frame } from "admission-client";
import { encode, Frames } from "#frames";

/** The package's folder; these tests run from `build/tests`. */
export const PACKAGE = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const ROOT = dirname(dirname(PACKAGE));
const PYTHON = process.env["PYTHON"] || join(ROOT, ".venv", "bin", "python");

/** A test that hangs fails, and says which. Nothing is measured by it. */
export function test(name: string, run: () => void | Promise<void>): void {
  void nodeTest(name, { timeout: 30_000 }, run);
}

/** Why this failed, which it has to. */
export async function failure(work: Promise<unknown>): Promise<Error> {
  return await work.then(
    () => assert.fail("it did not fail"),
    (problem: Error) => problem,
  );
}

// Bounds that nothing reaches: only a hand changes the level, whatever the machine is doing.
const CALM = `
[throttle]
levels = [
  {level = 0, memory_below_pct = 1000, cpu_below_pct = 1000},
  {level = 1, memory_below_pct = 1000, cpu_below_pct = 1000, delay_ms = 10},
  {level = 2, memory_below_pct = 1000, cpu_below_pct = 1000, delay_ms = 20},
  {level = 3, delay_ms = 40},
]
[throttle.budget]
enabled = false
[pools]
one = {capacity = 1}
two = {capacity = 2}
many = {capacity = 100}
`;

/** A folder with a short path, a configuration, and an environment that is nobody's. */
export class Folder {
  readonly path = mkdtempSync("/tmp/adm-");
  readonly socket = join(this.path, "a.sock");
  readonly config = join(this.path, "config.toml");
  readonly env: NodeJS.ProcessEnv;

  constructor() {
    writeFileSync(this.config, CALM);
    // `admission`, as it would be installed.
    const bin = join(this.path, "admission");
    const main = "import sys\nfrom admission_client.cli import main\nsys.exit(main())\n";
    writeFileSync(bin, `#!${PYTHON} -P\n${main}`);
    chmodSync(bin, 0o755);
    const ours = /^(ADMISSION_|CLAUDE|CODEX|CI$|WVO_|XDG_|NODE_TEST_CONTEXT|NODE_OPTIONS)/;
    const outside = Object.entries(process.env).filter(([name]) => !ours.test(name));
    this.env = {
      ...Object.fromEntries(outside),
      PATH: `${this.path}:${process.env["PATH"]}`,
      ADMISSION_SOCKET: this.socket,
      ADMISSION_CONFIG: this.config,
      ADMISSION_AUTOSTART: "0",
      XDG_STATE_HOME: join(this.path, "state"),
    };
  }

  /** Makes the environment of this process the same: it is what clients in it go by. */
  moveIn(): void {
    for (const name of Object.keys(process.env)) {
      if (!(name in this.env) && name !== "NODE_TEST_CONTEXT") delete process.env[name];
    }
    Object.assign(process.env, this.env);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** One that can be killed and started again. */
export class Daemon extends Folder {
  #process: ChildProcess | undefined;
  #said = "";

  /** Starts it, unless it runs; returns when it serves. */
  async start(): Promise<void> {
    if (this.#process !== undefined) return;
    const words = ["-P", "-m", "admission_client.cli", "serve"];
    const child = spawn(PYTHON, words, { stdio: ["ignore", "ignore", "pipe"], env: this.env });
    this.#process = child;
    const lines = createInterface({ input: child.stderr });
    const serves = new Promise<void>((resolve, reject) => {
      lines.on("line", (line) => {
        this.#said += `${line}\n`;
        if (line.includes(" serving ")) resolve();
      });
      child.once("exit", () => reject(new Error(`the daemon ended: ${this.#said}`)));
    });
    await serves;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Ends it, and returns when it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** Ends it for good. What it printed must hold no traceback. */
  async end(): Promise<void> {
    await this.kill("SIGTERM");
    this.remove();
    if (this.#said.includes("Traceback")) throw new Error(this.#said);
  }

  // --- what it says ------------------------------------------------------------------------------

  client(options: ClientOptions = {}): Client {
    return new Client({ socket: this.socket, ...options });
  }

  async ask(op: string, fields: Frame = {}): Promise<Frame> {
    const client = this.client();
    try {
      return await client.ask(op, fields);
    } finally {
      await client.close();
    }
  }

  async inUse(pool = "one"): Promise<number> {
    return ((await this.ask("status"))["in_use"] as Record<string, number>)[pool] ?? -1;
  }

  /** The labels of those that wait, in order. */
  async waiting(pool = "one"): Promise<string[]> {
    const client = this.client();
    try {
      return (await client.leases({ pool })).waiting.map((row) => String(row["task"]));
    } finally {
      await client.close();
    }
  }

  /** Looks again at each piece of news, until it is as it should be. The first comes at once. */
  async until(holds: () => Promise<boolean>): Promise<void> {
    for await (const _ of this.client().watch()) if (await holds()) return;
  }

  async untilWaiting(...tasks: string[]): Promise<void> {
    await this.until(async () => String(await this.waiting()) === String(tasks));
  }

  async untilInUse(count: number, pool = "one"): Promise<void> {
    await this.until(async () => (await this.inUse(pool)) === count);
  }
}

// --- other processes -----------------------------------------------------------------------------

/** Runs Python with this source; what it printed. */
export async function python(source: string): Promise<string> {
  return (await promisify(execFile)(PYTHON, ["-P", "-c", source])).stdout;
}

/** A program in a process of its own, whose lines can be awaited. */
export class Program {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
  stderr = "";

  constructor(file: string, words: string[], env: NodeJS.ProcessEnv, ...options: string[]) {
    const path = join(PACKAGE, "build", file);
    const all = [...options, path, ...words];
    const child = spawn(process.execPath, all, { stdio: ["pipe", "pipe", "pipe"], env });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.child = child;
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done === true) throw new Error(`it ended without a word: ${this.stderr}`);
    return value;
  }

  /** All lines to its end, and how it ended. */
  async end(): Promise<{ lines: string[]; status: number | null }> {
    const over = new Promise<number | null>((resolve) => {
      if (this.child.exitCode !== null) resolve(this.child.exitCode);
      else this.child.once("close", resolve);
    });
    const lines: string[] = [];
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done === true) break;
      lines.push(value);
    }
    return { lines, status: await over };
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await gone;
  }
}

// --- what is no daemon ---------------------------------------------------------------------------

/** What is sent for a request; undefined closes the connection instead. */
export type Reply = (asked: Frame) => Uint8Array | undefined;

/**
 * Serves one connection after the other. `script` has, for each, a reply for each request; behind
 * the last one it closes.
 */
export class Impostor {
  /** What was asked, connection by connection. */
  readonly asked: string[][] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(script: Reply[][]) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      const replies = [...(script.length > 1 ? script.shift()! : script[0]!)];
      const mine: string[] = [];
      this.asked.push(mine);
      const frames = new Frames();
      if (replies.length === 0) socket.destroy();
      socket.on("error", () => {});
      socket.on("data", (data) => {
        for (const frame of frames.feed(data)) {
          mine.push(String(frame["op"]));
          const answer = replies.shift()?.(frame);
          if (answer === undefined) socket.destroy();
          else if (replies.length > 0) socket.write(answer);
          else socket.end(answer);
        }
      });
    });
  }

  static async at(path: string, script: Reply[][]): Promise<Impostor> {
    const impostor = new Impostor(script);
    impostor.#server.listen(path);
    await once(impostor.#server, "listening");
    return impostor;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }
}

export const answers =
  (fields: Frame): Reply =>
  (asked) =>
    encode({ ok: true, ...fields, id: asked["id"] });

export const says =
  (data: Uint8Array): Reply =>
  () =>
    data;

/** A golden message, by its file and name. */
export function golden(file: string, name: string): Frame {
  const path = join(ROOT, "tests", "wire", `${file}.json`);
  const all = JSON.parse(readFileSync(path, "utf8")) as { name: string; message: Frame }[];
  const found = all.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no golden "${name}"`);
  return found.message;
}

const made: string[] = [];

/** Another folder for whatever a test writes; it is gone with the process. */
export function emptyFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "adm-"));
  made.push(path);
  return path;
}

process.once("exit", () => {
  for (const path of made) rmSync(path, { recursive: true, force: true });
});
