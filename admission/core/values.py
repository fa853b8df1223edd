"""Values: compared by what they hold, and never changed once they are made.

That nobody changes one is for the type checker to hold, as it does for a frozen dataclass. At run
time, freezing would make each of them three times as dear to make, and a step makes a dozen.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(kind: type[T]) -> type[T]:
    """A class whose fields are given when it is made, with slots, equality and a hash."""
    return dataclass(slots=True, unsafe_hash=True)(kind)
