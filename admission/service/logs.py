"""What the daemon says on standard error: lines for people, or one JSON object a line.

A line that concerns a lease or a waiter carries its number as `lease` or `ticket`: give it as
`extra={"lease": number}`.
"""

import logging
import os
import sys
from datetime import UTC, datetime

import msgspec

from admission.protocol import Frame

FORMATS = ("text", "json")
TEXT = "%(asctime)s %(levelname)s %(message)s"
CONCERNS = ("lease", "ticket")


class JsonLines(logging.Formatter):
    """`time` (UTC), `level`, `room` (which part of the daemon), `message`, and whom it concerns."""

    def format(self, record: logging.LogRecord) -> str:
        line: Frame = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "room": record.name.rpartition(".")[2],
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in CONCERNS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def log_to_stderr(given_format: str | None = None) -> None:
    """From now on, by `$ADMISSION_LOG` from this level on, and in this format: given, or
    `$ADMISSION_LOG_FORMAT`, or text. What is unknown there is passed over; `doctor` tells of it.
    """
    level = os.environ.get("ADMISSION_LOG", "info").upper()
    known = level if level in logging.getLevelNamesMapping() else "INFO"
    handler = logging.StreamHandler(sys.stderr)
    wanted = given_format or os.environ.get("ADMISSION_LOG_FORMAT")
    handler.setFormatter(JsonLines() if wanted == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=known, handlers=[handler])
