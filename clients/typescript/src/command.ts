/** Runs the `admission` command, never through a shell. */

import { spawn } from "node:child_process";

import { LEASE_VARIABLE } from "./place.js";

// No answer of the command is nearly that long.
const OUTPUT_CHARS_MAX = 1 << 20;

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** The command to its end; undefined where there is no such command on the PATH. */
export function runAdmission(words: string[]): Promise<Ran | undefined> {
  // What it starts belongs to nobody, so to no lease either.
  const { [LEASE_VARIABLE]: _, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn("admission", words, { stdio: ["ignore", "pipe", "pipe"], env });
    const ran: Ran = { status: null, stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8");
      child[name].on("data", (text: string) => {
        if (ran[name].length < OUTPUT_CHARS_MAX) ran[name] += text;
      });
    }
    child.once("error", (problem: NodeJS.ErrnoException) => {
      if (problem.code === "ENOENT") resolve(undefined);
      else reject(problem);
    });
    child.once("close", (status) => resolve({ ...ran, status }));
  });
}

/** The last line of what it complained of. */
export function complaint(ran: Ran): string {
  const line = ran.stderr.trim().split("\n").at(-1) ?? "";
  return line.replace(/^admission: /, "") || `it ended with status ${ran.status} and said nothing`;
}
