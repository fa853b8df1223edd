"""Ask the daemon for a lease before something heavy starts; it is given back by ending.

    from admission_client import lease

    with lease(task="refactor", wait=60) as granted:
        run_agent(effort=granted.params.reasoning_effort)

`admission_client.aio` has the same for trio and asyncio.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    from admission_client.leasing import lease
    from admission_client.monitor import ResourceMonitor
    from admission_client.operating import Operator

__all__ = [
    "AdmissionError",
    "BadRequest",
    "Client",
    "Lease",
    "LeaseLost",
    "NoSlot",
    "NotPermitted",
    "Operator",
    "Params",
    "ResourceMonitor",
    "Unavailable",
    "Unreachable",
    "lease",
]


# Where each of them lives, but for the errors, which are the protocol's.
_HOMES = {
    "Client": "blocking",
    "Lease": "granted",
    "Operator": "operating",
    "Params": "granted",
    "ResourceMonitor": "monitor",
    "lease": "leasing",
}


def __getattr__(name: str) -> object:
    """What is asked for, when it is first asked for: the commands come through here on their way,
    and each has use for little of it.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = f"admission_client.{_HOMES[name]}" if name in _HOMES else "admission.protocol"
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found
