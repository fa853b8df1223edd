"""What every rule that starts tasks looks like to the simulation."""

from typing import Protocol

from admission.core.sample import Sample
from admission.simulation.day import Task


class Rule(Protocol):
    """Decides when tasks start. Instants are seconds on the clock of the events.

    Attributes:
        starts: the numbers of tasks that are to start; whoever reads them takes them out.
        changes: how often the level, or the capacity, has changed.
        sample_s: how often it is shown a sample.
        sees_instant: whether it goes by the CPU percent of an instant, as a script does.
        yields: whether tasks give their units back while they wait for an answer.
        resumes: the numbers of tasks that have their units again, likewise to be taken out.
        parks: the numbers of tasks that are asked to end and come back later, likewise.
        measures: whether it is shown what each task takes, with each sample.
    """

    starts: list[int]
    changes: int
    sample_s: int
    sees_instant: bool
    yields: bool
    resumes: list[int]
    parks: list[int]
    measures: bool

    def arrive(self, now: float, number: int, task: Task) -> None:
        """This task asks to be started."""

    def leave(self, now: float, number: int) -> None:
        """This task, which was started, has ended."""

    def rest(self, now: float, number: int) -> None:
        """This task waits for an answer, and needs no units for that."""

    def want(self, now: float, number: int) -> None:
        """It has its answer, and asks for its units again."""

    def come_back(self, now: float, number: int, task: Task, parked: int) -> None:
        """What is left of a task that was parked asks to be started."""

    def kill(self, now: float, number: int) -> None:
        """This task was killed for want of memory, and will leave."""

    def measure(self, now: float, memory_gib: dict[int, float]) -> None:
        """What the tasks that run take."""

    def sense(self, now: float, sample: Sample) -> None:
        """What the machine says."""

    def pass_time(self, now: float) -> None:
        """Comes every second, after all else."""
