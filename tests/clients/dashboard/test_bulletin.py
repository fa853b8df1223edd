"""Parts and moments: what a page is told that has seen all up to some number."""

from admission_client.dashboard.bulletin import MOMENTS_KEPT, Bulletin


def test_a_part_is_told_as_a_whole_and_once() -> None:
    bulletin = Bulletin()
    assert bulletin.put("state", {"level": 0})
    assert not bulletin.put("state", {"level": 0})
    assert bulletin.put("state", {"level": 1})
    assert bulletin.since(0) == [(2, "state", '{"level":1}')]
    assert bulletin.since(2) == []


def test_all_is_told_in_its_order_and_only_what_is_newer() -> None:
    bulletin = Bulletin()
    bulletin.put("leases", [])
    bulletin.add("sample", 1)
    bulletin.put("state", 1)
    bulletin.add("sample", 2)
    bulletin.put("leases", [1])
    assert [name for _, name, _ in bulletin.since(0)] == ["sample", "state", "sample", "leases"]
    assert [name for _, name, _ in bulletin.since(3)] == ["sample", "leases"]


def test_a_part_that_is_retracted_is_told_anew() -> None:
    bulletin = Bulletin()
    bulletin.put("away", 1)
    bulletin.put("state", 1)
    bulletin.retract("away")
    assert not bulletin.has("away")
    assert [name for _, name, _ in bulletin.since(0)] == ["state"]
    bulletin.retract()
    assert bulletin.since(0) == []
    assert bulletin.put("state", 1)
    assert bulletin.since(2) == [(3, "state", "1")]


def test_no_more_moments_are_kept_than_that() -> None:
    bulletin = Bulletin()
    for number in range(MOMENTS_KEPT + 5):
        bulletin.add("sample", number)
    assert len(bulletin.since(0)) == MOMENTS_KEPT
    assert bulletin.since(0)[0] == (6, "sample", "5")


def test_text_can_t_break_out_of_its_line() -> None:
    bulletin = Bulletin()
    bulletin.put("leases", "a\n\nevent: x\r\x00\u2028</script>")
    ((_, _, text),) = bulletin.since(0)
    assert text.isprintable()
