"""The command `explain`: why this level, why the wait, and what takes the machine."""

from admission.protocol import Frame
from admission_client.blocking import Client
from admission_client.durations import said
from admission_client.granted import number, rows, text, whole, words_of
from admission_client.look import queue_table, shed_lines
from admission_client.options import JSON, SOCKET, parse, take_no_words
from admission_client.output import LEVEL_COLOURS, as_json, coloured, table

GIB = 1 << 30


def explain(words: list[str]) -> int:
    """Why it is as it is."""
    options = parse(
        words,
        (JSON, SOCKET),
        "explain [options]",
        "Why the level is what it is, source by source; what would have to change; who waits and\n"
        "why; and what takes most of the machine, by what it belongs to.",
    )
    take_no_words("explain", options)
    with Client(options.socket) as client:
        found = client.ask("explain")
    print(as_json(found, indent=2) if options.json else _explanation(found))
    return 0


def _explanation(found: Frame) -> str:
    level = whole(found, "level")
    parts = [
        coloured(f"level {level} ({text(found, 'name')})", LEVEL_COLOURS[level]),
        "\n".join(f"  {reason}" for reason in words_of(found, "reasons") or ["all calm"]),
    ]
    if wanted := words_of(found, "to_fall"):
        parts += ["", "for it to fall:", *(f"  {one}" for one in wanted)]
    parts += ["", _source_table(rows(found, "sources"))]
    if found.get("forecasts"):  # an older daemon has none
        parts += ["", _forecast_table(rows(found, "forecasts"))]
    if shed := shed_lines(found):
        parts += ["", *shed]
    if waiting := rows(found, "waiting"):
        parts += ["", queue_table(waiting)]
        if more := whole(found, "more_waiting"):
            parts.append(f'and {more} more; "admission leases" lists them')
    if isinstance(score := found.get("waits_foretold"), dict):  # an older daemon has none
        parts += ["", _said_of_waits(score)]
    for title, key in (("most CPU", "by_cpu"), ("most memory", "by_memory")):
        if heaviest := rows(found, key):
            parts += ["", _consumer_table(title, heaviest)]
    return "\n".join(parts)


def _said_of_waits(score: Frame) -> str:
    near, error = number(score, "within_two"), number(score, "error")
    return (
        f"waits foretold: {near:.0%} of the last {whole(score, 'waits')} were right within a "
        f"factor of two; half were off by less than {error:.0%}"
    )


def _source_table(sources: list[Frame]) -> str:
    return table(
        ("SOURCE", "READS", "BOUNDS", "LEVEL", "FOR"),
        [
            (
                text(one, "what"),
                _percent(one),
                " ".join(f"{float(bound):g}" for bound in words_of(one, "below_pct")) or "-",
                whole(one, "level"),
                said(number(one, "for_s")) if one.get("level") else "-",
            )
            for one in sources
        ],
    )


def _forecast_table(forecasts: list[Frame]) -> str:
    return table(
        ("FORECAST", "SAYS", "OF", "ERROR", "UNFORESEEN", "ACTS", "WHY"),
        [
            (
                f"{text(one, 'what')} {text(one, 'kind')}",
                _foreseen(one),
                said(number(one, "ahead_s")),
                *(
                    "-" if one.get(key) is None else f"{number(one, key):.1f}"
                    for key in ("mae", "persistence_mae")
                ),
                "yes" if one.get("on") else "no",
                text(one, "why"),
            )
            for one in forecasts
        ],
    )


def _foreseen(forecast: Frame) -> str:
    if forecast.get("value_pct") is None:
        return "-"
    value_pct = f"{number(forecast, 'value_pct'):.0f} %"
    if forecast.get("low_pct") is None:
        return value_pct
    low_pct, high_pct = number(forecast, "low_pct"), number(forecast, "high_pct")
    return f"{value_pct} ({low_pct:.0f} to {high_pct:.0f})"


def _percent(source: Frame) -> str:
    value = source.get("value_pct")
    if isinstance(value, (int, float)):
        return f"{value:.1f} %"
    return text(source, "reason") or "-"


def _consumer_table(title: str, consumers: list[Frame]) -> str:
    return table(
        (title.upper(), "LEASE", "PID", "PROCESSES", "CPUS", "MEMORY"),
        [
            (
                text(one, "name") or "(not yours)",
                one.get("lease") or "-",
                whole(one, "pid") or "-",
                whole(one, "processes"),
                "-" if one.get("cpus") is None else f"{number(one, 'cpus'):.1f}",
                f"{whole(one, 'rss_bytes') / GIB:.1f} GiB",
            )
            for one in consumers
        ],
    )
