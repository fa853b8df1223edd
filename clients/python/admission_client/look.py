"""The commands that look: leases, status, watch. None of them starts a daemon."""

import time

from admission.protocol import Frame
from admission_client.blocking import Client
from admission_client.by_hand import reserved
from admission_client.durations import said
from admission_client.granted import mapping, number, rows, text, whole, words_of
from admission_client.options import (
    JSON,
    SOCKET,
    Option,
    WrongUsage,
    parse,
    parse_count,
    take_no_words,
)
from admission_client.output import LEVEL_COLOURS, as_json, coloured, printable, table
from admission_client.recommend import first_lines

ACTS_SHOWN = 3
# Of the processes that a lease follows, as many as fit a line.
LEFT_SHOWN = 5
TOPICS = ("level", "lease", "queue", "sample", "shed")


def leases(words: list[str]) -> int:
    """Who holds what, and who waits."""
    options = parse(
        words,
        (
            Option("--pool", "only_pool", "only of this pool", "NAME"),
            Option("--task", "task", "only with this label", "LABEL"),
            Option("--pid", "pid", "only of this process", "PID", parse_count),
            Option("--fleet", "with_fleet", "and what each machine of the fleet has out"),
            JSON,
            SOCKET,
        ),
        "leases [options]",
        "Who holds what, and under it who waits, where, and why.",
    )
    take_no_words("leases", options)
    wanted = {"pool": options.only_pool, "task": options.task or None, "pid": options.pid}
    with Client(options.socket) as client:
        found = all_leases(client, {name: one for name, one in wanted.items() if one is not None})
        if options.with_fleet:
            found["fleet"] = client.ask("fleet")
    if options.json:
        print(as_json(found, indent=2))
        return 0
    print(_lease_table(rows(found, "leases")))
    if waiting := rows(found, "waiting"):
        print()
        print(queue_table(waiting))
    if options.with_fleet:
        from admission_client.fleet import pools_table  # late: few ask for it

        print()
        print(pools_table(mapping(found, "fleet")) or "the fleet has no pools")
    return 0


def all_leases(client: Client, wanted: Frame) -> Frame:
    """What `leases` answers, put together from as many answers as it takes."""
    held: list[Frame] = []
    waiting: list[Frame] = []
    after: object = [0, 0]
    while after is not None:
        part = client.ask("leases", {**wanted, "after": after})
        held += rows(part, "leases")
        waiting += rows(part, "waiting")
        after = part.get("more")
    return {"leases": held, "waiting": waiting}


def _lease_table(held: list[Frame]) -> str:
    if not held:
        return "no leases"
    head = ("LEASE", "POOL", "TASK", "PID", "STATE", "CLASS", "WEIGHT", "AGE", "FROM")
    return _with_users(
        head,
        held,
        [
            (
                whole(one, "lease"),
                text(one, "pool"),
                text(one, "task") or "-",
                whole(one, "pid") or "-",
                "stopped" if one.get("stopped_s") is not None else text(one, "state"),
                text(one, "class"),
                whole(one, "weight"),
                said(number(one, "age_s")),
                _left(one) if "left" in one else text(one, "from") or "-",
            )
            for one in held
        ],
    )


def _left(lease: Frame) -> str:
    """Whom a lease follows whose holder has exited."""
    left = lease.get("left")
    pids = [str(pid) for pid in left] if isinstance(left, list) else []
    if not pids:
        return "its holder has exited; what that left is being looked for"
    more = f" and {len(pids) - LEFT_SHOWN} more" if len(pids) > LEFT_SHOWN else ""
    return f"left by its holder: {', '.join(pids[:LEFT_SHOWN])}{more}"


def queue_table(waiting: list[Frame]) -> str:
    """Who waits, at which place, and why."""
    head = ("PLACE", "POOL", "TASK", "PID", "CLASS", "WEIGHT", "WAITED", "ABOUT", "WHY")
    return _with_users(
        head,
        waiting,
        [
            (
                whole(one, "position"),
                text(one, "pool"),
                text(one, "task") or "-",
                whole(one, "pid") or "-",
                text(one, "class"),
                whole(one, "weight"),
                said(number(one, "waiting_s")),
                "-" if one.get("eta_s") is None else said(number(one, "eta_s")),
                text(one, "reason"),
            )
            for one in waiting
        ],
    )


def _with_users(head: tuple[str, ...], found: list[Frame], lines: list[tuple[object, ...]]) -> str:
    """The table, with whose each row is where the daemon serves several users."""
    if not any("user" in one for one in found):
        return table(head, lines)
    users = [text(one, "user") for one in found]
    return table(("USER", *head), [(user, *line) for user, line in zip(users, lines, strict=True)])


def status(words: list[str]) -> int:
    """The level, why, and how full the pools are."""
    options = parse(
        words,
        (JSON, SOCKET),
        "status [options]",
        "The throttle level, why it is what it is, how full the pools are, and what to do first.",
    )
    take_no_words("status", options)
    with Client(options.socket) as client:
        found = client.ask("status")
        if options.json:
            print(as_json(found, indent=2))
        else:
            print("\n".join([_status_text(found), *first_lines(client)]))
    return 0


