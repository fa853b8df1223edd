"""The commands that steer: serve, level, reload."""

from admission.protocol import Frame
from admission_client.blocking import Client
from admission_client.durations import parse_duration, said
from admission_client.granted import text, whole
from admission_client.options import (
    JSON,
    SOCKET,
    Option,
    WrongUsage,
    parse,
    parse_log_format,
    take_no_words,
)
from admission_client.output import print_reply

LEVELS = ("0", "1", "2", "3")


def serve(words: list[str]) -> int:
    """The daemon, in the foreground."""
    options = parse(
        words,
        (
            SOCKET,
            Option("--config", "config", "the configuration file", "FILE"),
            Option("--detach", "detach", "go to the background once it serves, with a log file"),
            Option("--replace", "replace", "end the daemon that serves there, and take over"),
            Option(
                "--log-format",
                "log_format",
                "how its log is written: text, json",
                "FORMAT",
                parse_log_format,
            ),
        ),
        "serve [options]",
        "The daemon, in the foreground until SIGTERM or Ctrl-C. Leases outlive it: the next one\n"
        "takes them over.",
    )
    take_no_words("serve", options)
    # The one place where a client starts the service; the rest knows only its protocol.
    from admission.service import serve as service

    return service.run(
        options.socket,
        options.config,
        detach=options.detach,
        replace=options.replace,
        log_format=options.log_format,
    )


def level(words: list[str]) -> int:
    """Shows the level, sets it by hand, or gives it back to the governor."""
    options = parse(
        words,
        (
            Option("--for", "for_s", "only for so long", "DURATION", parse_duration),
            JSON,
            SOCKET,
        ),
        "level [options] [0|1|2|3|off|auto]",
        "Shows the throttle level, sets it by hand, or gives it back to the governor (auto).\n"
        "A level set by hand leaves the memory budget on; `off` is level 0 without it.",
    )
    with Client(options.socket, autostart=bool(options.words)) as client:
        reply = client.ask("level", _wanted(options.words, options.for_s))
    until = f" for {said(options.for_s)}" if options.for_s else ""
    line = f"level {whole(reply, 'level')} ({text(reply, 'name')}){until}"
    print_reply(reply, line, options)
    return 0


def reload(words: list[str]) -> int:
    """Has the daemon read its configuration anew."""
    options = parse(
        words,
        (JSON, SOCKET),
        "reload [options]",
        "Has the daemon read its configuration anew, as SIGHUP does. No lease is lost; where the\n"
        "new configuration is wrong, the old one stays.",
    )
    take_no_words("reload", options)
    with Client(options.socket) as client:
        print_reply(client.ask("reload"), "the configuration was read anew", options)
    return 0


def _wanted(words: list[str], for_s: float | None) -> Frame:
    match words:
        case []:
            if for_s is not None:
                raise WrongUsage("level: --for goes with a level: admission level 2 --for 10m")
            return {}
        case ["off"]:
            return {"off": True} | ({} if for_s is None else {"for_s": for_s})
        case ["auto"]:
            if for_s is not None:
                raise WrongUsage('level: "auto" has no end; leave --for out')
            return {"auto": True}
        case [number] if number in LEVELS:
            return {"set": int(number)} | ({} if for_s is None else {"for_s": for_s})
    raise WrongUsage(f'level: "{" ".join(words)}" is no level; write 0, 1, 2, 3, off or auto')
