"""A real daemon answers as `conversations.json` says, which authors of clients go by."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from admission.protocol import Frame
from admission.service.requests import OPS
from admission_client import Client
from admission_client.granted import rows
from tests.clients.daemons import Daemon
from tests.wire.talk import Conversation, Kept, load_conversations, misfit, play

CONFIGURATION, CONVERSATIONS = load_conversations()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One for all of them: each leaves nothing behind once its connections are closed."""
    with TemporaryDirectory(prefix="adm-", dir="/tmp") as folder:
        served = Daemon(Path(folder))
        served.config.write_text(CONFIGURATION)
        served.start()
        try:
            yield served
        finally:
            served.kill()


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: one.name)
def test_the_daemon_answers_as_it_is_written(conversation: Conversation, daemon: Daemon) -> None:
    play(conversation, daemon.path)
    with Client(daemon.path) as client:
        while any(rows(client.ask("leases"), kind) for kind in ("leases", "waiting")):
            time.sleep(0.002)  # that a connection is closed is no answer to anything


def test_every_op_is_spoken_of() -> None:
    steps = [step for one in CONVERSATIONS for step in one.steps]
    said = [one for step in steps if isinstance(one := step.get("send"), dict)]
    assert {one.get("op") for one in said} >= set(OPS)


def test_every_conversation_has_a_name_of_its_own() -> None:
    assert len({one.name for one in CONVERSATIONS}) == len(CONVERSATIONS)


@pytest.mark.parametrize(
    ("wanted", "got", "problem"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, None),
        ({"a": 1}, {"a": 2}, ".a is 2 and not 1"),
        ({"a": 1}, {"a": True}, ".a is True and not 1"),
        ({"a": None}, {}, ".a is missing"),
        ({"a": [1]}, {"a": [1, 2]}, ".a is [1, 2] and not [1]"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ".a[0].b is 2 and not 1"),
        ({"a": {"is": "uint"}}, {"a": -1}, ".a is -1 and no uint"),
        ({"a": {"is": "uint"}}, {"a": False}, ".a is False and no uint"),
        ({"a": {"is": "number or null"}}, {"a": None}, None),
        ({"a": {"is": "text"}}, {"a": 0.5}, ".a is 0.5 and no text"),
        ({"a": {"kept": "it"}}, {"a": 8}, ".a is 8 and not 7"),
        ({"a": {"keep": "new"}, "b": {"kept": "new"}}, {"a": 1, "b": 1}, None),
    ],
)
def test_what_does_not_fit_is_named(wanted: Frame, got: Frame, problem: str | None) -> None:
    kept: Kept = {"it": 7}
    assert misfit(wanted, got, kept) == problem
