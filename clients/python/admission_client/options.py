"""The options of the commands, as one table; read quickly where they can be.

`argparse` takes as long to import as `admission run` may take in all. So the usual case is read by
a few lines of our own, and whatever these do not expect (a mistake, `--help`, an abbreviation) is
left to `argparse`, built from the same table.
"""

from admission.protocol import BadRequest
from admission_client.durations import parse_duration, parse_when

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

CLASSES = ("critical", "normal", "batch")
JOBSERVER_STYLES = ("fifo", "pipe")
HOLDS = ("process", "tree", "connection")
NESTED = ("share", "new")
PARK_SIGNALS = ("TERM", "INT", "HUP", "USR1", "USR2", "none")
AGENTS = ("claude", "codex", "gemini")
LOG_FORMATS = ("text", "json")
# In the place of everything else: only say what there is. Nobody types it.
SHOW = "--show-table"


class WrongUsage(BadRequest):
    """The command line itself is wrong."""

    exit_status = 2


class Option:
    """One option. It stores what `convert` makes of its word, or `constant` if it takes none."""

    __slots__ = ("constant", "convert", "dest", "help", "metavar", "names")

    def __init__(
        self,
        names: str,
        dest: str,
        help_: str,
        metavar: str = "",
        convert: "Callable[[str], object]" = str,
        constant: object = True,
    ) -> None:
        self.names = names.split()
        self.dest = dest
        self.help = help_
        self.metavar = metavar
        self.convert = convert
        self.constant = constant


class Options:
    """What was given on the command line; what was not is here. `words`: what follows them."""

    socket: str | None = None
    pool: str = "agents"
    only_pool: str | None = None
    weight: int = 1
    task: str = ""
    class_: str = "normal"
    group: str = ""
    ttl_s: float | None = None
    by_s: float | None = None
    max_hold_s: float | None = None
    end_after_max: bool = False
    defer: bool = False
    hold: str = "process"
    wait_s: float | None = None
    pid: int | None = None
    for_s: float | None = None
    from_s: float = 0.0
    rank: str | None = None
    is_whole: bool = False
    end: str = "front"
    then_unpause: bool = False
    with_fleet: bool = False
    since_s: float = 7200.0
    points: int | None = None
    is_ascii: bool = False
    interval_s: float = 1.0
    topics: str | None = None
    config: str | None = None
    log_format: str | None = None
    output: str | None = None
    port: int = 7411
    no_open: bool = False
    read_only: bool = False
    token_file: str | None = None
    agents: int = 5
    results: str | None = None
    logs: str | None = None
    lease_fd: int | None = None
    start_fd: int | None = None
    overflow: bool = False
    overflow_after_s: float | None = None
    labels: str = ""
    pass_env: str = ""
    tty: bool = False
    nested: str = "share"
    park_signal: str | None = None
    resumes: int | None = None
    keeps_effort: bool = False
    jobserver: bool = False
    jobserver_style: str | None = None
    agent: str | None = None
    operations: str | None = None
    is_project: bool = False
    folder: str | None = None
    always: bool = False
    dry_run: bool = False
    memory_used_pct: float | None = None
    cpu_used_pct: float | None = None
    min_memory_bytes: int | None = None
    workspace: str | None = None
    policy: str | None = None
    agents_at_rest: int | None = None
    bounds_by: float | None = None
    recorded_s: float | None = None
    plant: str = "mix"
    shape: str = "16/8"
    hours: int = 6
    seeds: int = 4
    only_level: bool = False
    json: bool = False
    quiet: bool = False
    detach: bool = False
    replace: bool = False
    force: bool = False
    fix: bool = False
    stop: bool = False
    yes: bool = False
    grace_s: float = 10.0
    words: list[str]

    def __init__(self) -> None:
        self.words = []


class OneOf:
    """Reads an option's word that has to be one of these; `else_` says what any other is. Whoever
    completes command lines offers `words`.
    """

    __slots__ = ("else_", "instead", "words")

    def __init__(
        self, words: tuple[str, ...], else_: str, instead: "dict[str, str] | None" = None
    ) -> None:
        self.words = words
        self.else_ = else_
        self.instead = instead or {}

    def __call__(self, written: str) -> str:
        if written in self.words:
            return written
        raise ValueError(self.instead.get(written) or f'"{written}" {self.else_}')


