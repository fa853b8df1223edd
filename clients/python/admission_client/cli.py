"""The command `admission`: a table of commands, each imported when it is called."""

import gc
import os
import sys

from admission.protocol import AdmissionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Name, module, function, what it does.
COMMANDS = (
    ("run", "hold", "run", "wait for a lease, then become a command"),
    ("acquire", "hold", "acquire", "take a lease for a script, and print its id"),
    ("release", "hold", "release", "give leases back"),
    ("renew", "hold", "renew", "start the ttl of leases anew"),
    ("hook", "hook", "hook", "answer an agent's hook, or have it ask: install, uninstall, status"),
    ("shim", "shim", "shim", "admit a program that is started as ever, by a wrapper"),
    ("mcp", "mcp", "mcp", "a server by which an agent asks for slots itself"),
    ("autopilot", "autopilot", "autopilot", "run a list of tasks, some at a time, under admission"),
    ("receive", "overflow.keeper", "receive", "run a command for another node"),
    ("leases", "look", "leases", "who holds what, and who waits"),
    ("status", "look", "status", "the throttle level, why, and how full the pools are"),
    ("explain", "explain", "explain", "why this level, why the wait, and what takes the machine"),
    ("watch", "look", "watch", "the news as they come"),
    ("top", "top", "top", "the level, the leases and the queue, live on the whole screen"),
    ("history", "history", "history", "what the machine and the leases did, over time"),
    ("dashboard", "dashboard", "dashboard", "a live page of all this, in the browser"),
    ("metrics", "metrics", "metrics", "what the daemon counts, for Prometheus"),
    ("recommend", "recommend", "recommend", "what is worth doing now, why, and how"),
    ("tasks", "habits", "tasks", "what each task took before: memory, CPU, time"),
    ("simulate", "chores", "simulate", "what other settings would have done, on simulated days"),
    ("level", "steer", "level", "show the throttle level, or set it by hand"),
    ("reserve", "by_hand", "reserve", "keep units of a pool free for some, for a while"),
    ("unreserve", "by_hand", "unreserve", "end a reservation"),
    ("pause", "by_hand", "pause", "have nothing granted for a while"),
    ("unpause", "by_hand", "unpause", "have leases granted again"),
    ("queue", "queue", "queue", "who waits, in order; move and cancel who does"),
    ("drain", "queue", "drain", "have nothing granted, and wait until nobody holds anything"),
    ("fleet", "fleet", "fleet", "the nodes that work together; cordon, drain and uncordon one"),
    ("throttle", "measure", "throttle", "one look at the machine, and what it calls for, as JSON"),
    ("guard", "measure", "guard", "whether the machine is fit to start agents"),
    ("reload", "steer", "reload", "have the daemon read its configuration anew"),
    ("orphans", "orphans", "orphans", "what outlived its lease, and an end to it"),
    ("doctor", "doctor", "doctor", "what is wrong with the installation, and what to do"),
    ("completion", "completion", "completion", "what a shell completes command lines by"),
    ("serve", "steer", "serve", "the daemon"),
    ("service", "service", "service", "have systemd or launchd start the daemon"),
)
# New objects until Python looks for garbage; by itself every 700. What a command imports stays, and
# to look at it again and again is a fifteenth of the time that `run` takes.
NEW_OBJECTS_MAX = 20_000
# What a shell shows of a program that ends by SIGPIPE.
EXIT_BROKEN_PIPE = 141
BY_NAME = {name: (module, function) for name, module, function, _ in COMMANDS}


def main(words: list[str] | None = None) -> int:
    """Runs one command; its exit status."""
    if words is None:
        words = sys.argv[1:]
        gc.set_threshold(NEW_OBJECTS_MAX)
    _replace_closed_streams()
    try:
        return _run(words)
    except AdmissionError as problem:
        _explain(problem, words)
        return problem.exit_status
    except KeyboardInterrupt:
        return _die_by_sigint()
    except BrokenPipeError:
        # Whoever read us has enough, as in `admission watch | head`. Nothing is left to be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _replace_closed_streams() -> None:
    """Who closed one, as in `2>&-`, wants to see nothing of it. Python has None in its place."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 -- until the process ends


def _run(words: list[str]) -> int:
    name = words[0] if words else "--help"
    if name in BY_NAME:
        module, function = BY_NAME[name]
        command: Callable[[list[str]], int]
        # Not by `importlib`, which brings `warnings` along, and `run` has no use for either.
        command = getattr(__import__(f"admission_client.{module}", fromlist=[function]), function)
        status = command(words[1:])
        sys.stdout.flush()  # so that a reader who went away is noticed here
        return status
    if name in ("-h", "--help", "help"):
        if len(words) > 1 and words[1] in BY_NAME:
            return _run([words[1], "--help"])
        print(_usage())
        return 0
    if name in ("-V", "--version", "version"):
        from admission import __version__  # importing it costs nothing, naming it here reads well

        print(f"admission {__version__}")
        return 0
    print(_unknown(name), file=sys.stderr)
    return 2


def _usage() -> str:
    lines = [f"  {name:<10} {about}" for name, _, _, about in COMMANDS]
    return "\n".join(
        [
            "usage: admission COMMAND [options]",
            "",
            "One semaphore for the agents of this machine, sized by what it can bear.",
            "",
            *lines,
            "",
            '"admission COMMAND --help" says more. The daemon starts by itself when it is needed.',
        ]
    )


def _unknown(name: str) -> str:
    import difflib  # late: only mistakes need it

    close = difflib.get_close_matches(name, BY_NAME, n=1)
    hint = f'did you mean "{close[0]}"?' if close else '"admission --help" lists them'
    return f'admission: there is no command "{name}"; {hint}'


def _explain(problem: AdmissionError, words: list[str]) -> None:
    try:
        print(f"admission: {problem}", file=sys.stderr)
    except OSError:
        # Nobody reads it; the exit status says it too, unless what is left fails again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    before_command = words[: words.index("--")] if "--" in words else words
    if "--json" in before_command:
        from admission_client.output import as_json

        print(as_json({"error": {"code": problem.code, "message": str(problem)}}))


def _die_by_sigint() -> int:
    """Ends as a program does that leaves Ctrl-C alone, so that a calling script stops too."""
    import signal  # late: `run` hardly ever comes here

    sys.stderr.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)
    return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
