"""What a daemon answers, for tests that need the answer and no daemon."""

from admission.protocol import Frame

PARAMS: Frame = {
    "level": 2,
    "name": "medium",
    "max_agents": 2,
    "max_concurrent": 1,
    "batch_size": 25,
    "delay_ms": 1000,
    "reasoning_effort": "medium",
}
GRANTED: Frame = {
    "id": 1,
    "ok": True,
    "lease": 42,
    "fence": 43,
    "pool": "agents",
    "weight": 1,
    "level": 2,
    "waited_ms": 12_003,
    "shared": False,
    "params": PARAMS,
}


def without(frame: Frame, name: str) -> Frame:
    """The same less one field."""
    return {key: value for key, value in frame.items() if key != name}
