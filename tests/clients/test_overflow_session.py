"""The near side of a session, with others at the far end that fail at every step."""

import json
import sys
from pathlib import Path

import pytest
import trio

from admission.protocol import Unreachable
from admission_client.overflow.nodes import Settings, read_settings
from admission_client.overflow.order import END, KEEP, Order
from admission_client.overflow.reach import NodeFailed, NodeRefused
from admission_client.overflow.session import Ending, Session

pytestmark = pytest.mark.trio

BANNER = "import sys; out = sys.stdout.buffer; out.write(b'admission-receive 1\\n'); "
FRAMES = (
    "from admission.protocol import encode; "
    "say = lambda kind, **more: (out.write(encode({'kind': kind, **more})), out.flush()); "
)
ADMITTED = "say('admitted', lease=b'{\"lease\": 7}', kept_in='/there/7.log'); "
WAITS = "sys.stdin.read()"


def reached_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, more: str = ""
) -> Settings:
    """The node `b`, at which this Python answers."""
    path = tmp_path / "c.toml"
    monkeypatch.setenv("ADMISSION_CONFIG", str(path))
    runner = json.dumps([sys.executable, "-c", code])
    path.write_text(f"[overflow]\nconnect_s = 20\n{more}[overflow.nodes.b]\nrunner = {runner}\n")
    return read_settings()


def session(settings: Settings, on_disconnect: str = END) -> Session:
    order = Order(["true"], [], "/", {}, on_disconnect)
    return Session(settings.nodes["b"], settings, order, "/")


async def failure(settings: Settings) -> str:
    async with trio.open_nursery() as nursery:
        with pytest.raises(NodeFailed) as caught:
            await session(settings).open(nursery)
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('nothing of ours')", "node b failed: exit status 0"),
        ("import sys; sys.exit('no such pod')", "node b failed: no such pod"),
        ("import os; os._exit(127)", "node b has no admission; install it there, or say where"),
        (
            "import sys; print('admission-receive 9'); sys.stdin.read()",
            "node b speaks version 9 of this, and we 1: install the same version of admission on "
            "both",
        ),
        (BANNER + "out.flush(); sys.exit('fell')", "node b failed: fell"),
        (BANNER + "out.write(b'\\xff' * 9)", "node b failed: exit status 0"),
        (
            BANNER + FRAMES + "say('dance'); " + WAITS,
            "node b answers something that nobody understands",
        ),
        (
            BANNER + FRAMES + "say('admitted', lease=b'[]', kept_in=''); " + WAITS,
            "node b answers something that nobody understands",
        ),
    ],
)
async def test_who_does_not_answer_as_agreed_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    assert (await failure(reached_by(tmp_path, monkeypatch, code))).startswith(why)


@pytest.mark.parametrize("code", ["import time; time.sleep(600)", BANNER + "out.flush(); " + WAITS])
async def test_who_does_not_answer_at_all_is_waited_for_no_longer_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    settings = reached_by(tmp_path, monkeypatch, code)
    settings.table.connect_s = 0.2
    assert await failure(settings) in (
        "node b did not answer in time",
        "node b does not say whether it admits the command",
    )


async def test_a_refusal_is_none_of_the_nodes_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "say('refused', status=75, message='odd\\nadmission: no slot'); " + WAITS
    settings = reached_by(tmp_path, monkeypatch, BANNER + FRAMES + says)
    async with trio.open_nursery() as nursery:
        with pytest.raises(NodeRefused, match=r"^node b: no slot$") as caught:
            await session(settings).open(nursery)
    assert caught.value.status == 75


@pytest.mark.parametrize(
    ("on_disconnect", "becomes"),
    [
        (END, "the command is ended there"),
        (
            KEEP,
            "the command goes on there under lease 7, and what it says is kept in /there/7.log",
        ),
    ],
)
async def test_a_connection_that_breaks_says_what_becomes_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disconnect: str, becomes: str
) -> None:
    settings = reached_by(tmp_path, monkeypatch, BANNER + FRAMES + ADMITTED)
    async with trio.open_nursery() as nursery:
        found = await session(settings, on_disconnect).open(nursery)
        found.begin()
        with pytest.raises(Unreachable) as caught:
            await found.carry()
        await found.close()
    said = "the connection to node b broke (the connection was closed); "
    assert str(caught.value) == said + becomes


@pytest.mark.parametrize(
    ("says", "ending"),
    [
        ("say('ended', status=3)", Ending(3)),
        ("say('ended', signal='KILL')", Ending(signal="KILL")),
    ],
)
async def test_it_ends_as_it_ended_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, ending: Ending
) -> None:
    settings = reached_by(tmp_path, monkeypatch, BANNER + FRAMES + ADMITTED + says)
    async with trio.open_nursery() as nursery:
        found = await session(settings).open(nursery)
        assert found.lease == {"lease": 7}
        found.begin()
        assert await found.carry() == ending
        await found.close()
