"""Has other bounds of the levels tried on what was recorded, now and then, while somebody asks for
recommendations: by a program beside the daemon, as that takes seconds of a CPU.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from math import inf

import msgspec
import trio

from admission.core.advice import Minute, Trials
from admission.core.advice_on_settings import is_worth_trying
from admission.core.levels import Levels
from admission.service.config import Config
from admission.service.facts import DAY_S
from admission.service.history.recorder import History
from admission.service.sensors.source import SAID_CHARS_MAX, one_line

# What was found out is good for a day, and of other bounds none. No sooner than this it is tried
# again, whatever became of it.
AGAIN_S, PAUSE_S = DAY_S, 3600.0
# The program takes some ten seconds on a machine at rest, and gives way to all else.
LASTS_S = 900.0
PROGRAM = ("-m", "admission.service.trying")
# Finer steps take longer, and tell no more.
SAMPLE_S = 5
# Above that, the machine has other things to do.
LEVEL_MAX = 1

log = logging.getLogger(__name__)


class Trying:
    """See the module.

    Args:
        config: gives the configuration in force.
        clock: seconds that never go back.
        history: None where none is kept; then nothing is tried.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        clock: Callable[[], float],
        history: History | None = None,
    ) -> None:
        self._config, self._clock, self._history = config, clock, history
        self._wanted = trio.Event()
        self._begun_at = -inf
        self._found_at = -inf
        self._found: Trials | None = None
        self._levels: Levels | None = None  # that it was found for

    @property
    def found(self) -> Trials | None:
        """What came of it, where it still is of the bounds in force."""
        return self._found if self._levels == self._config().levels else None

    def consider(self, minutes: Sequence[Minute], level: int) -> None:
        """Has them tried, if that is due and can make a difference. Returns at once."""
        now = self._clock()
        is_known = self._levels == self._config().levels and now - self._found_at < AGAIN_S
        if self._history is None or is_known or now - self._begun_at < PAUSE_S:
            return
        is_table = self._config().throttle.policy == "table"
        if is_table and level <= LEVEL_MAX and is_worth_trying(minutes):
            self._begun_at = now
            self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            config = self._config()
            try:
                with trio.fail_after(LASTS_S):
                    self._found = await self._tried(config)
                self._found_at, self._levels = self._clock(), config.levels
            except trio.TooSlowError:
                log.warning("other bounds of the levels were not tried within %g s", LASTS_S)
            except (OSError, subprocess.CalledProcessError, msgspec.DecodeError) as problem:
                said = one_line(str(problem), SAID_CHARS_MAX)
                log.warning("other bounds of the levels could not be tried: %s", said)

    async def _tried(self, config: Config) -> Trials | None:
        assert self._history is not None
        asked = {
            "history": str(self._history.path),
            "since": time.time() - DAY_S,
            "throttle": config.throttle,
            "pools": config.pools,
            "sample_s": max(SAMPLE_S, round(config.fast_interval_s)),
        }
        done = await trio.run_process(
            (sys.executable, "-P", *PROGRAM),
            stdin=msgspec.msgpack.encode(asked),
            capture_stdout=True,
            stderr=subprocess.DEVNULL,
        )
        return msgspec.json.decode(done.stdout, type=Trials | None)
