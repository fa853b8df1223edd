"""Ask the daemon for a lease before something heavy starts; it is given back by ending.

    from admission_client import lease

    with lease(task="refactor", wait=60) as granted:
        run_agent(effort=granted.params.reasoning_effort)

`admission_client.aio` has the same for trio and asyncio.
"""

from admission.protocol import (
    AdmissionError,
    BadRequest,
    LeaseLost,
    NoSlot,
    NotPermitted,
    Unavailable,
    Unreachable,
)
from admission_client.blocking import Client
from admission_client.granted import Lease, Params

TYPE_CHECKING = False
if TYPE_CHECKING:
    from admission_client.leasing import lease
    from admission_client.monitor import ResourceMonitor

__all__ = [
    "AdmissionError",
    "BadRequest",
    "Client",
    "Lease",
    "LeaseLost",
    "NoSlot",
    "NotPermitted",
    "Params",
    "ResourceMonitor",
    "Unavailable",
    "Unreachable",
    "lease",
]


def __getattr__(name: str) -> object:
    """What is imported when it is first asked for: `admission run` comes through here, and has no
    use for it.
    """
    if name == "lease":
        from admission_client.leasing import lease

        return lease
    if name == "ResourceMonitor":
        from admission_client.monitor import ResourceMonitor

        return ResourceMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
