"""What waiters are told of how long it may be, how that has done, and who is put off."""

import pytest
from trio.testing import MockClock

from admission.core.estimates import Recalled, Run
from admission_client.explain import _explanation
from tests.service.conftest import Start
from tests.service.stage import rest, rows_of

pytestmark = pytest.mark.trio


async def test_explain_says_how_often_the_waits_that_were_foretold_were_right(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    assert stage.ask(line, "explain")["waits_foretold"] is None
    runs = tuple(Run("build", "", "", 0, 1, 1, 1.0, 20.0) for _ in range(3))
    stage.daemon.feed(Recalled(runs))
    held = stage.hold(line, weight=5, task="build")
    stage.send(stage.connect(), "acquire", weight=5, task="build")
    await rest(30)
    stage.ask(line, "release", lease=held)
    await rest(60)
    found = stage.ask(line, "explain")
    assert found["waits_foretold"] == {"waits": 1, "error": 0.33, "within_two": 1.0}
    assert (
        "waits foretold: 100% of the last 1 were right within a factor of two; half were off by "
        "less than 33%" in _explanation(found)
    )


async def test_who_is_put_off_shows_until_when(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    line = stage.connect()
    asked = stage.send(line, "acquire", defer=True, by_s=300, task="nightly")
    await rest(100)
    (row,) = rows_of(stage.ask(line, "leases"), "waiting")
    assert row["deferred_s"] == 200.0
    assert row["reason"] == "deferred until the load is low, at the latest in 3 min"
    await rest(201)
    assert line.answer(asked)["ok"]
