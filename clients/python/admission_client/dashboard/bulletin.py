"""What is told to pages: parts, each as it stands, and moments, each as it came; by number.

A part that changed is told as a whole, and moments are few: so nothing is queued for a page that is
away or slow, and it is right again with the next it is told.
"""

import json
from collections import deque

MOMENTS_KEPT = 120

# A number, a name, and JSON.
News = tuple[int, str, str]


class Bulletin:
    """See the module. `number` is that of the last change; it only grows."""

    def __init__(self) -> None:
        self.number = 0
        self._parts: dict[str, tuple[int, str]] = {}
        self._moments: deque[News] = deque(maxlen=MOMENTS_KEPT)

    def put(self, name: str, value: object) -> bool:
        """This part is like that from now on; whether that is a change."""
        text = _json(value)
        if self._parts.get(name, (0, ""))[1] == text:
            return False
        self.number += 1
        self._parts[name] = self.number, text
        return True

    def has(self, name: str) -> bool:
        """Whether there is such a part."""
        return name in self._parts

    def retract(self, *names: str) -> None:
        """There are no such parts any more; without names, none at all."""
        for name in names or tuple(self._parts):
            self._parts.pop(name, None)

    def add(self, name: str, value: object) -> None:
        """This happened. The oldest moments are forgotten."""
        self.number += 1
        self._moments.append((self.number, name, _json(value)))

    def since(self, number: int) -> list[News]:
        """What has changed and what happened after this number, in order."""
        news = [one for one in self._moments if one[0] > number]
        news += [(at, name, text) for name, (at, text) in self._parts.items() if at > number]
        return sorted(news)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
