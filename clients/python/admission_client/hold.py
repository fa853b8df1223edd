"""The commands that hold leases: run, acquire, release, renew."""

import os
import sys

from admission.protocol import BadRequest, Frame, Unreachable, socket_path
from admission_client.blocking import Client
from admission_client.durations import parse_duration, said
from admission_client.granted import (
    Lease,
    as_label,
    claim_fields,
    enclosing_lease,
    number,
    parent_lease,
    whole,
    workspace_here,
)
from admission_client.options import (
    CLAIM,
    JSON,
    SOCKET,
    Option,
    Options,
    check_limits,
    parse,
    parse_count,
    parse_descriptor,
    parse_hold,
    parse_hold_of_another,
    parse_leases,
    parse_park_signal,
    parse_style,
    take_no_words,
)
from admission_client.output import as_json, print_reply
from admission_client.waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    # Its C half: the other one makes enums of all signals first, a third of `run`'s own time.
    import _signal as signal

NOT_EXECUTABLE = 126
NOT_FOUND = 127

# From here up the command finds the connection that it inherits: scripts number their own
# descriptors from 3, shells theirs from 10, and `exec 3<file` would end the lease.
INHERITED_FROM = 40

# Also of an autopilot's tasks.
OVERFLOW = (
    Option("--overflow", "overflow", "where it would wait for long, run it on another node"),
    Option(
        "--overflow-after",
        "overflow_after_s",
        "how long is long ([overflow] after_s)",
        "DURATION",
        parse_duration,
    ),
    Option("--labels", "labels", "of nodes that have all of these: gpu,cloud", "LIST"),
)
RUN = (
    *CLAIM,
    *OVERFLOW,
    Option(
        "--pass-env",
        "pass_env",
        "variables that COMMAND finds on another node, too: LANG,API_KEY",
        "LIST",
    ),
    Option("--tty", "tty", "give COMMAND a terminal on another node, too"),
    Option("--keep-effort", "keeps_effort", "leave the agent's effort and model alone"),
    Option(
        "--hold",
        "hold",
        "what ends the lease: the end of the process, of its tree, or of the connection (process)",
        "BY",
        parse_hold,
    ),
    Option(
        "--lease-fd",
        "lease_fd",
        "write the lease as a line of JSON to this descriptor",
        "N",
        parse_descriptor,
    ),
    Option(
        "--start-fd",
        "start_fd",
        "once admitted, begin when a byte comes from this descriptor",
        "N",
        parse_descriptor,
    ),
    Option(
        "--park-signal",
        "park_signal",
        "COMMAND may be asked to end under pressure: by TERM, INT, HUP, USR1, USR2, or none",
        "NAME",
        parse_park_signal,
    ),
    Option("--resumes", "resumes", "go on with a lease that was parked", "LEASE", parse_count),
    Option("--jobserver", "jobserver", "give COMMAND a jobserver with --weight tokens"),
    Option(
        "--jobserver-style",
        "jobserver_style",
        "the same, as fifo or pipe (what the make of this machine understands)",
        "STYLE",
        parse_style,
    ),
)
ACQUIRE = (
    *CLAIM,
    Option("--pid", "pid", "the process that holds it (the caller)", "PID", parse_count),
    Option(
        "--hold",
        "hold",
        "what ends the lease: the end of the process, or of its tree (process)",
        "BY",
        parse_hold_of_another,
    ),
    JSON,
)


