"""The pipe of a jobserver: real FIFOs, in folders that are whose they should be."""

import fcntl
import os
import stat
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from admission.protocol import Unavailable
from admission_client.tokenpipe import FOLDER, TokenPipe, is_open, is_pipe, make_pipe
from admission_client.tokens import Tokens


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.mkdir(0o700)
    return path


@contextmanager
def made(parent: Path, units: int) -> Iterator[TokenPipe]:
    pipe = make_pipe([str(parent)], Tokens(units))
    try:
        yield pipe
    finally:
        pipe.close()


def inside(pipe: TokenPipe) -> int:
    """How many bytes wait in it."""
    found = fcntl.ioctl(pipe.reading, termios.FIONREAD, b"\0" * 4)
    return int(struct.unpack("i", found)[0])


# --- what is in it ------------------------------------------------------------------------------


def test_it_holds_what_is_allowed_but_the_one_that_the_command_has(parent: Path) -> None:
    with made(parent, 5) as pipe:
        seen = []
        for units in (5, 2, 1, 4, 9):
            pipe.tokens.allow(units)
            pipe.settle()
            seen.append((inside(pipe), len(pipe.kept), pipe.tokens.held))
        assert seen == [(4, 0, 0), (1, 3, 3), (0, 4, 4), (3, 1, 1), (4, 0, 0)]


def test_a_token_that_is_out_is_taken_when_it_comes_back_and_goes_back_as_it_came(
    parent: Path,
) -> None:
    with made(parent, 3) as pipe:
        pipe.settle()
        assert os.read(pipe.reading, 2) == b"++"
        pipe.tokens.allow(1)
        pipe.settle()
        assert pipe.tokens.to_take == 2
        os.write(pipe.writing, b"x")  # as if make told them apart one day
        pipe.settle()
        assert (inside(pipe), bytes(pipe.kept), pipe.tokens.to_take) == (0, b"x", 1)
        pipe.tokens.allow(3)
        pipe.settle()
        assert (os.read(pipe.reading, 9), pipe.tokens.held) == (b"x", 0)


def test_what_does_not_fit_stays_behind_until_there_is_room(parent: Path) -> None:
    with made(parent, 200_000) as pipe:
        pipe.settle()
        first = inside(pipe)
        assert 0 < first < 199_999
        assert first + pipe.tokens.held == 199_999
        os.read(pipe.reading, 8192)  # jobs
        pipe.settle()
        assert inside(pipe) + pipe.tokens.held == 199_999 - 8192
        assert len(pipe.kept) == pipe.tokens.held


# --- where it lies ------------------------------------------------------------------------------


def test_it_is_its_users_alone_and_goes_with_its_keeper(parent: Path) -> None:
    with made(parent, 2) as pipe:
        found = os.stat(pipe.path)
        assert stat.S_ISFIFO(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert stat.S_IMODE(os.stat(parent / FOLDER).st_mode) == 0o700
        pipe.remove()
        pipe.remove()  # once more is no error
        assert list((parent / FOLDER).iterdir()) == []


def test_those_that_nobody_has_open_are_removed_by_the_next_one(parent: Path) -> None:
    with made(parent, 2) as living:
        with made(parent, 2) as dead:
            pass
        (parent / FOLDER / "notes.txt").touch()
        (parent / FOLDER / "plain.fifo").touch()  # its name alone does not make it one
        with made(parent, 2) as new:
            left = {str(path) for path in (parent / FOLDER).iterdir()}
            assert left == {living.path, new.path, str(parent / FOLDER / "notes.txt")}
            assert dead.path not in left


def test_a_folder_that_others_can_write_to_is_none(parent: Path, tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    linked = tmp_path / "linked"
    linked.symlink_to(parent)
    awkward = tmp_path / "a b"
    awkward.mkdir(0o700)
    others = [str(path) for path in (open_to_all, linked, awkward, tmp_path / "x" / "y")]
    with pytest.raises(Unavailable) as caught:
        make_pipe(others, Tokens(2))
    assert "open: others may write to it" in str(caught.value)
    assert "a b: MAKEFLAGS can't carry this name" in str(caught.value)
    assert "y: No such file or directory" in str(caught.value)
    pipe = make_pipe([*others, str(parent)], Tokens(2))
    assert Path(pipe.path).parent.parent == parent
    pipe.close()


def test_a_folder_of_pipes_that_is_open_to_others_or_a_link_is_none(
    parent: Path, tmp_path: Path
) -> None:
    (parent / FOLDER).mkdir()
    (parent / FOLDER).chmod(0o750)
    with pytest.raises(Unavailable, match="others may write to it"):
        make_pipe([str(parent)], Tokens(2))
    (parent / FOLDER).rmdir()
    (parent / FOLDER).symlink_to(tmp_path)
    with pytest.raises(Unavailable, match="there is no folder for a jobserver's pipe"):
        make_pipe([str(parent)], Tokens(2))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_none(parent: Path) -> None:
    os.chown(parent, 65534, 65534)
    with pytest.raises(Unavailable, match="it belongs to another user"):
        make_pipe([str(parent)], Tokens(2))


def test_a_folder_that_is_missing_is_made(parent: Path) -> None:
    with made(parent / "admission", 2) as pipe:
        assert os.path.exists(pipe.path)
        assert stat.S_IMODE((parent / "admission").stat().st_mode) == 0o700


# --- what is there already ----------------------------------------------------------------------


def test_a_named_pipe_is_there_while_somebody_has_it_open(parent: Path) -> None:
    with made(parent, 2) as pipe:
        assert is_open(pipe.path)
    assert not is_open(pipe.path)
    assert not is_open(str(parent))
    assert not is_open("/nonexistent")


def test_descriptors_are_a_pipe_where_they_are_its_two_ends(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert is_pipe(reading, writing)
    assert not is_pipe(writing, reading)
    assert not is_pipe(file, writing)
    assert not is_pipe(reading, file)
    for one in (reading, writing, file):
        os.close(one)
    assert not is_pipe(reading, writing)
    assert not is_pipe(2**40, 2**40)
