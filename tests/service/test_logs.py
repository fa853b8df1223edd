"""How the daemon's log is written."""

import json
import logging
import sys

import pytest

from admission.service import logs
from admission.service.logs import JsonLines


def line_of(**extra: object) -> dict[str, object]:
    record = logging.LogRecord(
        "admission.service.ending", logging.WARNING, "ending.py", 1, "%s ends\n", ("it",), None
    )
    for name, value in extra.items():
        setattr(record, name, value)
    text = JsonLines().format(record)
    assert "\n" not in text
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_a_line_is_one_object_with_time_level_room_and_message() -> None:
    found = line_of()
    assert str(found.pop("time")).endswith("+00:00")
    assert found == {"level": "warning", "room": "ending", "message": "it ends\n"}


def test_a_line_that_concerns_a_lease_or_a_waiter_has_its_number() -> None:
    assert line_of(lease=7)["lease"] == 7
    assert line_of(ticket=8)["ticket"] == 8


def test_a_traceback_stands_in_the_same_line() -> None:
    try:
        raise ValueError("of this test")
    except ValueError:
        found = line_of(exc_info=sys.exc_info())
    assert "ValueError: of this test" in str(found["traceback"])


@pytest.mark.parametrize(
    ("given", "environment", "is_json"),
    [
        (None, None, False),
        (None, "json", True),
        ("text", "json", False),
        ("json", None, True),
        (None, "nonsense", False),
    ],
)
def test_the_command_line_goes_before_the_environment(
    given: str | None, environment: str | None, is_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment is not None:
        monkeypatch.setenv("ADMISSION_LOG_FORMAT", environment)
    handlers: list[logging.Handler] = []
    monkeypatch.setattr(logging, "basicConfig", lambda **how: handlers.extend(how["handlers"]))
    logs.log_to_stderr(given)
    assert isinstance(handlers[0].formatter, JsonLines) is is_json
