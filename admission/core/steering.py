"""What the pools go by: the governor's word, and the configuration."""

from admission.core.budget import BUDGETED
from admission.core.events import Configured, Restarted, Sampled, SetLevel, Woke
from admission.core.governor import Governor
from admission.core.pool import Pool

# What can change the governor's word, besides the end of a level that was set by hand.
STEERING = (Sampled, Woke, SetLevel, Configured, Restarted)


def steer(pools: dict[str, Pool], governor: Governor) -> None:
    """Lets the pools go by what the governor says now."""
    for pool in pools.values():
        pool.level = governor.row
        pool.hold_until = governor.hold_until
    if agents := pools.get(BUDGETED):
        agents.memory, agents.limit = governor.memory, governor.limit
        agents.limit_max = governor.limit_max


def configure(event: Configured, pools: dict[str, Pool], governor: Governor) -> None:
    """Other settings hold from now on. A pool that they don't name stays as it is."""
    governor.adopt(event.throttle)
    for spec in event.specs:
        if spec.name in pools:
            pools[spec.name].spec = spec
        else:
            pools[spec.name] = Pool(spec, governor.row)