def alarm_text(row: Frame) -> str:
    """One alarm, for a person."""
    task = printable(row.get("task"))
    what = f"lease {whole(row, 'lease')}" if "lease" in row else f"ticket {whole(row, 'ticket')}"
    return f"{what}{f' ({task})' if task else ''} of {text(row, 'pool')}: {text(row, 'reason')}"


def _status_text(found: Frame) -> str:
    level = whole(found, "level")
    name = coloured(f"level {level} ({text(found, 'name')})", LEVEL_COLOURS[level])
    why = "; ".join(words_of(found, "reasons")) or "all calm"
    lines = [f"{name} for {said(number(found, 'level_since_s'))}: {why}"]
    if found.get("by_hand") is not None:
        left_s = mapping(found, "by_hand").get("until_s")
        until = (
            f"for another {said(left_s)}" if isinstance(left_s, (int, float)) else "until changed"
        )
        lines.append(f'set by hand {until}; "admission level auto" gives it back')
    if found.get("sample") is not None:
        lines.append(_sample_text(mapping(found, "sample")))
        if isinstance(forecast := found.get("forecast"), str):  # an older daemon has none
            lines.append(f"forecast: {printable(forecast)}")
    lines += ["", _pool_table(found)]
    over = mapping(found, "overcommitted")
    lines += [
        coloured(
            f"{pool} is overcommitted by {by}: nobody loses a lease, none is granted", "yellow"
        )
        for pool, by in over.items()
        if by
    ]
    lines += [
        f"reservation {whole(one, 'reservation')}: {reserved(one)}"
        for one in rows(found, "reservations")
    ]
    lines += [coloured(f"{pool} is paused by hand", "yellow") for pool in mapping(found, "paused")]
    lines += [coloured(one, "yellow") for one in shed_lines(found)]
    lines += [coloured(f"alarm: {alarm_text(one)}", "yellow") for one in rows(found, "alarms")]
    lines += [coloured(f"! {one}", "red") for one in words_of(found, "degraded")]
    return "\n".join(lines)


def shed_lines(found: Frame) -> list[str]:
    """What is done against pressure that remains, and what was done last; a line each."""
    if "shed" not in found:
        return []  # of an older daemon
    shed = mapping(found, "shed")
    lines = [f"advice: {shed['advice']}"] if shed.get("advice") else []
    lines += [f"lease {one} stands still for a while" for one in words_of(shed, "frozen")]
    lines += [f"lease {one} was asked to end" for one in words_of(shed, "parking")]
    for act in rows(shed, "acts")[:ACTS_SHOWN]:
        of = "" if act.get("lease") is None else f" of lease {whole(act, 'lease')}"
        ago = f"{said(number(act, 'ago_s'))} ago"
        lines.append(f"shed, {ago}: {text(act, 'rung')}{of}: {text(act, 'why')}")
    return lines


def _sample_text(sample: Frame) -> str:
    def percent(name: str) -> str:
        value = sample.get(name)
        return f"{value:.0f} %" if isinstance(value, (int, float)) else "unknown"

    memory, cpu = percent("memory_used_pct"), percent("cpu_used_pct")
    return f"memory {memory}, CPU {cpu} ({said(number(sample, 'age_s'))} ago)"


def _pool_table(found: Frame) -> str:
    in_use, waiting = mapping(found, "in_use"), mapping(found, "waiting")
    return table(
        ("POOL", "CAPACITY", "IN USE", "WAITING"),
        [
            (pool, capacity, whole(in_use, pool), whole(waiting, pool))
            for pool, capacity in mapping(found, "capacity").items()
        ],
    )


def watch(words: list[str]) -> int:
    """The news, a line each, until Ctrl-C or the daemon's end."""
    options = parse(
        words,
        (
            Option("--topics", "topics", "of level,lease,queue,sample,shed (the first 3)", "LIST"),
            JSON,
            SOCKET,
        ),
        "watch [options]",
        "The news as they come, a line each: levels, leases, the queue, samples.",
    )
    take_no_words("watch", options)
    topics = (options.topics or ",".join(TOPICS[:3])).split(",")
    for topic in topics:
        if topic not in TOPICS:
            raise WrongUsage(f'watch: there is no topic "{topic}"; there are: {", ".join(TOPICS)}')
    with Client(options.socket) as client:
        for event in client.watch(topics):
            print(as_json(event) if options.json else _event_text(event), flush=True)
    return 0


def _event_text(event: Frame) -> str:
    now = time.strftime("%H:%M:%S")
    kind = text(event, "event")
    if kind == "level":
        why = "; ".join(words_of(event, "reasons")) or "all calm"
        return printable(f"{now} level {event.get('level')} ({event.get('name')}): {why}")
    hidden = ("id", "event", "seq", "fence", "lease", "ticket", "bound", "ttl_s")
    about = [
        f"{name.removesuffix('_s')} {value}"
        for name, value in event.items()
        if name not in hidden and value not in ("", None, [])
    ]
    subject = next((f"{name} {event[name]} " for name in ("lease", "ticket") if name in event), "")
    return printable(f"{now} {subject}{kind}: {', '.join(about)}".removesuffix(": "))
