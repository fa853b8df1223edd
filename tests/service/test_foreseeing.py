"""What `explain` and `status` say of forecasts, and what the configuration says to them."""

import pytest
import trio
from trio.testing import MockClock

from admission.core.foresight import Foresight
from admission.protocol import BadConfiguration
from admission.service.config import parse
from admission_client.explain import _explanation
from admission_client.look import _status_text
from tests.service.conftest import Start
from tests.service.stage import rows_of


@pytest.mark.trio
async def test_explain_and_status_show_what_is_foreseen_and_who_acts(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    for seconds in range(0, 100, 5):
        stage.readings.memory_pct = 45 + 0.2 * seconds
        await trio.sleep(5)
        stage.daemon._pass_on(stage.readings.read(stage.daemon.clock()))
    found = stage.ask(line, "explain")
    trend, profile, *_ = rows_of(found, "forecasts")
    assert (trend["what"], trend["kind"], trend["on"]) == ("memory", "trend", False)
    assert trend["ahead_s"] == 60.0
    assert {"hits", "false_alarms", "misses", "reached", "lead_s"} <= set(trend)
    assert profile["why"] == "0.0 weeks were seen so far, 2 are wanted"
    shown = _explanation(found)
    assert "memory trend" in shown
    assert "2 are wanted" in shown
    status = stage.ask(line, "status")
    assert str(status["forecast"]).endswith("; in shadow")
    assert f"forecast: {status['forecast']}" in _status_text(status)
    del status["forecast"]  # as of an older daemon
    assert "forecast" not in _status_text(status)


@pytest.mark.parametrize(
    ("text", "foresight"),
    [
        ("", Foresight()),
        ('[forecast]\non = "shadow"\n', Foresight(on="shadow")),
        ("[forecast]\non = false\n", Foresight(on="off")),
        ("[forecast]\nhorizon_s = 30\nwindow_s = 90\n", Foresight(horizon_s=30, window_s=90)),
    ],
)
def test_the_configuration_says_what_forecasts_may_do(text: str, foresight: Foresight) -> None:
    assert parse(text, "file").throttle.foresight == foresight


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("on = true", 'no forecast acts unproven; write "auto"'),
        ('on = "always"', "[forecast]: on: "),
        ("horizon_s = 1", "[forecast]: horizon_s: "),
        ("horizn_s = 60", 'did you mean "horizon_s"'),
    ],
)
def test_a_mistake_in_it_is_told(text: str, says: str) -> None:
    with pytest.raises(BadConfiguration) as problem:
        parse(f"[forecast]\n{text}\n", "file")
    assert says in str(problem.value)
