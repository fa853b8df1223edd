"""What the fleet permits, kept a second time: of each fleet pool how much, and until when."""

from __future__ import annotations

from collections.abc import Mapping

from admission.core.leases import Claim
from admission.core.levels import PoolSpec
from admission.core.permits import Permitted

# Who wants to wait for less waits for so long in a fleet pool: until the fleet has been asked.
ASKED_S = 1.0


class Permits:
    """See the module. What was granted by a permit uses it up, whatever becomes of the lease."""

    def __init__(self, specs: Mapping[str, PoolSpec]) -> None:
        self._specs = specs
        self.words: dict[str, Permitted] = {}
        self.used: dict[str, int] = {}

    def hear(self, now: float, event: Permitted) -> None:
        """The last word counts, and all that was used before it is none of its."""
        if event.pool in self._specs and self._specs[event.pool].is_fleet:
            self.words[event.pool] = event
            self.used[event.pool] = 0
        self.pass_time(now)
        self.pass_time(now)

    def pass_time(self, now: float) -> None:
        for pool, word in list(self.words.items()):
            if word.until_at <= now:
                self.words[pool] = Permitted(pool, self.used[pool], word.until_at)

    def allow(self, claim: Claim) -> bool:
        """Whether as much is permitted as this one asks for."""
        return claim.weight <= self.left(claim.pool)

    def left(self, pool: str) -> int:
        word = self.words.get(pool)
        return 0 if word is None else word.units - self.used[pool]

    def use(self, claim: Claim, times: int = 1) -> None:
        """A grant uses some; one that is taken back (`times` -1) has used none."""
        if self._specs[claim.pool].is_fleet:
            self.used[claim.pool] = self.used.get(claim.pool, 0) + times * claim.weight

    def wait_s(self, pool: str, wait_s: float | None) -> float | None:
        """For how long one waits who said so."""
        is_fleet = self._specs[pool].is_fleet
        return ASKED_S if is_fleet and wait_s is not None and wait_s < ASKED_S else wait_s
