"""The command itself: what it needs, where it keeps its token, when it opens a browser."""

import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from admission.protocol import BadConfiguration
from admission_client.dashboard import dashboard, serving
from admission_client.dashboard.door import Door


def test_a_missing_extra_is_one_sentence_that_says_how_to_add_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [one for one in sys.modules if one.startswith("admission_client.dashboard.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypercorn", None)
    monkeypatch.setitem(sys.modules, "hypercorn.config", None)
    with pytest.raises(BadConfiguration, match=r'pip install "admission\[dashboard\]"'):
        dashboard(["--no-open"])


@pytest.mark.parametrize("written", ["-1", "65536", "x", "", "\uff18\uff10"])
def test_what_is_no_port_is_told(written: str) -> None:
    with pytest.raises(SystemExit) as end:
        dashboard(["--port", written])
    assert end.value.code == 2


def test_a_token_is_kept_for_the_next_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = serving.kept_token(str(file))
    assert serving.kept_token(str(file)) == token
    assert file.read_text() == f"{token}\n"


def test_a_file_that_can_t_keep_a_token_is_one_sentence(tmp_path: Path) -> None:
    open_to_others = tmp_path / "open"
    open_to_others.write_text("x" * 32)
    open_to_others.chmod(0o644)
    short, binary, link = tmp_path / "short", tmp_path / "binary", tmp_path / "link"
    short.write_text("short")
    binary.write_bytes(b"\xff" * 40)
    link.symlink_to(short)
    for path in (short, binary):
        path.chmod(0o600)
    for path, why in (
        (open_to_others, "chmod 600"),
        (short, "holds no token"),
        (binary, "it is no text"),
        (link, "can't keep the token"),
        (tmp_path, "can't keep the token"),
        (tmp_path / "no" / "folder", "No such file"),
    ):
        with pytest.raises(BadConfiguration, match=why):
            serving.kept_token(str(path))


@pytest.mark.parametrize(
    ("environment", "is_there"),
    [
        ({}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "w"}, True),
        ({"BROWSER": "w3m"}, True),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="there is always a display on macOS")
def test_a_browser_is_opened_where_there_is_a_display(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_there: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert serving.has_display() is is_there


@pytest.mark.trio
async def test_what_the_browser_is_opened_with_lets_in_once() -> None:
    answers: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError

    door = Door(nothing_inside, 80, "t" * 32, is_read_only=False)
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/"}
    scope["headers"] = [(b"host", b"127.0.0.1:80")]
    scope["query_string"] = f"token={door.ticket}".encode()
    for _ in range(2):
        await door(scope, receive, send)
    assert [one["status"] for one in answers if "status" in one] == [303, 403]


async def nothing_inside(*_: object) -> None:
    raise AssertionError
