"""`[throttle.learning]`, and what measuring may take."""

import re

import pytest

from admission.core.estimates import Learning
from admission.protocol import BadConfiguration
from admission.service.config import parse


def test_how_tasks_are_learnt_of_can_be_changed() -> None:
    config = parse(
        "[throttle.learning]\nenabled = true\nmargin = 2\nquantile = 0.5\nmix = false\n"
        "prior_runs = 1\nsettled = 0\nsure_runs = 4\nfailures = 5\npause_s = 6\n"
        "pause_max_s = 7\n[limits]\nmeasuring_pct = 2.5\n",
        "c.toml",
    )
    assert config.throttle.learning == Learning(
        is_on=True,
        margin=2.0,
        quantile=0.5,
        mixes=False,
        prior_runs=1.0,
        settled=0.0,
        sure_runs=4,
        failures=5,
        pause_s=6.0,
        pause_max_s=7.0,
    )
    assert config.measuring_share == 0.025
    with pytest.raises(BadConfiguration, match=re.escape('did you mean "quantile"?')):
        parse("[throttle.learning]\nquantil = 0.5\n", "c.toml")