def run(words: list[str]) -> int:
    """Takes a lease, then becomes the command: nothing of us stays, and the lease ends with it."""
    options = parse(
        words,
        RUN,
        "run [options] -- COMMAND [ARGUMENT ...]",
        "Waits for a lease, then becomes COMMAND. The lease ends when COMMAND does.\n\n"
        "  admission run -- make test\n"
        "  admission run --wait 10m --task review -- claude -p 'review the last commit'\n\n"
        "--hold says what ends it:\n"
        "  process     COMMAND exits. Right nearly always.\n"
        "  tree        COMMAND and all that it started have exited: for one that leaves its work\n"
        "              to others, as a launcher does.\n"
        "  connection  the connection to the daemon closes, which COMMAND inherits, and whatever\n"
        "              it starts without closing it; or COMMAND exits, where the daemon can see\n"
        "              that. For a container, whose processes it can't see. If the daemon ends,\n"
        "              nobody takes such a lease up again: the next one ends it after 10 s.\n\n"
        "--overflow looks for another machine where COMMAND would wait here for long, and runs it\n"
        "there as if it ran here. The configuration names the machines ([overflow]).\n\n"
        "--jobserver has make, ninja 1.13 and cargo, and all that they start, run as many jobs at\n"
        "once as the lease has units, fewer while the machine is under pressure. Give them no -j:\n"
        "  admission run --pool operations --weight 3 --jobserver -- make\n\n"
        "--park-signal is for a COMMAND that can go on later from where it was. Where memory is\n"
        "short and the configuration allows it ([shed] policy), COMMAND gets that signal, once,\n"
        "and nothing harder. Its lease ends as parked when it ends; the exit status is its own,\n"
        "as a shell shows it: 143 where SIGTERM ended it. Whoever starts it again with --resumes\n"
        "LEASE stands at the head of its class.",
    )
    if not options.words:
        print("admission run: name a command: admission run -- make test", file=sys.stderr)
        return 2
    check_limits("run", options)
    program = _find(options.words[0])
    if isinstance(program, int):
        return program
    units = options.weight
    try:
        program_name = as_label(os.path.basename(options.words[0]))
        options.task = options.task or program_name
        options.agent = options.agent or program_name
        lease = _admit(options)
        if isinstance(lease, int):
            return lease
        os.environ.update(lease.environment())
        # What runs below asks the same daemon, and can be told to be its.
        os.environ["ADMISSION_SOCKET"] = socket_path(options.socket)
        report(lease.reply, options.lease_fd)
        _wait_for_go(options.start_fd)
        units = lease.weight
        if lease.level and not options.keeps_effort:
            from admission_client.profiles import adapted  # late: only under pressure

            options.words = adapted(options.words, lease, os.environ)
    except Unreachable as problem:
        if os.environ.get("ADMISSION_FAIL") != "open":
            raise
        print(f"admission: running without a lease: {problem}", file=sys.stderr)
    if options.jobserver or options.jobserver_style:
        from admission_client.jobserver import give_jobserver  # late: seldom needed

        style = options.jobserver_style
        give_jobserver(options.socket, units, style, program, INHERITED_FROM)
    return _become(program, options.words)


def _admit(options: Options) -> Lease | int:
    """A lease here; or the exit status of a command that ran on another node."""
    fields = _fields(options, None, parent_lease())
    # What was begun here goes on here, and what waits for a quiet hour has time.
    if options.overflow and options.resumes is None and not options.defer:
        from admission_client.overflow.contest import here_or_elsewhere  # late: seldom, and heavy

        return here_or_elsewhere(options, fields)
    return _acquire(options, fields)


def _wait_for_go(descriptor: int | None) -> None:
    if descriptor is not None:
        from admission_client.overflow.gate import wait_for_go  # late: for other nodes alone

        wait_for_go(descriptor)


def _fields(options: Options, pid: int | None, parent: int | None) -> Frame:
    return claim_fields(
        pool=options.pool,
        weight=options.weight,
        task=options.task,
        class_=options.class_,
        group=options.group,
        ttl_s=options.ttl_s,
        bound=options.hold,
        pid=pid,
        parent=parent,
        nested=options.nested,
        by_s=options.by_s,
        max_hold_s=options.max_hold_s,
        end_after_max=options.end_after_max,
        park_signal="" if options.park_signal == "none" else options.park_signal,
        resumes=options.resumes,
        agent=options.agent or "",
        workspace=workspace_here() if options.workspace is None else options.workspace,
        defer=options.defer,
    )


def _acquire(options: Options, fields: Frame) -> Lease:
    with Client(options.socket, autostart=True) as client, Waiting(quiet=options.quiet) as waiting:
        lease = client.acquire(fields, options.wait_s, waiting)
        waiting.admitted(lease)
        if options.hold == "connection" and not lease.is_shared:
            _leave_open(client.detach())
    return lease


