"""Both clients say and hear what `tests/wire/conversations.json` has of plain questions; the rest,
which takes more than `ask`, is played by `tests/wire/test_conversations.py`.
"""

from contextlib import ExitStack
from typing import cast

import pytest

from admission.protocol import AdmissionError, Frame
from admission_client.granted import rows
from tests.clients.daemons import Daemon
from tests.clients.fronts import Front, Talk
from tests.wire.goldens import from_json
from tests.wire.talk import Conversation, Kept, filled, load_conversations, misfit


def is_plain(conversation: Conversation) -> bool:
    """Whether each step asks something that a client may ask, or is the answer to it."""
    asked, answers = conversation.steps[::2], conversation.steps[1::2]
    return len(asked) == len(answers) and all(
        isinstance(send := one.get("send"), dict)
        and isinstance(get := other.get("get"), dict)
        and "op" in send
        and isinstance(send["op"], str)
        and "ok" in get
        and (one["on"], send.get("id")) == (other["on"], get["id"])
        for one, other in zip(asked, answers, strict=True)
    )


PLAIN = [one for one in load_conversations()[1] if is_plain(one)]


def test_there_are_some() -> None:
    assert len(PLAIN) > 10


def ask(client: Talk, said: Frame) -> Frame:
    """The answer as it came, but for its id."""
    fields = {name: value for name, value in said.items() if name not in ("id", "op")}
    try:
        return client.ask(str(said["op"]), fields)
    except AdmissionError as problem:
        return {"ok": False, "error": {"code": problem.code, "message": str(problem)}}


@pytest.mark.parametrize("conversation", PLAIN, ids=lambda one: one.name)
def test_a_client_asks_and_hears_what_is_written(
    conversation: Conversation, front: Front, daemon: Daemon
) -> None:
    kept: Kept = {}
    clients: dict[object, Talk] = {}
    with ExitStack() as open_:
        for asked, answer in zip(conversation.steps[::2], conversation.steps[1::2], strict=True):
            name = asked["on"]
            if name not in clients:
                clients[name] = open_.enter_context(front.client(daemon.path))
            said = cast(Frame, from_json(filled(asked["send"], kept)))
            wanted = {**cast(Frame, answer["get"])}
            del wanted["id"]  # the client's own
            assert misfit(wanted, ask(clients[name], said), kept) is None
    daemon.wait_until(lambda: not rows(daemon.ask("leases"), "leases"))
