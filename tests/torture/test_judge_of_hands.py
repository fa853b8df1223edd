"""What the judge makes of hands in the queue, on records made by hand: wrongs and none."""

import pytest

from tests.torture.test_judge import Story


class Hands(Story):
    """A story in which hands act; each request takes a tenth of a second."""

    def wish(self, kind: str, at: float, *, answered: bool = True, **facts: object) -> None:
        self.note(kind, at, after=at + 0.1, answered=answered, **facts)

    def reserve(self, at: float, *, for_s: float = 10.0, number: int = 1, **other: object) -> None:
        about = {"pool": "agents", "units": 1, "rank": "critical", "group": "", "from_s": 0.0}
        facts: dict[str, object] = {"number": number, "for_s": for_s, **about, **other}
        self.wish("reserve", at, **facts)  # type: ignore[arg-type]

    def look(self, at: float, *numbers: int, paused: tuple[str, ...] = ()) -> None:
        self.wish("looked", at, reservations=list(numbers), paused=list(paused))

    def pause(self, at: float, for_s: float | None = None) -> None:
        self.wish("pause", at, pools=["agents"], for_s=for_s)

    def waits(self, who: int, at: float, **about: object) -> None:
        self.ask(who, at, **about)  # type: ignore[arg-type]
        self.note("queued", at + 0.1, ask=f"{who}.1", ticket=who)


@pytest.fixture
def story() -> Hands:
    return Hands()


# --- reservations -------------------------------------------------------------------------------


def test_others_have_what_is_not_reserved_and_those_who_are_meant_have_the_rest(
    story: Hands,
) -> None:
    story.reserve(1.0)
    story.hold(1, 2.0, 5.0, fence=1)
    story.hold(2, 2.0, 5.0, fence=2, rank="critical")
    assert story.kinds() == []


def test_one_of_the_others_that_takes_what_is_kept_is_found(story: Hands) -> None:
    story.reserve(1.0)
    story.hold(1, 2.0, 5.0, fence=1)
    story.hold(2, 2.5, 5.0, fence=2)
    assert story.kinds() == ["reservation"]


def test_what_was_out_before_may_stay_out(story: Hands) -> None:
    story.hold(1, 0.5, 5.0, fence=1)
    story.hold(2, 0.6, 5.0, fence=2)
    story.reserve(1.0)
    assert story.kinds() == []


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ({"rank": None, "group": "red"}, ["reservation"]),
        ({"rank": "normal", "group": "red"}, ["reservation"]),
        ({"rank": None, "group": "blue"}, []),
        ({"rank": "normal", "group": "blue"}, []),
        ({"rank": "normal"}, []),
        ({"pool": "operations"}, []),
    ],
)
def test_for_whom_it_is(story: Hands, about: dict[str, object], found: list[str]) -> None:
    story.reserve(1.0, **about)  # type: ignore[arg-type]
    for who in (1, 2):
        story.hold(who, 2.0, 5.0, fence=who, group="blue")
    assert story.kinds() == found


def test_nothing_is_proved_before_its_answer_after_its_end_or_without_either(
    story: Hands,
) -> None:
    story.reserve(1.95)  # who came just now may have come before
    for who in (1, 2):
        story.hold(who, 2.0, 3.0, fence=who)
    story.wish("unreserve", 4.0, number=1, found=True)
    for who in (3, 4):
        story.hold(who, 5.0, 6.0, fence=who)
    story.reserve(6.5, number=2, for_s=0.5)
    story.reserve(6.5, number=0, answered=False)
    for who in (5, 6):
        story.hold(who, 8.0, 9.0, fence=who)
    assert story.kinds() == []


def test_one_that_begins_later_counts_once_something_that_came_after_that_was_answered(
    story: Hands,
) -> None:
    story.reserve(1.0, from_s=1.0)
    for who in (1, 2):
        story.hold(who, 3.0, 4.0, fence=who)
    assert story.kinds() == [], "a daemon that is stopped may have granted this long ago"
    story.look(2.5, 1)
    assert story.kinds() == ["reservation"]


def test_where_one_may_be_meant_by_another_nothing_is_said(story: Hands) -> None:
    story.reserve(1.0)
    story.reserve(1.0, number=0, rank="normal", answered=False)
    for who in (1, 2):
        story.hold(who, 2.0, 4.0, fence=who)
    assert story.kinds() == []


# --- pauses -------------------------------------------------------------------------------------


def test_a_grant_while_it_is_paused_is_found(story: Hands) -> None:
    story.pause(1.0)
    story.hold(1, 2.0, 3.0, fence=1)
    assert story.kinds() == ["pause"]


