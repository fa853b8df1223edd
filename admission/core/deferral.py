"""What is put off until the load is low: the settings, and what is written down of it."""

from dataclasses import dataclass

from admission.core.values import value


@dataclass(frozen=True, slots=True)
class Defer:
    """How what can wait is put off.

    Attributes:
        max_s: at most so long, where whoever asks does not say by when it must start.
        idle_cpu_pct: with no more CPU in use than this, the machine is idle.
        idle_s: and it must have been for so long, where nothing better is known of the load.
    """

    max_s: float = 8 * 3600.0
    idle_cpu_pct: float = 20.0
    idle_s: float = 600.0


@value
class Undeferred:
    """A waiter that was put off is one like any other from now on."""

    ticket: int
