/** What can go wrong, as one table: the words and exit statuses of `admission/protocol.py`. */

/** An expected failure, said in one sentence; `code` is the word that crosses the socket. */
export class AdmissionError extends Error {
  static readonly codes: readonly string[] = [];
  static readonly exitStatus: number = 69;
  readonly code: string;

  constructor(message: string, code = "") {
    super(message);
    this.name = new.target.name;
    this.code = code || (new.target.codes[0] ?? "");
  }

  /** What a command that fails by it should end with. */
  get exitStatus(): number {
    return (this.constructor as typeof AdmissionError).exitStatus;
  }
}

/** The request can't be granted as it stands, today or ever. */
export class BadRequest extends AdmissionError {
  static override readonly codes = [
    "bad_request",
    "unknown_op",
    "unknown_pool",
    "unknown_node",
    "impossible",
    "would_deadlock",
  ];
  static override readonly exitStatus = 64;
}

/** Bytes that are no frame: the connection that carried them can't go on. */
export class BadFrame extends AdmissionError {
  static override readonly codes = ["bad_frame"];
}

/** No daemon could be had, or what answered is none. */
export class Unreachable extends AdmissionError {
  static override readonly codes = ["unreachable"];
}

/** The daemon is there and can't serve this now. */
export class Unavailable extends AdmissionError {
  static override readonly codes = [
    "journal_unavailable",
    "shutting_down",
    "too_many_connections",
    "no_service_manager",
    "no_fleet",
    "fleet_away",
  ];
}

/** Nothing was free within the wait; trying later may help. */
export class NoSlot extends AdmissionError {
  static override readonly codes = ["timeout", "queue_full", "cancelled"];
  static override readonly exitStatus = 75;
}

/** The lease is not, or no longer, this holder's. */
export class LeaseLost extends AdmissionError {
  static override readonly codes = ["unknown_lease", "holder_gone", "revoked"];
  static override readonly exitStatus = 75;
}

/** Another daemon serves this socket; it is left alone. */
export class AlreadyServed extends AdmissionError {
  static override readonly codes = ["already_served"];
  static override readonly exitStatus = 75;
}

/** The peer may not do this. */
export class NotPermitted extends AdmissionError {
  static override readonly codes = ["not_permitted"];
  static override readonly exitStatus = 77;
}

/** The configuration file or an environment variable is wrong. */
export class BadConfiguration extends AdmissionError {
  static override readonly codes = ["bad_configuration"];
  static override readonly exitStatus = 78;
}

const KINDS = [
  BadRequest,
  BadFrame,
  Unreachable,
  Unavailable,
  NoSlot,
  LeaseLost,
  AlreadyServed,
  NotPermitted,
  BadConfiguration,
] as const;
const BY_CODE = new Map<string, (typeof KINDS)[number]>(
  KINDS.flatMap((kind) => kind.codes.map((code) => [code, kind] as const)),
);

/** The connection is gone. Whether the request was carried out is not known. */
export class Disconnected extends Unreachable {
  constructor() {
    super('the daemon closed the connection; see "admission status"');
  }
}

/** The error that stands for an error reply; an unknown code is a plain AdmissionError. */
export function errorFor(code: string, message: string): AdmissionError {
  return new (BY_CODE.get(code) ?? AdmissionError)(message, code);
}

/** What to throw where no connection can be made. */
export function nobodyAnswers(path: string, why: string): Unreachable {
  return new Unreachable(
    `no daemon answers at ${path} (${why}); start one with "admission serve"`,
  );
}

/** A connection is made, and nothing comes; what was asked will be read when that changes. */
export class Stuck extends Unreachable {
  constructor(path: string) {
    super(`the daemon at ${path} does not answer; is it stopped?`);
  }
}

/** The message of whatever was thrown. */
export function messageOf(problem: unknown): string {
  return problem instanceof Error ? problem.message : String(problem);
}
