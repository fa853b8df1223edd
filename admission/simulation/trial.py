"""Many days, many rules: each rule is shown the same days, on two processes at most."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from admission.core.governor import Throttle
from admission.core.levels import PoolSpec
from admission.core.sample import Sample
from admission.simulation.day import SHAPES, Day, Shape
from admission.simulation.others import Fixed, LoadAverage, Memoryless, Oracle, StallGate
from admission.simulation.ours import SAMPLE_S, Ours, earlier_runs
from admission.simulation.plants import MIX, day_of
from admission.simulation.replay import replayed
from admission.simulation.rule import Rule
from admission.simulation.run import run
from admission.simulation.score import Score, score

# As many agents as any rule here starts; with endless memory, what they do is the bound.
AGENTS_MAX = 10
PROCESSES_MAX = 2


@dataclass(frozen=True, slots=True)
class Contender:
    """A rule by name. `make` builds it for a machine, and can be sent to another process."""

    name: str
    make: Callable[[Shape], Rule]


@dataclass(frozen=True, slots=True)
class Trial:
    """The days to be run. `recording`: if there is one, the machine's own use comes from it."""

    plant: str = MIX
    shape: str = "16/8"
    hours: float = 6.0
    seeds: range = range(40)
    recording: tuple[Sample, ...] = ()

    def day(self, seed: int) -> Day:
        if self.recording:
            return replayed(self.recording, seed)
        return day_of(self.plant, SHAPES[self.shape], int(self.hours * 3600), seed)


Results = dict[str, list[Score]]


def compare(trial: Trial, contenders: Sequence[Contender], processes: int = 1) -> Results:
    """The scores of each contender, by its name, in the order of the seeds."""
    run_seed = partial(_run_seed, trial, tuple(contenders))
    if processes == 1 or len(trial.seeds) == 1:
        rows = [run_seed(seed) for seed in trial.seeds]
    else:
        with ProcessPoolExecutor(min(processes, PROCESSES_MAX)) as pool:
            rows = list(pool.map(run_seed, trial.seeds))
    return {one.name: [row[index] for row in rows] for index, one in enumerate(contenders)}


def _run_seed(trial: Trial, contenders: tuple[Contender, ...], seed: int) -> list[Score]:
    day = trial.day(seed)
    bound = run(day, Fixed(AGENTS_MAX), has_endless_memory=True)
    return [score(run(day, one.make(day.shape)), bound) for one in contenders]


# --- who contends -------------------------------------------------------------------------------


def _fixed(agents_max: int, shape: Shape) -> Rule:
    return Fixed(agents_max)


def _memoryless(sample_s: int, shape: Shape) -> Rule:
    return Memoryless(sample_s)


def _load_average(shape: Shape) -> Rule:
    return LoadAverage(AGENTS_MAX)


def _stall_gate(shape: Shape) -> Rule:
    return StallGate(AGENTS_MAX)


def _oracle(agents_max: int, shape: Shape) -> Rule:
    return Oracle(agents_max, shape.total_gib)


def _ours(
    throttle: Throttle,
    specs: tuple[PoolSpec, ...] | None,
    sample_s: int,
    kinds: dict[str, bool],
    recalls: bool,
    reserves: int,
    shape: Shape,
) -> Rule:
    runs = earlier_runs(shape) if recalls else ()
    return Ours(throttle, specs, sample_s, recalls=runs, reserves=reserves, **kinds)


def ours(
    name: str,
    throttle: Throttle,
    specs: tuple[PoolSpec, ...] | None = None,
    sample_s: int = SAMPLE_S,
    *,
    yields: bool = False,
    defers: bool = False,
    learns: bool = False,
    knows: bool = False,
    recalls: bool = False,
    reserves: int = 0,
) -> Contender:
    """The real core with these settings.

    Where it `yields`, tasks give their units back while they wait for an answer. Where it `defers`,
    those that can wait do until the load is low. Where it `learns`, it is shown what each task
    takes as it goes on, and where it `recalls`, what those of an earlier day took; where it
    `knows`, it is told beforehand. It `reserves` so many units for what is urgent, all day long.
    """
    kinds = {"yields": yields, "defers": defers, "learns": learns, "knows": knows}
    return Contender(name, partial(_ours, throttle, specs, sample_s, kinds, recalls, reserves))


DOCUMENT = Contender("document, every 30 s", partial(_memoryless, 30))
OTHERS = (
    *(Contender(f"fixed {number}", partial(_fixed, number)) for number in (1, 2, 3, 5, 10)),
    DOCUMENT,
    Contender("document, every 5 s", partial(_memoryless, 5)),
    Contender("load average", _load_average),
    Contender("stall gate", _stall_gate),
    Contender("oracle, at most 5", partial(_oracle, 5)),
    Contender("oracle, at most 10", partial(_oracle, 10)),
)
