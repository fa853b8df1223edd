"""Which of a session's subagents hold leases: a small machine, and the file it lives in.

A subagent is asked for under the name of a tool's call, and ends under a name of its own; which
belongs to which, events may tell late, twice or never. Leases of one session are alike, so what
has to be right is how many are held: each that was taken is given back once, whatever it is
called.
"""

import fcntl
import os

from admission.protocol import AdmissionError, Frames, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STATE_BYTES_MAX = 60_000
# So many ids of some 40 characters fit the file.
ENDED_KEPT = 300
PARTS = ("held", "ended", "unleased", "lent")


class Subagents:
    """`held`: the calls that took a lease, oldest first, each with the subagent it led to, or "".
    `ended`: the subagents that are over, and `unleased` those that began without a lease. `lent`:
    the calls whose lease was given back for another subagent than theirs, which then has to give
    back the other's.
    """

    def __init__(
        self,
        held: dict[str, str] | None = None,
        ended: list[str] | None = None,
        unleased: list[str] | None = None,
        lent: list[str] | None = None,
    ) -> None:
        self.held = held or {}
        self.ended = ended or []
        self.unleased = unleased or []
        self.lent = lent or []

    def take(self, use: str) -> None:
        """A lease is asked for under this name."""
        self.held.setdefault(use, "")

    def drop(self, use: str) -> None:
        """It was refused."""
        self.held.pop(use, None)

    def began(self, agent: str, use: str = "") -> None:
        """A subagent runs, by this call where that is known."""
        if not agent or agent in self.ended or agent in self.held.values():
            return
        mine = use if self.held.get(use) == "" else self._oldest_unbound()
        if mine:
            self.held[mine] = agent
        elif agent not in self.unleased:
            self.unleased.append(agent)

    def over(self, agent: str = "", use: str = "") -> str:
        """A subagent has ended: the name under which a lease is to be given back; "" for none."""
        agent = agent or self._evict(use)
        if agent in self.ended:
            return ""
        if agent:
            self.ended = [*self.ended, agent][-ENDED_KEPT:]
        if agent in self.unleased:
            self.unleased.remove(agent)
            return ""
        by_agent = (taken for taken, who in self.held.items() if agent and who == agent)
        mine = next(by_agent, "") or (use if use in self.held else "")
        if not mine and (agent or use in self.lent):
            mine = self._oldest_unbound()
        self.lent = [lent for lent in self.lent if lent != use]
        if mine and mine != use:
            self.lent = [*self.lent, mine][-ENDED_KEPT:]
        self.held.pop(mine, None)
        return mine

    def _evict(self, use: str) -> str:
        """The subagent that led to this call, after any that was only put down to it was put
        down to another; "" where there is none.
        """
        agent, other = self.held.get(use, ""), self._oldest_unbound()
        if not agent or not other:
            return agent
        self.held[use], self.held[other] = "", agent
        return ""

    def _oldest_unbound(self) -> str:
        return next((use for use, who in self.held.items() if not who), "")


def change(path: str, act: "Callable[[Subagents], str | None]") -> str:
    """One step of the machine in this file, alone; what `act` returns, or "".

    What can't be read counts as nothing: leases that are forgotten by it end with the agent.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = _read(file)
        answer = act(state) or ""
        data = encode({name: getattr(state, name) for name in PARTS})
        os.ftruncate(file, 0)
        os.pwrite(file, data, 0)
        return answer
    finally:
        os.close(file)


def _read(file: int) -> Subagents:
    try:
        found = Frames().feed(os.pread(file, STATE_BYTES_MAX + 4, 0))[0]
        held, *lists = [found[name] for name in PARTS]
    except (AdmissionError, IndexError, KeyError):  # torn, empty, or of another version
        return Subagents()
    if isinstance(held, dict) and all(isinstance(one, list) for one in lists):
        return Subagents(held, *lists)  # type: ignore[arg-type]
    return Subagents()
