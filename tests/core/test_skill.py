"""Whether a forecast is better than none: what counts as right, and what as no help."""

from hypothesis import given
from hypothesis import strategies as st

from admission.core.skill import LEAD_MIN_S, WARNINGS_MAX, Errors, Record, Warnings

BOUNDS = (70.0, 80.0)
MARGIN_PCT, DWELL_S = 10.0, 100.0


def judged(warnings: Warnings, *readings: tuple[float, float]) -> Record:
    for at, pct in readings:
        warnings.judge(at, pct, BOUNDS, MARGIN_PCT, DWELL_S)
    return warnings.record


def test_errors_are_compared_with_those_of_no_forecast_at_all() -> None:
    errors = Errors()
    assert (errors.mae, errors.persistence_mae, errors.quantile(0.2)) == (None, None, 0.0)
    errors.note(foreseen_pct=60.0, was_pct=50.0, came_pct=58.0)
    errors.note(foreseen_pct=40.0, was_pct=50.0, came_pct=44.0)
    assert (errors.mae, errors.persistence_mae) == (3.0, 7.0)
    assert [errors.quantile(share) for share in (0.2, 0.8)] == [-2.0, 4.0]


def test_only_the_last_errors_count() -> None:
    errors = Errors(most=3)
    for error in (50.0, 1.0, 2.0, 3.0):
        errors.note(0.0, 0.0, error)
    assert (len(errors), errors.mae) == (3, 2.0)


def test_a_warning_is_right_where_its_bound_is_reached_in_time() -> None:
    warnings = Warnings()
    judged(warnings, (0.0, 60.0))
    assert warnings.warn(0.0, 70.0, within_s=60.0)
    assert judged(warnings, (30.0, 69.0), (60.0, 71.0)) == Record(1, 0, 0, 1, 60.0)


def test_a_warning_is_a_false_alarm_where_its_bound_is_not_reached_in_time() -> None:
    warnings = Warnings()
    judged(warnings, (0.0, 60.0))
    warnings.warn(0.0, 70.0, within_s=60.0)
    assert judged(warnings, (59.0, 69.0)).judged == 0
    assert judged(warnings, (61.0, 69.0)) == Record(0, 1, 0, 0, None)


def test_a_bound_that_is_reached_too_late_was_not_foreseen() -> None:
    warnings = Warnings()
    judged(warnings, (0.0, 60.0))
    warnings.warn(0.0, 70.0, within_s=60.0)
    assert judged(warnings, (70.0, 75.0)) == Record(0, 1, 1, 1, None)


def test_a_bound_that_nobody_warned_of_is_a_miss() -> None:
    assert judged(Warnings(), (0.0, 60.0), (5.0, 85.0)) == Record(0, 0, 2, 2, None)


def test_a_warning_that_comes_with_what_it_warns_of_helps_nobody() -> None:
    warnings = Warnings()
    judged(warnings, (0.0, 60.0))
    warnings.warn(0.0, 70.0, within_s=60.0)
    assert judged(warnings, (LEAD_MIN_S - 0.1, 71.0)) == Record(0, 1, 1, 1, None)


def test_what_was_reached_before_anybody_looked_is_no_miss() -> None:
    assert judged(Warnings(), (0.0, 95.0)).reached == 0


def test_while_the_level_is_up_for_a_bound_neither_a_warning_nor_reaching_it_counts() -> None:
    warnings = Warnings()
    assert judged(warnings, (0.0, 60.0), (5.0, 71.0)).misses == 1
    assert judged(warnings, (10.0, 69.0), (20.0, 71.0)).misses == 1
    # Within the margin it is not calm, however long it lasts.
    judged(warnings, (30.0, 61.0), (500.0, 61.0))
    assert not warnings.warn(500.0, 70.0, 60.0)
    assert judged(warnings, (510.0, 59.0), (599.0, 59.0), (599.5, 71.0)).misses == 1
    judged(warnings, (600.0, 59.0), (700.0, 59.0))
    assert warnings.warn(700.0, 70.0, 60.0)
    assert judged(warnings, (710.0, 71.0)).hits == 1


def test_a_warning_that_is_repeated_counts_from_the_first() -> None:
    warnings = Warnings()
    judged(warnings, (0.0, 60.0))
    warnings.warn(0.0, 70.0, 60.0)
    warnings.warn(50.0, 70.0, 60.0)
    assert judged(warnings, (60.0, 69.0)).false_alarms == 1


