import pytest

from admission.core.sample import Sample
from admission.simulation.day import SHAPES
from admission.simulation.plants import PLANTS, day_of
from admission.simulation.replay import replayed, shape_of

GIB = 1 << 30


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_day_is_the_same_for_the_same_seed_and_another_for_another(
    plant: str, shape: str
) -> None:
    first, again, other = (day_of(plant, SHAPES[shape], 900, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.desktop_gib != other.desktop_gib
    assert len(first.desktop_gib) == len(first.desktop_cores) == 900
    assert [task.arrives_at for task in first.tasks] == sorted(
        task.arrives_at for task in first.tasks
    )


def test_what_arrives_on_a_day_fits_its_name() -> None:
    shape, seconds = SHAPES["16/8"], 4 * 3600
    days = {plant: day_of(plant, shape, seconds, 1) for plant in PLANTS}
    assert len(days["trickle"].tasks) < 0.7 * len(days["mix"].tasks)
    assert [task.arrives_at for task in days["herd"].tasks[:12]] == [60] * 12
    assert max(task.peak_gib for task in days["impossible"].tasks) > shape.total_gib
    assert days["leak"].leaks
    assert days["step"].steps
    assert days["faults"].sleeps
    assert days["macos"].is_like_macos


def test_a_recording_is_a_day_with_the_use_that_was_recorded() -> None:
    samples = [
        Sample(0.0, 50.0, 25.0, memory_total_bytes=8 * GIB, cpus=4.0),
        Sample(30.0, 75.0, None),
        Sample(60.0, None, 50.0),
        Sample(9_000.0, 10.0, 10.0),  # it slept; that time is left out
        Sample(9_010.0, 10.0, 10.0),
    ]
    day = replayed(samples, seed=1)
    assert (day.shape.total_gib, day.shape.cores) == (8.0, 4)
    assert day.seconds == 30 + 30 + 10
    assert day.desktop_gib[::30] == pytest.approx([4.0, 6.0, 0.8])
    assert day.desktop_cores[::30] == pytest.approx([1.0, 1.0, 0.4])


def test_a_recording_that_does_not_say_of_what_machine_is_taken_for_a_usual_one() -> None:
    assert shape_of([Sample(0.0, 50.0, 50.0)]).total_gib == 16.0