parse_class = OneOf(CLASSES, f"is no class; write {', '.join(CLASSES)}")
NO_HOLD = f"is nothing to hold a lease by; write {', '.join(HOLDS)}"
parse_hold = OneOf(HOLDS, NO_HOLD)
parse_log_format = OneOf(LOG_FORMATS, f"is no format; write {', '.join(LOG_FORMATS)}")
# For a lease whose holder is another process than the one that asks for it.
parse_hold_of_another = OneOf(
    ("process", "tree"),
    NO_HOLD,
    {
        "connection": '"connection" is for "admission run": what only acquires closes its own at '
        "once"
    },
)
# How a jobserver is named to those who use it, in the words of GNU make.
parse_style = OneOf(
    JOBSERVER_STYLES, f"is no style of jobserver; write {', '.join(JOBSERVER_STYLES)}"
)
# What becomes of a request from within an admitted process.
parse_nested = OneOf(NESTED, f"is neither of {' and '.join(NESTED)}")
# How one is asked to end under pressure.
parse_park_signal = OneOf(PARK_SIGNALS, f"is none of {', '.join(PARK_SIGNALS)}")
parse_agent = OneOf(AGENTS, f"has no hooks that we know; write {', '.join(AGENTS)}")


def parse_count(written: str) -> int:
    """A whole number from 1 up."""
    if written.isascii() and written.isdigit() and int(written) > 0:
        return int(written)
    raise ValueError(f'"{written}" is no whole number from 1 up')


def parse_descriptor(written: str) -> int:
    """The number of an open file descriptor."""
    if written.isascii() and written.isdigit():
        return int(written)
    raise ValueError(f'"{written}" is no file descriptor')


def parse_leases(command: str, options: Options) -> list[int]:
    """The numbers of the leases that the command is about."""
    if not options.words:
        raise WrongUsage(f'{command}: name a lease; "admission leases" lists them')
    try:
        return [parse_count(word) for word in options.words]
    except ValueError as problem:
        raise WrongUsage(f"{command}: a lease is named by its number: {problem}") from None


def check_limits(command: str, options: Options) -> None:
    """Refuses an end after a bound that was not given, and where and when to go without going."""
    if options.end_after_max and not options.max_hold_s:
        raise WrongUsage(f'{command}: "--end-after-max" needs "--max-hold 2h", after which to end')
    if (options.labels or options.overflow_after_s is not None) and not options.overflow:
        name = "--labels" if options.labels else "--overflow-after"
        raise WrongUsage(f'{command}: "{name}" is for "--overflow"')


def take_no_words(command: str, options: Options) -> None:
    """Refuses words where the command takes none."""
    if options.words:
        raise WrongUsage(f'{command}: "{options.words[0]}" is one word too many')


SOCKET = Option("--socket", "socket", "the daemon's socket", "PATH")
JSON = Option("--json", "json", "print JSON")
AGENT = Option("--agent", "agent", "claude, codex or gemini", "NAME", parse_agent)
OPERATIONS = Option(
    "--operations",
    "operations",
    'how heavy commands begin, with commas: "make, npm test"; "none" for none',
    "LIST",
)
QUIET = Option("-q --quiet", "quiet", "say nothing while waiting")
POOL = Option("--pool", "pool", "the pool to take units of (agents)", "NAME")
# What is asked of the wait and of the lease, also of each of an autopilot's tasks.
LIMITS = (
    Option("--by", "by_s", "start by then or not at all: 18:00, or in 20m", "WHEN", parse_when),
    Option("--defer", "defer", "wait until the load is low, at the latest until --by (8h)"),
    Option(
        "--max-hold", "max_hold_s", "alarm when it is held for longer", "DURATION", parse_duration
    ),
    Option("--end-after-max", "end_after_max", "then ask its holder to end, too (SIGTERM)"),
)
CLAIM = (
    POOL,
    Option("--weight", "weight", "how many units to take (1)", "N", parse_count),
    Option("--task", "task", "a label: what it is for", "LABEL"),
    Option("--class", "class_", "critical, normal or batch (normal)", "CLASS", parse_class),
    Option("--group", "group", "whatever should share fairly", "LABEL"),
    Option("--agent", "agent", "a label: which program works (the command's name)", "LABEL"),
    Option("--workspace", "workspace", "a label: where (the root of the repository)", "LABEL"),
    Option(
        "--nested",
        "nested",
        "in an admitted process: share its lease, or a new one (share)",
        "HOW",
        parse_nested,
    ),
    Option(
        "--ttl", "ttl_s", "end the lease after so long, unless renewed", "DURATION", parse_duration
    ),
    Option(
        "--wait",
        "wait_s",
        "wait at most so long: 500ms, 30s, 10m, 2h (for ever)",
        "DURATION",
        parse_duration,
    ),
    Option("--no-wait", "wait_s", "take a slot now or not at all", constant=0.0),
    *LIMITS,
    QUIET,
    SOCKET,
)


