"""MAKEFLAGS: what is read in it, and what becomes of what stood there."""

import pytest

from admission_client.makeflags import auths, descriptors, understands_fifo, with_jobserver

FIFO = "--jobserver-auth=fifo:/run/a.fifo"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f" -j3 {FIFO}"),
        ("k", f"k -j3 {FIFO}"),  # make bundles its letters in the first word
        ("-k", f" -k -j3 {FIFO}"),
        ("k -j8 -Orecurse", f"k -Orecurse -j3 {FIFO}"),
        (" -j", f" -j3 {FIFO}"),
        (" -j 8 --no-print-directory", f" --no-print-directory -j3 {FIFO}"),
        ("--jobs=8", f" -j3 {FIFO}"),
        (" -j8 --jobserver-fds=3,4 --jobserver-auth=3,4", f" -j3 {FIFO}"),
        ("s -- A=-j8 B=x\\ \\ y", f"s -j3 {FIFO} -- A=-j8 B=x\\ \\ y"),
        (" -- A=1", f" -j3 {FIFO} -- A=1"),
        ("-- A=1", f" -j3 {FIFO} -- A=1"),
        ("--job-like=1", f" --job-like=1 -j3 {FIFO}"),
    ],
)
def test_a_jobserver_takes_the_place_of_what_was_said_of_jobs(before: str, after: str) -> None:
    assert with_jobserver(before, 3, "fifo:/run/a.fifo") == after


def test_descriptors_are_named_for_old_makes_as_well() -> None:
    assert with_jobserver("", 3, "40,41") == " -j3 --jobserver-fds=40,41 --jobserver-auth=40,41"


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, []),
        ({"MAKEFLAGS": ""}, []),
        ({"MAKEFLAGS": "k -j8"}, []),
        ({"MAKEFLAGS": f" -j3 {FIFO}"}, ["fifo:/run/a.fifo"]),
        ({"MAKEFLAGS": f"--jobserver-auth=3,4 {FIFO}"}, ["fifo:/run/a.fifo"]),  # the last one
        ({"MAKEFLAGS": "--jobserver-fds=3,4"}, ["3,4"]),
        ({"MAKEFLAGS": f" -- A={FIFO} {FIFO}"}, []),  # somebody's variable
        ({"CARGO_MAKEFLAGS": "-j --jobserver-fds=7,8 --jobserver-auth=7,8"}, ["7,8"]),
        (
            {"CARGO_MAKEFLAGS": "--jobserver-auth=7,8", "MAKEFLAGS": "--jobserver-auth=3,4"},
            ["3,4", "7,8"],
        ),
    ],
)
def test_what_an_environment_names(environ: dict[str, str], found: list[str]) -> None:
    assert [auth for _, auth in auths(environ)] == found


def test_what_was_written_is_read_again() -> None:
    for auth in ("40,41", "fifo:/run/a.fifo"):
        flags = with_jobserver("k -- A=1", 3, auth)
        assert auths({"MAKEFLAGS": flags}) == [(flags, auth)]


@pytest.mark.parametrize(
    ("auth", "pair"),
    [
        ("3,4", (3, 4)),
        ("-2,-2", None),  # make says so where there is none
        ("3", None),
        ("3,", None),
        ("", None),
        ("3,4,5", None),
        ("٣,4", None),
        ("fifo:/a", None),
    ],
)
def test_two_descriptors_or_none(auth: str, pair: tuple[int, int] | None) -> None:
    assert descriptors(auth) == pair


@pytest.mark.parametrize(
    ("said", "does"),
    [
        ("GNU Make 3.81\nCopyright", False),
        ("GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu", False),
        ("GNU Make 4.4\n", True),
        ("GNU Make 4.4.1\n", True),
        ("GNU Make 4.10\n", True),
        ("GNU Make 5\n", True),
        ("GNU Make 4.4.0.90\n", True),
        ("usage: make [-BeikNnqrstWwX]", True),  # another's make: it has no say
        ("", True),
    ],
)
def test_which_make_knows_a_named_pipe(said: str, does: bool) -> None:
    assert understands_fifo(said) is does
