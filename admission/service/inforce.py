"""The configuration in force, and what there is to say about it."""

import logging
from collections.abc import Callable

from admission.protocol import BadConfiguration
from admission.service.config import Config, load

THROTTLING_DISABLED = (
    "THROTTLING IS DISABLED by WVO_DISABLE_THROTTLE or ADMISSION_DISABLE_THROTTLE in the daemon's "
    "environment: level 0 whatever the machine says, and no memory budget"
)

log = logging.getLogger(__name__)


class InForce:
    """See the module. Once a new one was refused, `problems` says so until one is not."""

    def __init__(self, config: Config, load_config: Callable[[], Config] = load) -> None:
        self.config = config
        self._load = load_config
        self._refused: str | None = None
        self._say_if_disabled()

    def read_anew(self) -> Config:
        """As it stands now.

        Raises:
            BadConfiguration: it is wrong; the old one stays in force.
        """
        try:
            self.config = self._load()
        except BadConfiguration as problem:
            self._refused = str(problem)
            log.error("the new configuration was refused: %s", problem)
            raise
        self._refused = None
        log.info("the configuration was read anew")
        self._say_if_disabled()
        return self.config

    def problems(self) -> list[str]:
        found = [] if self.config.throttle.is_on else [THROTTLING_DISABLED]
        if self._refused is not None:
            found.append(f"the new configuration was refused: {self._refused}")
        return found

    def _say_if_disabled(self) -> None:
        if not self.config.throttle.is_on:
            log.warning("%s", THROTTLING_DISABLED)