def _leave_open(descriptor: int) -> None:
    """Has the command inherit the connection."""
    import fcntl  # late: seldom needed

    try:
        fcntl.fcntl(descriptor, fcntl.F_DUPFD, INHERITED_FROM)  # without close-on-exec
        os.close(descriptor)
    except OSError:  # so many may not be open
        os.set_inheritable(descriptor, True)


def report(reply: Frame, descriptor: int | None) -> None:
    """Writes the lease to `--lease-fd`, and closes that.

    Raises:
        BadRequest: it can't be written to.
    """
    if descriptor is None:
        return
    try:
        os.write(descriptor, as_json(reply).encode() + b"\n")
        os.close(descriptor)
    except OSError as problem:
        raise BadRequest(f"--lease-fd {descriptor}: {problem.strerror}") from None


def _find(command: str) -> str | int:
    """The command's program, or the exit status of a shell that finds none.

    Looked for before queueing: who waits an hour for a misspelt command is not amused.
    """
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    names = [command] if "/" in command else [f"{folder or '.'}/{command}" for folder in folders]
    there = [name for name in names if os.path.isfile(name)]
    for name in there:
        if os.access(name, os.X_OK):
            return name
    problem = "is not executable" if there else "was not found"
    print(f'admission run: the command "{command}" {problem}', file=sys.stderr)
    return NOT_EXECUTABLE if there else NOT_FOUND


def _become(program: str, words: list[str]) -> int:
    # Python ignores these two, and what is ignored stays so behind an exec.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    sys.stderr.flush()
    try:
        os.execv(program, words)
    except OSError as problem:
        print(f"admission run: {program}: {problem.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE


def acquire(words: list[str]) -> int:
    """Takes a lease for a script: its holder is the caller, or `--pid`."""
    options = parse(
        words,
        ACQUIRE,
        "acquire [options]",
        "Takes a lease for the calling shell or script, and prints its id. It ends when that\n"
        "process does, or by `admission release ID`.\n\n"
        "  lease=$(admission acquire --pool operations --wait 10m)\n"
        "  make test\n"
        '  admission release "$lease"',
    )
    take_no_words("acquire", options)
    check_limits("acquire", options)
    # Another process is not necessarily one that runs under our lease.
    parent = parent_lease() if options.pid is None else None
    lease = _acquire(options, _fields(options, options.pid or os.getppid(), parent))
    print_reply(lease.reply, str(lease.id), options)
    return 0


def release(words: list[str]) -> int:
    """Gives leases back."""
    options = parse(
        words,
        (Option("--force", "force", "even the lease that the caller runs under"), JSON, SOCKET),
        "release [options] LEASE ...",
        "Gives leases back. One that is not yours, but of your user's, is revoked.",
    )
    leases = parse_leases("release", options)
    with Client(options.socket) as client:
        for lease in leases:
            if lease == enclosing_lease() and not options.force:
                # `acquire` under `run` shares the lease, and a script releases what it acquired.
                said_ = f"lease {lease} is the one this runs under: it stays until that ends"
                print_reply({"lease": lease, "shared": True}, said_, options)
                continue
            reply = client.ask("release", {"lease": lease})
            print_reply({"lease": lease, **reply}, f"lease {lease} released", options)
    return 0


def renew(words: list[str]) -> int:
    """Starts the ttl of leases anew."""
    options = parse(
        words,
        (JSON, SOCKET),
        "renew [options] LEASE ...",
        "Starts the ttl of leases anew. One without a ttl needs none of it.",
    )
    leases = parse_leases("renew", options)
    with Client(options.socket) as client:
        for lease in leases:
            reply = client.ask("renew", {"lease": lease})
            has_ttl = reply.get("ttl_s") is not None
            left = f"ends in {said(number(reply, 'ttl_s'))}" if has_ttl else "has no ttl"
            print_reply(reply, f"lease {whole(reply, 'lease')} {left}", options)
    return 0