@pytest.mark.parametrize("over", ["its time", "a hand", "another pause", "a hand at once"])
def test_a_pause_ends(story: Hands, over: str) -> None:
    story.pause(1.0, for_s=0.5 if over == "its time" else None)
    match over:
        case "a hand":
            story.wish("unpause", 1.9, pools=["agents"], answered=False)
        case "a hand at once":
            story.wish("unpause", 0.95, pools=["agents"])
        case "another pause":
            story.pause(1.4, for_s=0.1)
        case _:
            pass
    story.hold(1, 2.0, 3.0, fence=1)
    assert story.kinds() == []


# --- the queue ----------------------------------------------------------------------------------


def move(story: Hands, at: float, who: int, *, found: bool = True) -> None:
    story.wish("move", at, ask_of=f"{who}.1", ticket=who, found=found)


def test_whom_a_hand_moved_may_pass_and_another_may_not(story: Hands) -> None:
    for who in (1, 2, 3):
        story.waits(who, who)
    move(story, 5.0, 3)
    for fence, who in enumerate((3, 1, 2), 1):
        story.tell(who, 5.0 + fence, fence)
        story.end(who, 5.5 + fence)
    assert story.kinds() == []


def test_who_was_put_ahead_and_is_served_last_was_not(story: Hands) -> None:
    story.waits(1, 1.0)
    story.waits(2, 2.0, group="red")
    move(story, 3.0, 2)
    story.tell(1, 4.0, 1)
    assert story.kinds() == [], "nobody knows about the other"
    story.tell(2, 5.0, 2)
    assert story.kinds() == ["move"]
    story.reserve(3.5, rank="normal")
    assert story.kinds() == [], "it may have been reserved for it"


@pytest.mark.parametrize("how", ["not there", "moved too", "granted before", "away"])
def test_who_was_put_ahead_may_come_later_where(story: Hands, how: str) -> None:
    story.waits(1, 1.0)
    story.waits(2, 2.0, group="red")
    move(story, 3.0, 2, found=how != "not there")
    story.tell(1, 4.0, 1, free_until=3.05 if how == "granted before" else None)
    story.tell(2, 5.0, 2)
    if how == "moved too":
        move(story, 3.0, 1)
    if how == "away":
        story.note("dropped", 2.5, ask="2.1")
    assert story.kinds() == []


def test_who_was_taken_out_gets_nothing_unless_it_asked_again(story: Hands) -> None:
    story.waits(1, 1.0)
    story.wish("cancel", 2.0, ask_of="1.1", ticket=1, found=True)
    assert story.kinds() == []
    story.tell(1, 3.0, 1)
    assert story.kinds() == ["cancel"]
    story.note("again", 2.5, ask="1.1", away_s=0.1)
    assert story.kinds() == []


# --- what stands --------------------------------------------------------------------------------


def test_what_is_listed_is_what_stands(story: Hands) -> None:
    story.reserve(1.0)
    story.pause(1.0)
    story.look(2.0, 1, paused=("agents",))
    assert story.kinds() == []
    story.look(3.0, 1)
    story.look(4.0, paused=("agents",))
    assert story.kinds() == ["word lost", "word lost"]


def test_what_was_taken_back_is_not_there_again(story: Hands) -> None:
    story.reserve(1.0)
    story.wish("unreserve", 2.0, number=1, found=True)
    story.look(2.05, 1)
    story.look(3.0)
    assert story.kinds() == []
    story.look(4.0, 1)
    assert story.kinds() == ["word lost"]


# --- what one sets oneself ----------------------------------------------------------------------


def test_who_had_to_start_by_a_moment_is_not_granted_after_it(story: Hands) -> None:
    story.waits(1, 1.0, by_s=1.0)
    story.tell(1, 4.0, 1)
    assert story.kinds() == [], "a daemon that is stopped may have granted this in time"
    story.level(0, 3.0, None)
    assert story.kinds() == []
    story.level(0, 3.0, 3.1)
    assert story.kinds() == ["deadline"]


def test_who_wished_to_be_asked_to_end_is_asked_in_time_and_not_before(story: Hands) -> None:
    about = {"max_hold_s": 1.0, "end_after_max": True}
    story.hold(1, 2.0, 3.5, fence=1, **about)
    story.note("told to end", 3.1, ask="1.1")
    assert story.kinds() == []
    story.hold(2, 4.0, 9.0, fence=2, **about)
    story.note("overdue", 9.0, who=2)
    assert "end" in story.kinds()
    story.note("told to end", 4.5, ask="2.1")
    assert "end" in story.kinds()
    story.records[-1]["at"] = 5.5
    assert story.kinds() == ["failure"]
