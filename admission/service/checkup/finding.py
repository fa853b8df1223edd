"""What a check says."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

# Says what it did. Raises OSError or AdmissionError where it could not.
Mend = Callable[[], str]


class State(StrEnum):
    """`WARNING`: it works, and something is to be known or done. `PROBLEM`: it does not."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        state: how it is.
        says: one sentence.
        advice: what to do; empty where there is nothing to be done.
        mend: does it, where that is safe.
    """

    name: str
    state: State
    says: str
    advice: str = ""
    mend: Mend | None = None


def ok(name: str, says: str) -> Finding:
    return Finding(name, State.OK, says)


def warning(name: str, says: str, advice: str, mend: Mend | None = None) -> Finding:
    return Finding(name, State.WARNING, says, advice, mend)


def problem(name: str, says: str, advice: str, mend: Mend | None = None) -> Finding:
    return Finding(name, State.PROBLEM, says, advice, mend)
