/** Starts a daemon where none runs. */

import { complaint, runAdmission } from "./command.js";
import { Connection } from "./connection.js";
import { AlreadyServed, messageOf, Unreachable } from "./errors.js";
import { sleep } from "./waits.js";

// How often to look for a daemon that another is starting: it takes its lock before it listens.
const PAUSES_MS = [10, 20, 50, 100, 200, 500, 1000, 1000, 1000, 1000];

/**
 * A connection to the daemon at this path, which is started where none runs and that is wanted.
 *
 * @throws Unreachable - there is none; it may not be started, or could not.
 */
export async function openOrStart(path: string, autostart: boolean): Promise<Connection> {
  try {
    return await Connection.open(path);
  } catch (problem) {
    if (!autostart || !(problem instanceof Unreachable)) throw problem;
  }
  const isOurs = await startDaemon(path);
  for (const pauseMs of isOurs ? [] : PAUSES_MS) {
    try {
      return await Connection.open(path);
    } catch (problem) {
      if (!(problem instanceof Unreachable)) throw problem;
    }
    await sleep(pauseMs);
  }
  return await Connection.open(path);
}

/** It goes to the background once it serves. False where another was quicker. */
async function startDaemon(path: string): Promise<boolean> {
  const none = `no daemon answers at ${path}, and`;
  if (process.env["ADMISSION_AUTOSTART"] === "0") {
    throw new Unreachable(
      `${none} ADMISSION_AUTOSTART=0 forbids to start one; start one with "admission serve"`,
    );
  }
  const ran = await runAdmission(["serve", "--detach", "--socket", path]).catch((problem) => {
    throw new Unreachable(`${none} none could be started: ${messageOf(problem)}`);
  });
  if (ran === undefined) {
    throw new Unreachable(
      `${none} there is no command "admission" on the PATH to start one with; install it with ` +
        '"pipx install admission", or start one by hand',
    );
  }
  if (ran.status !== 0 && ran.status !== AlreadyServed.exitStatus) {
    throw new Unreachable(`${none} none could be started: ${complaint(ran)}`);
  }
  return ran.status === 0;
}
