"""The commands `queue` and `drain`: who waits, in what order, and until nobody runs."""

from admission.protocol import Frame, LeaseLost
from admission_client.durations import parse_duration, said
from admission_client.granted import number, text, whole
from admission_client.operating import Operator, left_text
from admission_client.options import (
    JSON,
    QUIET,
    SOCKET,
    OneOf,
    Option,
    Options,
    WrongUsage,
    parse,
    take_no_words,
)
from admission_client.output import as_json, print_reply, table
from admission_client.waiting import Waiting

ENDS = ("front", "back")
parse_end = OneOf(ENDS, "is neither front nor back")


def queue(words: list[str]) -> int:
    """Who waits; or moves and cancels who does."""
    if words[:1] == ["move"]:
        return _move(words[1:])
    if words[:1] == ["cancel"]:
        return _cancel(words[1:])
    options = parse(
        words,
        (Option("--pool", "only_pool", "only of this pool", "NAME"), JSON, SOCKET),
        "queue [options] [move|cancel] [TICKET ...]",
        "Who waits, in order, with the ticket by which each is moved or cancelled:\n\n"
        "  admission queue move 7 --to back\n"
        "  admission queue cancel 7 8",
    )
    take_no_words("queue", options)
    with Operator(options.socket) as client:
        waiting = client.queue(options.only_pool)
    print(as_json({"waiting": waiting}, indent=2) if options.json else _queue_table(waiting))
    return 0


def _queue_table(waiting: list[Frame]) -> str:
    if not waiting:
        return "nobody waits"
    head = ("PLACE", "TICKET", "POOL", "CLASS", "GROUP", "TASK", "WAITED", "MOVED", "ABOUT", "WHY")
    return table(
        head,
        [
            (
                whole(one, "position"),
                whole(one, "ticket"),
                text(one, "pool"),
                text(one, "class"),
                text(one, "group") or "-",
                text(one, "task") or "-",
                said(number(one, "waiting_s")),
                _moved(one),
                "-" if one.get("eta_s") is None else said(number(one, "eta_s")),
                text(one, "reason"),
            )
            for one in waiting
        ],
    )


def _moved(row: Frame) -> str:
    """By what it stands where it does, beside class and group."""
    by_hand = {"front": "to front", "back": "to back"}.get(str(row.get("moved")))
    aged = "by age" if row.get("climbed") else None
    return ", ".join(filter(None, [by_hand, aged])) or "-"


def _move(words: list[str]) -> int:
    options = parse(
        words,
        (
            Option("--to", "end", "front or back of its class (front)", "END", parse_end),
            JSON,
            SOCKET,
        ),
        "queue move [options] TICKET",
        "Has a waiter stand at the front of its class, or at the back, behind those who come\n"
        "later too, until it has aged into the next class. Within fair shares no other place\n"
        "would last.",
    )
    tickets = _tickets("move", options)
    if len(tickets) != 1:
        raise WrongUsage("queue move: name one ticket: admission queue move 7 --to back")
    with Operator(options.socket) as client:
        if not client.move(tickets[0], options.end):
            raise _unknown(tickets)
    reply = {"ticket": tickets[0], "to": options.end}
    print_reply(reply, f"ticket {tickets[0]} is at the {options.end} of its class", options)
    return 0


def _cancel(words: list[str]) -> int:
    options = parse(
        words,
        (JSON, SOCKET),
        "queue cancel [options] TICKET ...",
        "Takes waiters out of the queue. Each is told so, and ends with status 75.",
    )
    unknown = []
    with Operator(options.socket) as client:
        for ticket in _tickets("cancel", options):
            if client.cancel_ticket(ticket):
                print_reply({"ticket": ticket}, f"ticket {ticket} is cancelled", options)
            else:
                unknown.append(ticket)
    if unknown:
        raise _unknown(unknown)
    return 0


def _tickets(what: str, options: Options) -> list[int]:
    numbers = [one for one in options.words if one.isascii() and one.isdigit() and len(one) < 19]
    if not numbers or len(numbers) < len(options.words) or "0" in numbers:
        raise WrongUsage(f"queue {what}: name a ticket by its number: admission queue {what} 7")
    return [int(one) for one in numbers]


def _unknown(tickets: list[int]) -> LeaseLost:
    which = " or ".join(map(str, tickets))
    return LeaseLost(f'nobody waits with ticket {which}; "admission queue" lists them')


class WaitingForEnds(Waiting):
    """Shows who still runs while a pool is drained."""

    def draw(self, left: list[Frame] | None) -> float | None:
        return self(None if left is None else {"left": left})

    def describe(self, news: Frame) -> str:
        left = news["left"]
        assert isinstance(left, list)
        return left_text(left)


def drain(words: list[str]) -> int:
    """Has nothing granted, and waits until nobody holds anything."""
    options = parse(
        words,
        (
            Option(
                "--wait", "wait_s", "wait at most so long (for ever)", "DURATION", parse_duration
            ),
            Option("--then-unpause", "then_unpause", "have leases granted again once it is empty"),
            QUIET,
            JSON,
            SOCKET,
        ),
        "drain [options] [POOL]",
        "Has nothing granted any more in a pool, and waits until nothing is out; then it stays\n"
        'paused until "admission unpause". Without POOL all are drained, one after the other, so\n'
        "that an agent that ends can still get the operations that it needs for that. Who waits\n"
        "keeps its place. Ctrl-C, or the end of --wait (status 75), has leases granted again.",
    )
    if len(options.words) > 1:
        raise WrongUsage("drain: name one pool, or none for all: admission drain agents")
    pool = options.words[0] if options.words else None
    with Operator(options.socket) as client, WaitingForEnds(quiet=options.quiet) as shown:
        client.drain(pool, options.wait_s, shown.draw, then_unpause=options.then_unpause)
    what = "grants go on" if options.then_unpause else 'paused until "admission unpause"'
    reply: Frame = {"pool": pool, "paused": not options.then_unpause}
    print_reply(reply, f"{pool or 'all pools'}: empty; {what}", options)
    return 0
