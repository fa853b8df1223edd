"""The commands by which a hand rules the pools: reserve, unreserve, pause, unpause."""

from admission.protocol import Frame, LeaseLost
from admission_client.blocking import Client
from admission_client.durations import parse_duration, parse_when, said
from admission_client.granted import number, text, whole
from admission_client.options import (
    JSON,
    SOCKET,
    Option,
    Options,
    WrongUsage,
    parse,
    parse_class,
)
from admission_client.output import print_reply

FOR = Option("--for", "for_s", "for so long", "DURATION", parse_duration)


def reserve(words: list[str]) -> int:
    """Keeps units of a pool free for some, for a while."""
    options = parse(
        words,
        (
            Option("--class", "rank", "for critical, normal or batch", "CLASS", parse_class),
            Option("--group", "group", "for this group", "LABEL"),
            FOR,
            Option("--from", "from_s", "from then on: 14:00, or in 10m", "WHEN", parse_when),
            Option("--whole", "is_whole", "even if it leaves the others nothing at level 3"),
            JSON,
            SOCKET,
        ),
        "reserve [options] POOL UNITS",
        "Keeps units of a pool free for a class, a group, or both. Others get what is left; at\n"
        "level 3 that must be one at least, unless --whole says that it need not be.\n"
        "  admission reserve agents 1 --class critical --for 30m --whole",
    )
    match options.words:
        case [pool, units] if units.isascii() and units.isdigit():
            asked: Frame = {"pool": pool, "units": int(units)}
        case _:
            raise WrongUsage("reserve: name a pool and how many units: admission reserve agents 1")
    if options.for_s is None:
        raise WrongUsage("reserve: say for how long: --for 30m")
    if options.rank is None and not options.group:
        raise WrongUsage("reserve: say for whom: --class critical, --group LABEL, or both")
    asked |= {"for_s": options.for_s, "from_s": options.from_s, "whole": options.is_whole}
    asked |= {"class": options.rank, "group": options.group}
    with Client(options.socket, autostart=True) as client:
        reply = client.ask("reserve", asked)
    print_reply(reply, f"reservation {whole(reply, 'reservation')}: {reserved(reply)}", options)
    return 0


def unreserve(words: list[str]) -> int:
    """Ends reservations."""
    options = parse(
        words,
        (JSON, SOCKET),
        "unreserve [options] ID …",
        'Ends reservations by their numbers, which "admission status" shows.',
    )
    if not options.words or not all(one.isascii() and one.isdigit() for one in options.words):
        raise WrongUsage("unreserve: give the number of a reservation: admission unreserve 1")
    with Client(options.socket) as client:
        for one in options.words:
            reply = client.ask("unreserve", {"reservation": int(one)})
            if not reply.get("found"):
                raise LeaseLost(f'there is no reservation {one}; see "admission status"')
            print_reply(reply, f"reservation {one} is ended", options)
    return 0


def pause(words: list[str]) -> int:
    """Has nothing granted, in one pool or in all."""
    options = parse(
        words,
        (FOR, JSON, SOCKET),
        "pause [options] [POOL]",
        "Has nothing granted in a pool, or in all, until unpaused. Leases that are out stay, and\n"
        "who waits keeps its place.",
    )
    asked: Frame = {} if options.for_s is None else {"for_s": options.for_s}
    for_ = "" if options.for_s is None else f" for {said(options.for_s)}"
    return _ask("pause", asked, f"paused{for_}", options)


def unpause(words: list[str]) -> int:
    """Has leases granted again."""
    options = parse(
        words,
        (JSON, SOCKET),
        "unpause [options] [POOL]",
        "Has leases granted again, in a pool or in all.",
    )
    return _ask("unpause", {}, "no longer paused", options)


def _ask(op: str, asked: Frame, what: str, options: Options) -> int:
    if len(options.words) > 1:
        raise WrongUsage(f"{op}: name one pool, or none for all: admission {op} agents")
    if options.words:
        asked["pool"] = options.words[0]
    with Client(options.socket) as client:
        reply = client.ask(op, asked)
    print_reply(reply, f"{options.words[0] if options.words else 'all pools'}: {what}", options)
    return 0


def reserved(row: Frame) -> str:
    """One reservation, for a person."""
    rank, group = row.get("class"), text(row, "group")
    whom = " ".join([*([f"class {rank}"] if rank else []), *([f"group {group}"] if group else [])])
    from_s, left_s = number(row, "from_s"), number(row, "left_s")
    when = f"for another {said(left_s)}"
    if from_s:
        when = f"in {said(from_s)}, for {said(left_s - from_s)}"
    return f"{whole(row, 'units')} of {text(row, 'pool')} for {whom}, {when}"
