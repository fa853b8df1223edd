/** Where the daemon listens; docs/design.md, "On the socket", has the rule. */

import { statSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";

import { BadConfiguration } from "./errors.js";

// sun_path holds 104 bytes with its NUL on macOS and 108 on Linux; the smaller one rules.
const SOCKET_PATH_BYTES_MAX = 103;
// What a command that runs under a lease finds in its environment.
export const LEASE_VARIABLE = "ADMISSION_LEASE";

/**
 * The socket's path: the given one, else `$ADMISSION_SOCKET`, else the usual place.
 *
 * @throws BadConfiguration - it is longer than a Unix socket's may be.
 */
export function socketPath(given?: string): string {
  const path = resolve(given || process.env["ADMISSION_SOCKET"] || defaultSocketPath());
  const length = Buffer.byteLength(path);
  if (length > SOCKET_PATH_BYTES_MAX) {
    throw new BadConfiguration(
      `the socket path is ${length} bytes long and ${SOCKET_PATH_BYTES_MAX} is the most that ` +
        `a Unix socket takes: set ADMISSION_SOCKET or --socket to a shorter one than ${path}`,
    );
  }
  return path;
}

function defaultSocketPath(): string {
  if (process.platform !== "darwin") {
    const runtime = process.env["XDG_RUNTIME_DIR"] || `/run/user/${process.getuid?.()}`;
    if (isFolder(runtime)) return `${runtime}/admission/admission.sock`;
  }
  return `${homedir()}/.admission/admission.sock`;
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** The lease that this process runs under, as its environment says. */
export function enclosingLease(): number | undefined {
  const written = process.env[LEASE_VARIABLE] ?? "";
  const number = /^[0-9]{1,16}$/.test(written) ? Number(written) : 0;
  return number > 0 && Number.isSafeInteger(number) ? number : undefined;
}
