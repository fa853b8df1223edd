/** ResourceMonitor: how hard-pressed the machine is, and what to do about it. */

import { resolve } from "node:path";

import { whole } from "./answers.js";
import { Client } from "./client.js";
import { BadRequest, messageOf, NotPermitted, Unavailable, Unreachable } from "./errors.js";
import { lookAlone, metricsOfStatus, type ResourceMetrics } from "./metrics.js";
import { isFolder, socketPath } from "./place.js";
import { abortable, nowMs, sleep, TIMER_MS_MAX } from "./waits.js";

// From this level on, the document says, the machine is under pressure.
const PRESSURE_LEVEL = 2;
// How long a reading is good for.
const FRESH_MS = 3000;
// How often a monitor that waits without a daemon looks again.
const LOOK_AGAIN_MS = 2000;

export interface MonitorOptions {
  /** The daemon's socket; without it, the usual place. */
  socket?: string | undefined;
}

export interface SignalOptions {
  /** Stops the wait, which rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/**
 * Asks the daemon; where none runs, looks at the machine with `admission throttle`, which takes
 * about a second. It never starts one.
 */
export class ResourceMonitor {
  readonly #workspace: string;
  readonly #path: string;
  #reading: { metrics: ResourceMetrics; atMs: number } | undefined;
  #underWay: Promise<ResourceMetrics> | undefined;
  #writerPid: number | undefined;
  #trouble = "";

  /**
   * @param workspaceRoot - the folder whose `state/analytics/resource_metrics.json` is to be kept
   *   up to date: by the daemon, else at each reading.
   * @throws BadRequest - there is no such folder.
   */
  constructor(workspaceRoot: string, options: MonitorOptions = {}) {
    this.#workspace = resolve(workspaceRoot);
    if (!isFolder(this.#workspace)) {
      throw new BadRequest(
        `workspace ${this.#workspace}: there is no such folder; give the path of one`,
      );
    }
    this.#path = socketPath(options.socket);
  }

  /**
   * The readings, the level in force and its parameters.
   *
   * @param options - `force`: read anew, even if the last reading is only a few seconds old.
   * @throws BadConfiguration - no daemon runs, and the configuration is wrong.
   * @throws Unreachable - no daemon runs, and there is no command `admission` to look with.
   */
  getMetrics({
    force = false,
    signal,
  }: SignalOptions & { force?: boolean } = {}): Promise<ResourceMetrics> {
    const kept = this.#reading;
    if (!force && kept !== undefined && nowMs() - kept.atMs < FRESH_MS) {
      return Promise.resolve(kept.metrics);
    }
    // Who asks while a look is under way gets what that finds.
    this.#underWay ??= this.#read().finally(() => (this.#underWay = undefined));
    return abortable(this.#underWay, signal);
  }

  /** Whether the level is 2 (medium) or 3 (heavy). */
  async isUnderPressure(options: SignalOptions = {}): Promise<boolean> {
    return (await this.getMetrics(options)).throttle_level >= PRESSURE_LEVEL;
  }

  /** How many agents may run on this machine, all told; at least 1. */
  async getRecommendedAgentCount(options: SignalOptions = {}): Promise<number> {
    return (await this.getMetrics(options)).throttle_params.max_agents;
  }

  /**
   * Waits as long as the level asks for between two tasks, 0 to 2 s unless configured otherwise.
   * Comes to the milliseconds waited.
   */
  async applyThrottle(options: SignalOptions = {}): Promise<number> {
    const delayMs = (await this.getMetrics(options)).throttle_params.delay_ms;
    await sleep(delayMs, options.signal);
    return delayMs;
  }

  /**
   * Waits until the level is this one or lower. The daemon says when it changes; nobody asks again
   * and again, except where there is none, every 2 s.
   *
   * @param timeoutMs - at most so long; 0 or less only looks.
   * @param level - 0 to 3.
   * @returns whether it is; false after the time-out.
   */
  async waitForResources(
    timeoutMs = 60_000,
    level = 1,
    { signal }: SignalOptions = {},
  ): Promise<boolean> {
    if (![0, 1, 2, 3].includes(level)) throw new RangeError(`level is 0 to 3, not ${level}`);
    const giveUpAt = nowMs() + timeoutMs;
    for (;;) {
      const isReached = await this.#isReached(level, giveUpAt, signal);
      const leftMs = giveUpAt - nowMs();
      if (isReached || !(leftMs > 0)) return isReached;
      await sleep(Math.min(LOOK_AGAIN_MS, leftMs), signal);
    }
  }

  async #isReached(level: number, giveUpAt: number, signal?: AbortSignal): Promise<boolean> {
    try {
      return await this.#awaitLevel(level, giveUpAt, signal);
    } catch (problem) {
      if (!meansNoDaemon(problem)) throw problem;
      return (await this.getMetrics({ force: true, signal })).throttle_level <= level;
    }
  }

  /** The level in force comes first, however little time there is. */
  async #awaitLevel(level: number, giveUpAt: number, signal?: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    const giveUp = () => over.abort(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", giveUp, { once: true });
    let timer: NodeJS.Timeout | undefined;
    try {
      for await (const event of new Client({ socket: this.#path }).watch(["level"], {
        signal: over.signal,
      })) {
        if (event["event"] === "level" && whole(event, "level") <= level) {
          this.#reading = undefined; // what is known by now is newer
          return true;
        }
        const leftMs = giveUpAt - nowMs();
        if (!(leftMs > 0)) return false;
        timer ??= setTimeout(() => over.abort(TIME_IS_UP), Math.min(leftMs, TIMER_MS_MAX));
      }
      return false;
    } catch (problem) {
      if (problem === TIME_IS_UP) return false;
      throw problem;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  }

  async #read(): Promise<ResourceMetrics> {
    let metrics: ResourceMetrics;
    try {
      metrics = await this.#ask();
    } catch (problem) {
      if (!meansNoDaemon(problem)) throw problem;
      metrics = await lookAlone(this.#path, this.#workspace, (why) => this.#note(why));
    }
    this.#reading = { metrics, atMs: nowMs() };
    return metrics;
  }

  async #ask(): Promise<ResourceMetrics> {
    const client = new Client({ socket: this.#path });
    try {
      const status = await client.status();
      const metrics = metricsOfStatus(status, Date.now());
      const pid = whole(status, "pid");
      if (pid !== this.#writerPid) await this.#register(client, pid);
      return metrics;
    } finally {
      await client.close();
    }
  }

  /** Has the daemon keep the workspace's file. Where it won't, the monitor works all the same. */
  async #register(client: Client, pid: number): Promise<void> {
    try {
      await client.ask("workspace", { path: this.#workspace });
      this.#writerPid = pid;
    } catch (problem) {
      if (!(problem instanceof BadRequest || problem instanceof NotPermitted)) throw problem;
      this.#note(messageOf(problem));
    }
  }

  /** Warns of what is wrong with the workspace, once. */
  #note(trouble: string): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    process.emitWarning(trouble, "AdmissionWarning");
  }
}

const TIME_IS_UP = Symbol("time is up");

/** Whatever else goes wrong is the caller's to know. */
function meansNoDaemon(problem: unknown): boolean {
  return problem instanceof Unreachable || problem instanceof Unavailable;
}