def test_what_was_under_way_when_the_machine_slept_is_not_judged() -> None:
    warnings = Warnings()
    judged(warnings, (0.0, 60.0))
    warnings.warn(0.0, 70.0, 60.0)
    warnings.forget()
    assert judged(warnings, (7200.0, 75.0)) == Record(0, 0, 0, 0, None)


def test_a_bound_that_the_configuration_moved_can_no_longer_be_reached() -> None:
    warnings = Warnings()
    judged(warnings, (0.0, 60.0))
    warnings.warn(0.0, 75.0, 60.0)
    assert judged(warnings, (5.0, 76.0)).false_alarms == 1


def test_enough_must_have_been_right_of_enough() -> None:
    def proven(hits: int, false_alarms: int) -> bool:
        return Record(hits, false_alarms, 0, 0, 30.0).is_proven(judged_min=10, right_min=0.7)

    assert not proven(9, 0)
    assert proven(7, 3)
    assert not proven(13, 7)


@given(st.lists(st.tuples(st.floats(0.1, 40.0), st.floats(0, 100), st.booleans()), max_size=80))
def test_whatever_comes_what_is_kept_is_bounded_and_adds_up(
    story: list[tuple[float, float, bool]],
) -> None:
    warnings, now, warned = Warnings(), 0.0, 0
    for wait_s, pct, is_warned in story:
        now += wait_s
        warnings.judge(now, pct, BOUNDS, MARGIN_PCT, DWELL_S)
        if is_warned:
            warned += warnings.warn(now, 80.0, 60.0)
        record = warnings.record
        assert record.judged <= min(warned, WARNINGS_MAX)
        assert record.misses <= record.reached <= WARNINGS_MAX
        assert record.reached - record.misses <= record.hits or record.judged == WARNINGS_MAX


# --- the same once more, by looking through the whole story each time -----------------------------

Story = list[tuple[float, float, bool]]


def is_up(story: Story, now: int, bound: float) -> bool:
    """Whether the level is up for this bound after reading `now`."""
    for reached in range(now + 1):
        if story[reached][1] < bound:
            continue
        disturbed_at, stayed = story[reached][0], True
        for at, pct, _ in story[reached : now + 1]:
            if pct >= bound - MARGIN_PCT:
                disturbed_at = at
            stayed = stayed and at - disturbed_at < DWELL_S
        if stayed:
            return True
    return False


def leads_of(story: Story, bound: float) -> list[float | None]:
    """Of each warning that was judged, in order: how early it came; None for a false alarm."""
    leads: list[float | None] = []
    opened_at: float | None = None
    for now, (at, pct, is_warned) in enumerate(story):
        if opened_at is not None:
            lead_s = at - opened_at
            if pct >= bound:
                leads.append(lead_s if LEAD_MIN_S <= lead_s <= 60.0 else None)
                opened_at = None
            elif lead_s >= 60.0:
                leads.append(None)
                opened_at = None
        if is_warned and opened_at is None and not is_up(story, now, bound):
            opened_at = at
    return leads


@given(
    st.lists(
        st.tuples(
            st.sampled_from([2.0, 10.0, 60.0, 100.0]),
            st.sampled_from([50.0, 69.0, 75.0, 85.0]),
            st.booleans(),
        ),
        max_size=25,
    )
)
def test_each_warning_is_judged_as_the_whole_story_says(
    steps: list[tuple[float, float, bool]],
) -> None:
    warnings, story, now = Warnings(), Story(), 0.0
    for wait_s, pct, is_warned in steps:
        now += wait_s
        story.append((now, pct, is_warned))
        warnings.judge(now, pct, (80.0,), MARGIN_PCT, DWELL_S)
        if is_warned:
            assert warnings.warn(now, 80.0, 60.0) != is_up(story, len(story) - 1, 80.0)
    leads = leads_of(story, 80.0)
    record = warnings.record
    assert record.judged == len(leads)
    assert record.hits == sum(lead is not None for lead in leads)
    reached = [
        number
        for number in range(1, len(story))
        if story[number][1] >= 80.0 and not is_up(story, number - 1, 80.0)
    ]
    assert record.reached == len(reached)
