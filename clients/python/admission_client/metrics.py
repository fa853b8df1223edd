"""The command `metrics`: what the daemon counts, for Prometheus or as JSON."""

import sys
from pathlib import Path

from admission.protocol import BadConfiguration
from admission_client.blocking import Client
from admission_client.files import replace_file
from admission_client.options import JSON, SOCKET, Option, WrongUsage, parse, take_no_words
from admission_client.output import as_json

MODE = 0o644  # whoever gathers it is another user as a rule


def metrics(words: list[str]) -> int:
    """Prints it, or puts it into a file."""
    options = parse(
        words,
        (
            Option("--output", "output", "put it into this file, whole or not at all", "FILE"),
            JSON,
            SOCKET,
        ),
        "metrics [options]",
        "What the daemon counts, in Prometheus' text format: units, waits, holds, refusals, the\n"
        "level, the machine. A file is for the textfile collector of node_exporter; its name ends\n"
        "in .prom there.",
    )
    take_no_words("metrics", options)
    if options.json and options.output:
        raise WrongUsage("metrics: --output takes Prometheus' format; leave --json out")
    with Client(options.socket) as client:
        found = client.ask("metrics")
    if options.json:
        print(as_json(found, indent=2))
        return 0
    try:
        from admission_client.exposition import exposition  # late: an extra brings what it needs
    except ModuleNotFoundError:
        raise BadConfiguration(
            "metrics: Prometheus' format needs the package prometheus-client: "
            'pip install "admission[metrics]"; --json does without'
        ) from None
    data = exposition(found).decode()
    if options.output:
        _write(Path(options.output), data)
    else:
        sys.stdout.write(data)
    return 0


def _write(path: Path, data: str) -> None:
    """Nobody ever reads a part of it.

    Raises:
        BadConfiguration: it can't be written there.
    """
    try:
        replace_file(path, data, MODE)
    except OSError as problem:
        raise BadConfiguration(
            f"metrics: {path} can't be written ({problem.strerror}); name another file"
        ) from None
