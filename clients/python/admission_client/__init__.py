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
from admission_client.blocking import Client, lease
from admission_client.granted import Lease, Params

__all__ = [
    "AdmissionError",
    "BadRequest",
    "Client",
    "Lease",
    "LeaseLost",
    "NoSlot",
    "NotPermitted",
    "Params",
    "Unavailable",
    "Unreachable",
    "lease",
]
