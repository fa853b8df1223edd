"""What each task took before, as whoever asks may know it."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from admission.core.estimates import Ended, Learnt, Run
from admission.protocol import AdmissionError, Frame
from admission.service.access import Viewer
from admission.service.history.recorder import History
from admission.service.history.tasks import Wanted, habits
from admission.service.tasks import Tasks, Wish
from tests.service.members import ANN, BEN
from tests.service.stage import rows_of

pytestmark = pytest.mark.trio
MIB = 1 << 20
RUN = Run("tests", "claude", "/w", ANN, 100 * MIB, 200 * MIB, 12.5, 60.0)


def filled(path: Path, *runs: Run) -> History:
    """A history with these; it is still to be written."""
    history = History(path, "this boot", batch_s=600)
    for number, run in enumerate(runs, 1):
        history.note_run(Learnt(number, run))
    return history


def written(path: Path, *runs: Run) -> Path:
    history = filled(path, *runs)
    history.end()
    history.work()
    return path


async def test_each_task_has_its_median_and_what_19_of_20_stay_within(tmp_path: Path) -> None:
    runs = [replace(RUN, peak_bytes=n * MIB, cpu_s=2.0 * n, lasted_s=3.0 * n) for n in range(1, 21)]
    (found,) = habits(written(tmp_path / "h.db", *runs), Wanted())
    assert (found.memory_p50_bytes, found.memory_p95_bytes) == (10 * MIB, 19 * MIB)
    assert (found.cpu_p50_s, found.cpu_p95_s) == (20, 38)
    assert (found.lasted_p50_s, found.lasted_p95_s) == (30, 57)
    assert (found.runs, found.failures) == (20, 0)


async def test_what_was_cut_short_says_nothing_of_how_long_it_takes(tmp_path: Path) -> None:
    killed = replace(RUN, peak_bytes=900 * MIB, lasted_s=1.0, ended=Ended.OUT_OF_MEMORY)
    parked = replace(killed, peak_bytes=100 * MIB, ended=Ended.PARKED)
    (found,) = habits(written(tmp_path / "h.db", RUN, killed, parked), Wanted())
    assert (found.runs, found.failures, found.lasted_p50_s) == (3, 1, 60.0)
    assert found.memory_p95_bytes == 900 * MIB
    (found,) = habits(written(tmp_path / "i.db", killed), Wanted())
    assert (found.lasted_p50_s, found.cpu_p50_s) == (None, None)


async def told(history: History | None, viewer: Viewer, task: str | None = None) -> Frame:
    """The answer, with the history's thread at work."""
    tasks, has_come = Tasks(history), trio.Event()
    answers: list[Frame | AdmissionError] = []

    def answer(found: Frame | AdmissionError) -> None:
        answers.append(found)
        has_come.set()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            if history is not None:
                await nursery.start(history.run)
            nursery.start_soon(tasks.run)
            tasks.wish(Wish(viewer, task, 3600.0, answer))
            await has_come.wait()
            nursery.cancel_scope.cancel()
    (found,) = answers
    assert not isinstance(found, AdmissionError)
    return found


async def test_what_was_noted_last_is_told_though_its_batch_is_not_due(tmp_path: Path) -> None:
    (row,) = rows_of(await told(filled(tmp_path / "h.db", RUN), Viewer()), "tasks")
    assert (row["task"], row["runs"]) == ("tests", 1)
    assert "user" not in row


async def test_another_users_tasks_are_the_operators_alone_to_see(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    runs = (RUN, replace(RUN, uid=BEN), replace(RUN, uid=BEN, task="secret"))
    mine = rows_of(await told(filled(path, *runs), Viewer(ANN, False, True)), "tasks")
    assert [(one["user"], one["task"]) for one in mine] == [(str(ANN), "tests")]
    all_ = rows_of(await told(History(path, "boot"), Viewer(0, True, True)), "tasks")
    assert len(all_) == 3
    hidden = await told(History(path, "boot"), Viewer(ANN, False, True), "secret")
    assert hidden == {"tasks": [], "left_out": 0}


async def test_without_a_history_there_are_none() -> None:
    assert await told(None, Viewer()) == {"tasks": [], "left_out": 0}
