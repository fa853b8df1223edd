"""The judge of the torture, on records made by hand: each wrong is found, and honest runs pass."""

import pytest

from scripts.torture.judge import judge
from scripts.torture.reading import Change, Rules, Violation, levels_between
from scripts.torture.records import Record

RULES = Rules({"agents": (2, 1), "operations": (1, 1)}, grace_s=9.0)


class Story:
    """Records in the order of their instants, whoever tells them."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def note(self, kind: str, at: float, **facts: object) -> None:
        self.records.append({"kind": kind, "at": at, **facts})

    def ask(self, who: int, at: float, *, bound: str = "process", **other: object) -> None:
        about = {"pool": "agents", "weight": 1, "rank": "normal", "request": "", **other}
        self.note("asked", at, ask=f"{who}.1", who=who, bound=bound, **about)

    def tell(self, who: int, at: float, fence: int, free_until: float | None = None) -> None:
        """Until when it was known to have nothing: a moment before, unless given."""
        free_until = at - 0.05 if free_until is None else free_until
        self.note("told", at, ask=f"{who}.1", fence=fence, free_until=free_until)

    def hold(self, who: int, since: float, until: float, fence: int, **about: object) -> None:
        self.ask(who, since - 0.1, **about)  # type: ignore[arg-type]
        self.tell(who, since, fence)
        self.end(who, until)

    def end(self, who: int, at: float, kind: str = "ending", **facts: object) -> None:
        self.note(kind, at, ask=f"{who}.1", **facts)

    def kill(self, who: int, at: float) -> None:
        self.note("killing", at, who=who)

    def level(self, level: int, before: float, after: float | None) -> None:
        self.note("level", before, after=after, level=level)

    def judged(self) -> list[Violation]:
        # As in a file that many write to: by when it was written, not by whom.
        return judge(sorted(self.records, key=lambda record: float(str(record["at"]))), RULES)

    def kinds(self) -> list[str]:
        return [one.kind for one in self.judged()]


@pytest.fixture
def story() -> Story:
    return Story()


def test_nothing_happened(story: Story) -> None:
    assert story.kinds() == []


# --- units out ----------------------------------------------------------------------------------


def test_as_many_as_there_is_room_for_are_no_wrong(story: Story) -> None:
    story.hold(1, 1.0, 3.0, fence=1)
    story.hold(2, 1.5, 4.0, fence=2)
    story.hold(3, 3.0, 5.0, fence=3)  # as the first one ends
    assert story.kinds() == []


def test_one_too_many_is_found_with_all_who_were_out(story: Story) -> None:
    story.hold(1, 1.0, 3.0, fence=1)
    story.hold(2, 1.5, 4.0, fence=2)
    story.hold(3, 2.0, 5.0, fence=3)
    (found,) = story.judged()
    assert found.kind == "over-admission"
    assert "3 units of agents" in found.what
    assert {record["ask"] for record in found.evidence} == {"1.1", "2.1", "3.1"}


def test_weights_count_and_pools_do_not_mix(story: Story) -> None:
    story.hold(1, 1.0, 3.0, fence=1, weight=2)
    story.hold(2, 1.5, 4.0, fence=2, pool="operations")
    assert story.kinds() == []
    story.hold(3, 2.0, 4.0, fence=3)
    assert story.kinds() == ["over-admission"]


def test_a_smaller_capacity_takes_nothing_away(story: Story) -> None:
    story.hold(1, 1.0, 5.0, fence=1)
    story.hold(2, 1.5, 5.0, fence=2)
    story.level(1, 2.0, 2.1)
    assert story.kinds() == []


def test_but_nobody_else_comes_in_after_it(story: Story) -> None:
    story.hold(1, 1.0, 5.0, fence=1)
    story.level(1, 2.0, 2.1)
    story.hold(2, 3.0, 5.0, fence=2)
    assert story.kinds() == ["over-admission"]


def test_a_grant_may_come_from_before_the_change_as_long_as_nobody_knows_better(
    story: Story,
) -> None:
    story.hold(1, 1.0, 5.0, fence=1)
    story.ask(2, 1.5)
    story.level(1, 2.0, 2.1)
    story.tell(2, 3.0, fence=2, free_until=2.05)
    story.end(2, 5.0)
    assert story.kinds() == []


def test_who_was_known_to_wait_when_the_level_had_changed_was_granted_after_it(
    story: Story,
) -> None:
    story.hold(1, 1.0, 5.0, fence=1)
    story.ask(2, 1.5)
    story.level(1, 2.0, 2.1)
    story.tell(2, 3.0, fence=2, free_until=2.15)
    story.end(2, 5.0)
    assert story.kinds() == ["over-admission"]


def test_a_change_that_nobody_confirmed_may_be_in_force_or_not(story: Story) -> None:
    story.level(1, 0.1, 0.2)
    story.level(0, 0.5, None)
    story.hold(1, 1.0, 5.0, fence=1)
    story.hold(2, 3.0, 5.0, fence=2)
    assert story.kinds() == []
    story.level(1, 6.0, 6.1)
    story.hold(3, 7.0, 9.0, fence=3)
    story.hold(4, 8.0, 9.0, fence=4)
    assert story.kinds() == ["over-admission"]


def test_the_levels_between_two_moments() -> None:
    changes = [Change(float("-inf"), float("-inf"), 0), Change(2.0, 2.1, 1), Change(4.0, 4.1, 2)]
    assert levels_between(changes, 1.0, 1.9) == {0}
    assert levels_between(changes, 1.0, 2.0) == {0, 1}
    assert levels_between(changes, 2.05, 3.0) == {0, 1}
    assert levels_between(changes, 2.1, 3.0) == {1}
    assert levels_between(changes, 2.1, 4.0) == {1, 2}


def test_who_was_killed_is_out_until_the_signal_and_no_longer(story: Story) -> None:
    for who, fence in ((1, 1), (2, 2)):
        story.ask(who, 0.9)
        story.tell(who, 1.0, fence)
    story.kill(1, 2.0)
    story.kill(2, 3.0)
    story.hold(3, 2.1, 3.0, fence=3)
    assert story.kinds() == []
    story.hold(4, 2.5, 3.0, fence=4)
    assert story.kinds() == ["over-admission"]


def test_who_left_no_word_of_its_end_is_not_reckoned_with(story: Story) -> None:
    story.ask(1, 0.9)
    story.tell(1, 1.0, fence=1)
    story.hold(2, 2.0, 4.0, fence=2)
    story.hold(3, 2.0, 4.0, fence=3)
    assert story.kinds() == []


def test_a_connection_that_came_back_was_out_all_the_while(story: Story) -> None:
    story.hold(1, 1.0, 9.0, fence=1, bound="connection")
    story.hold(2, 1.0, 9.0, fence=2)
    story.hold(3, 3.0, 4.0, fence=3)
    story.end(1, 2.0, "gone")
    assert story.kinds() == [], "nobody knows whether it is still there"
    story.end(1, 6.0, "back", gone_at=2.0, away_s=4.0)
    assert story.kinds() == ["over-admission"]


# --- order --------------------------------------------------------------------------------------


def queue_up(story: Story, **first: object) -> None:
    """The first is known to wait before the second asks."""
    story.ask(1, 1.0, **first)  # type: ignore[arg-type]
    story.note("queued", 1.5, ask="1.1", ticket=1)
    story.ask(2, 2.0)


def test_first_come_first_served(story: Story) -> None:
    queue_up(story)
    story.tell(1, 3.0, fence=1)
    story.tell(2, 3.0, fence=2)
    assert story.kinds() == []


def test_one_who_came_later_and_has_the_smaller_number_overtook(story: Story) -> None:
    queue_up(story)
    story.tell(2, 3.0, fence=1)
    story.tell(1, 3.01, fence=2)
    assert story.kinds() == ["order"]


def test_one_who_was_served_while_the_first_still_waited_overtook(story: Story) -> None:
    queue_up(story)
    story.tell(2, 3.0, fence=1)
    story.note("refused", 4.0, ask="1.1", code="timeout", free_until=3.9)
    assert story.kinds() == ["order"]


def test_whoever_asked_before_the_other_was_known_to_wait_may_come_first(story: Story) -> None:
    story.ask(1, 1.0)
    story.ask(2, 1.2)
    story.note("queued", 1.5, ask="1.1", ticket=2)
    story.tell(2, 3.0, fence=1)
    story.tell(1, 3.5, fence=2)
    assert story.kinds() == []


@pytest.mark.parametrize("about", [{"rank": "batch"}, {"weight": 2}, {"pool": "operations"}])
def test_another_class_pool_or_one_too_large_for_a_level_may_be_passed(
    story: Story, about: dict[str, object]
) -> None:
    queue_up(story, **about)
    story.tell(2, 3.0, fence=1)
    story.tell(1, 3.5, fence=2)
    assert story.kinds() == []


def test_whoever_died_or_hung_up_or_was_away_for_too_long_may_be_passed(story: Story) -> None:
    queue_up(story)
    story.tell(2, 3.0, fence=1)
    story.kill(1, 3.5)
    assert story.kinds() == []
    story.tell(1, 3.6, fence=2)
    story.note("dropped", 2.5, ask="1.1")
    assert story.kinds() == []
    story.records[-1] = {"kind": "again", "at": 2.5, "ask": "1.1", "away_s": 9.5}
    assert story.kinds() == []
    story.records[-1] = {"kind": "again", "at": 2.5, "ask": "1.1", "away_s": 8.5}
    assert story.kinds() == ["order"]


# --- numbers ------------------------------------------------------------------------------------


def test_a_number_that_is_given_twice_is_found(story: Story) -> None:
    story.hold(1, 1.0, 2.0, fence=7)
    story.hold(2, 3.0, 4.0, fence=7)
    assert story.kinds() == ["fence"]


def test_a_number_smaller_than_one_that_was_given_before_is_found(story: Story) -> None:
    story.hold(1, 1.0, 2.0, fence=7)
    story.hold(2, 3.0, 4.0, fence=6)
    assert story.kinds() == ["fence"]


def test_numbers_of_grants_at_the_same_time_come_as_they_like(story: Story) -> None:
    story.ask(1, 1.0)
    story.ask(2, 1.0)
    story.tell(1, 2.0, fence=2, free_until=1.9)
    story.tell(2, 2.1, fence=1, free_until=1.95)
    assert story.kinds() == []


def test_the_same_request_has_the_same_lease(story: Story) -> None:
    story.hold(1, 1.0, 2.0, fence=1)
    story.note("repeated", 1.5, ask="1.1", fence=1)
    assert story.kinds() == []
    story.note("repeated", 1.6, ask="1.1", fence=2)
    assert story.kinds() == ["once"]


# --- what was lost ------------------------------------------------------------------------------


def test_a_process_that_lives_keeps_its_lease(story: Story) -> None:
    story.hold(1, 1.0, 2.0, fence=1)
    story.note("lost", 2.1, ask="1.1", away_s=60.0, code="unknown_lease")
    assert story.kinds() == ["lease lost"]


def test_a_connection_keeps_its_lease_for_the_grace_and_no_longer(story: Story) -> None:
    story.hold(1, 1.0, 2.0, fence=1, bound="connection")
    story.note("lost", 12.0, ask="1.1", away_s=9.5, code="unknown_lease")
    assert story.kinds() == []
    story.note("lost", 12.0, ask="1.1", away_s=8.5, code="unknown_lease")
    assert story.kinds() == ["lease lost"]


def test_a_waiter_that_nobody_answers_is_found(story: Story) -> None:
    story.ask(1, 1.0)
    story.kill(1, 2.0)
    story.ask(2, 1.0)
    assert story.kinds() == []
    story.note("overdue", 9.0, who=2)
    assert story.kinds() == ["waiter forgotten"]


def test_one_that_has_its_answer_and_does_not_end_is_found_too(story: Story) -> None:
    story.hold(1, 1.0, 2.0, fence=1)
    story.note("overdue", 9.0, who=1)
    assert story.kinds() == ["failure"]


def test_at_rest_nothing_is_out_and_nobody_waits(story: Story) -> None:
    story.note("rest", 9.0, in_use={}, waiting={})
    assert story.kinds() == []
    story.note("rest", 9.0, in_use={"agents": 1}, waiting={})
    story.note("rest", 9.0, in_use={}, waiting={"agents": 1})
    assert story.kinds() == ["lost slot", "lost slot"]


@pytest.mark.parametrize(
    ("admitted", "waited", "then", "found"),
    [
        (2, True, True, []),
        (1, True, True, ["lost slot"]),
        (2, False, False, ["over-admission"]),
        (2, True, False, ["waiter forgotten"]),
    ],
)
def test_at_rest_as_many_as_fit_come_in_and_the_next_one_after_one_leaves(
    story: Story, admitted: int, waited: bool, then: bool, found: list[str]
) -> None:
    about = {"admitted": admitted, "next_waited": waited, "next_admitted": then}
    story.note("probe", 9.0, pool="agents", capacity=2, **about)
    assert story.kinds() == found


def test_what_an_actor_can_not_explain_is_found(story: Story) -> None:
    story.note("failed", 1.0, what="an answer that is none")
    assert story.kinds() == ["failure"]
