"""The lease in etcd under which all stands that this node has there, and until when it surely does.

etcd ends a lease when it was not renewed for its ttl; then others may have what was under it. The
node can't see that when it is cut off, so it goes by its own clock: a renewal counts from when it
was asked for, and the last tenth of the ttl is left out, as clocks don't go at quite the same rate.
What time of day it is where matters nowhere.
"""

import sys
import time
from math import inf

import trio

from admission.service.fleet.etcd import Etcd, LeaseGone

# So many renewals are due within a ttl.
BEATS = 3
MARGIN = 0.1


def boot_clock() -> float:
    """Seconds, those in which the machine slept included: etcd did not sleep."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # on macOS it goes on through sleep


class Membership:
    """See the module. `lease`: its number in etcd, 0 where there is none."""

    def __init__(self, ttl_s: float) -> None:
        self.ttl_s = ttl_s
        self.lease = 0
        self.surely_until = -inf

    @property
    def is_sure(self) -> bool:
        return boot_clock() < self.surely_until

    async def begin(self, etcd: Etcd, was: int) -> None:
        """Goes on with the lease `was` if it still lasts, or with a new one.

        Raises:
            Away: etcd can't be asked.
        """
        if was:
            try:
                self.lease = was
                await self._renew(etcd)
                return
            except LeaseGone:
                pass
        asked_at = boot_clock()
        self.lease, ttl_s = await etcd.grant(self.ttl_s)
        self._count_from(asked_at, min(ttl_s, self.ttl_s))

    async def keep(self, etcd: Etcd) -> None:
        """Renews it until cancelled.

        Raises:
            Away: etcd can't be asked, or the lease has ended.
        """
        while True:
            await trio.sleep(self.ttl_s / BEATS)
            await self._renew(etcd)

    async def _renew(self, etcd: Etcd) -> None:
        asked_at = boot_clock()
        await etcd.keep_alive(self.lease)
        self._count_from(asked_at, self.ttl_s)

    def _count_from(self, asked_at: float, ttl_s: float) -> None:
        self.surely_until = max(self.surely_until, asked_at + ttl_s * (1 - MARGIN))