class Shown(Exception):
    """What a command has, in place of doing anything: for whoever completes command lines."""

    def __init__(self, table: tuple[Option, ...], usage: str) -> None:
        super().__init__(usage)
        self.table = table
        self.usage = usage


def parse(words: list[str], table: tuple[Option, ...], usage: str, about: str) -> Options:
    """The options of a command, and the words after them.

    Args:
        words: what follows the command's name.
        table: the options it has.
        usage: what it looks like, `run [options] -- COMMAND [ARGUMENT …]`.
        about: a sentence or more for `--help`.

    Raises:
        SystemExit: with 0 after `--help`, with 2 after saying what is wrong.
        Shown: that was asked for.
    """
    if words[-1:] == [SHOW]:
        raise Shown(table, usage)
    quick = _parse_quickly(words, table)
    return _parse_thoroughly(words, table, usage, about) if quick is None else quick


def _parse_quickly(words: list[str], table: tuple[Option, ...]) -> Options | None:
    """None where there is anything that needs more than a look."""
    by_name = {name: option for option in table for name in option.names}
    found = Options()
    rest = iter(words)
    is_ended = False
    for word in rest:
        if word == "--":
            is_ended = True
            break
        if not word.startswith("-"):
            found.words.append(word)
            break
        name, is_joined, value = word.partition("=")
        option = by_name.get(name)
        if option is None or (is_joined and not option.metavar):
            return None
        if option.metavar and not is_joined:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
        try:
            setattr(
                found, option.dest, option.convert(value) if option.metavar else option.constant
            )
        except ValueError:
            return None
    found.words += rest
    # Options behind the first word are options only where the command takes no other command.
    return found if is_ended or not any(w.startswith("-") for w in found.words) else None


def _parse_thoroughly(
    words: list[str], table: tuple[Option, ...], usage: str, about: str
) -> Options:
    parser = build_parser(table, usage, about)
    found = parser.parse_args(words, namespace=Options())
    if _takes_command(usage) and found.words[:1] == ["--"]:
        del found.words[0]  # argparse leaves it there where it leaves the rest alone
    return found


def _takes_command(usage: str) -> bool:
    """Whether all behind the first word is a command of its own."""
    return "COMMAND" in usage


def build_parser(table: tuple[Option, ...], usage: str, about: str) -> "argparse.ArgumentParser":
    """The same table as a parser of the standard library, which explains itself."""
    import argparse  # late: see the module

    def checked(convert: "Callable[[str], object]") -> "Callable[[str], object]":
        def convert_or_explain(written: str) -> object:
            try:
                return convert(written)
            except ValueError as problem:
                raise argparse.ArgumentTypeError(str(problem)) from None

        return convert_or_explain

    parser = argparse.ArgumentParser(
        prog="admission " + usage.split()[0],
        usage="admission " + usage,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option in table:
        if option.metavar:
            parser.add_argument(
                *option.names,
                dest=option.dest,
                metavar=option.metavar,
                help=option.help,
                type=checked(option.convert),
            )
        else:
            parser.add_argument(
                *option.names,
                dest=option.dest,
                action="store_const",
                const=option.constant,
                help=option.help,
            )
    nargs = "..." if _takes_command(usage) else "*"
    parser.add_argument("words", nargs=nargs, help=argparse.SUPPRESS)
    return parser
