"""The folder, what lies in it, and the lock."""

import fcntl
import os
import socket
from pathlib import Path

import pytest

from admission.protocol import AlreadyServed, NotPermitted
from admission.service.place import check_own, lock, open_own, prepare_folder, try_lock
from tests.service.places import GROUP, NOBODY, ROOT, mode

# --- the folder ---------------------------------------------------------------------------------


def test_the_folder_is_made_for_its_user_alone(folder: Path, umask: int) -> None:
    prepare_folder(folder / "deeper")
    assert mode(folder / "deeper") == 0o700
    prepare_folder(folder / "deeper")


@pytest.mark.parametrize("others", [0o750, 0o755, 0o701, 0o770, 0o704])
def test_a_folder_that_others_may_enter_is_refused(folder: Path, others: int) -> None:
    folder.mkdir()
    folder.chmod(others)
    with pytest.raises(NotPermitted, match=r"open to other users; make it yours .*chmod 700"):
        prepare_folder(folder)
    assert mode(folder) == others


def test_another_users_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(NotPermitted, match="choose another folder with --socket"):
        prepare_folder(folder)


@pytest.mark.parametrize("planted", ["link", "dangling link", "file", "below a file"])
def test_what_is_no_folder_is_refused(folder: Path, tmp_path: Path, planted: str) -> None:
    (tmp_path / "good").mkdir(mode=0o700)
    match planted:
        case "link":
            folder.symlink_to(tmp_path / "good")
        case "dangling link":
            folder.symlink_to(tmp_path / "nowhere")
        case "file":
            folder.touch(0o600)
        case _:
            folder.touch(0o600)
            folder = folder / "below"
    with pytest.raises(NotPermitted, match="choose another with --socket") as problem:
        prepare_folder(folder)
    assert str(folder) in str(problem.value)
    assert not (tmp_path / "nowhere").exists()


def test_what_is_missing_on_the_way_is_made_and_is_no_way_in(folder: Path, umask: int) -> None:
    prepare_folder(folder / "run" / "deeper")
    assert mode(folder) & 0o022 == 0
    assert mode(folder / "run") & 0o022 == 0


@pytest.mark.parametrize("others", [0o777, 0o757, 0o775])
def test_a_folder_below_one_that_others_may_write_in_is_refused(folder: Path, others: int) -> None:
    """They could put their own in its place."""
    folder.mkdir()
    if others == 0o775:
        if os.getuid() != 0:
            pytest.skip("only root gives files to any group")
        os.chown(folder, -1, GROUP)
    folder.chmod(others)
    with pytest.raises(NotPermitted, match=f"other users may write in {folder}, .*chmod go-w"):
        prepare_folder(folder / "deeper")
    assert not (folder / "deeper").exists()


def test_a_folder_below_a_sticky_one_is_safe_and_so_is_one_in_a_group_of_ones_own(
    folder: Path,
) -> None:
    folder.mkdir()
    folder.chmod(0o1777)
    prepare_folder(folder / "deeper")
    folder.chmod(0o775)
    os.chown(folder, -1, os.getuid() if os.getuid() == 0 else -1)
    if folder.stat().st_gid in (0, os.getuid()):
        prepare_folder(folder / "deeper")


@ROOT
def test_a_folder_below_another_users_is_refused(folder: Path) -> None:
    (folder / "run").mkdir(mode=0o700, parents=True)
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(NotPermitted, match=rf"{folder} belongs to another user \(65534\), who"):
        prepare_folder(folder / "run")


def test_a_link_on_the_way_is_followed_where_it_is_ones_own(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "good" / "below").mkdir(parents=True)
    folder.symlink_to("good/../good")
    prepare_folder(folder / "below" / "run")
    assert mode(tmp_path / "good" / "below" / "run") == 0o700
    (tmp_path / "good").chmod(0o777)
    with pytest.raises(NotPermitted, match="other users may write"):
        prepare_folder(folder / "run")


@ROOT
def test_another_users_link_on_the_way_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    folder.symlink_to(tmp_path / "good")
    os.chown(folder, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(NotPermitted, match="belongs to another user"):
        prepare_folder(folder / "run")


def test_a_ring_of_links_is_no_way(folder: Path) -> None:
    folder.symlink_to(folder)
    with pytest.raises(NotPermitted, match="symbolic links; choose another with --socket"):
        prepare_folder(folder / "run")


@ROOT
def test_a_group_may_pass_through_the_folder_and_no_more(folder: Path, umask: int) -> None:
    prepare_folder(folder, GROUP)
    assert (folder.stat().st_gid, mode(folder)) == (GROUP, 0o710)
    folder.chmod(0o750)
    prepare_folder(folder, GROUP)
    assert mode(folder) == 0o750, "to list it does no harm, and somebody wanted it"
    prepare_folder(folder, GROUP + 1)
    assert (folder.stat().st_gid, mode(folder)) == (GROUP + 1, 0o710)
    folder.chmod(0o770)
    with pytest.raises(NotPermitted, match="open to other users"):
        prepare_folder(folder, GROUP)
    folder.chmod(0o750)
    with pytest.raises(NotPermitted, match="open to other users"):
        prepare_folder(folder)


# --- what lies in it ----------------------------------------------------------------------------


def test_a_file_is_made_for_this_user_alone_and_closed_where_it_is_open(
    path: Path, umask: int
) -> None:
    os.close(open_own(path, os.O_WRONLY))
    assert mode(path) == 0o600
    path.chmod(0o666)
    os.close(open_own(path, os.O_WRONLY))
    assert mode(path) == 0o600


@pytest.mark.parametrize("planted", ["link", "dangling link", "pipe", "socket", "another's"])
def test_what_is_no_file_of_ones_own_is_not_opened(
    path: Path, tmp_path: Path, planted: str
) -> None:
    victim = tmp_path / "victim"
    match planted:
        case "link":
            victim.write_text("precious")
            path.symlink_to(victim)
        case "dangling link":
            path.symlink_to(victim)
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(path))
        case _ if os.getuid() == 0:
            path.touch(0o600)
            os.chown(path, NOBODY, NOBODY)
        case _:
            pytest.skip("only root gives files to others")
    with pytest.raises(NotPermitted, match=f"^{path} .*; remove it$"):
        open_own(path, os.O_WRONLY | os.O_APPEND)
    with pytest.raises(NotPermitted, match=f"^{path} .*; remove it$"):
        check_own(path)
    assert planted == "link" or not victim.exists()


def test_what_is_not_there_or_ones_own_may_be_opened_by_name(path: Path) -> None:
    check_own(path)
    path.touch()
    check_own(path)


# --- the lock -----------------------------------------------------------------------------------


def test_the_second_one_is_told_who_serves_already(path: Path) -> None:
    with lock(path):
        assert mode(path.with_suffix(".lock")) == 0o600
        with pytest.raises(AlreadyServed) as problem, lock(path):
            pass
        assert str(problem.value) == (
            f"a daemon serves {path} already (process {os.getpid()}); it is left alone"
        )
    with lock(path):
        pass


def test_the_lock_is_given_back_whatever_happens(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock(path):
        raise ZeroDivisionError
    with lock(path):
        pass


def test_a_lock_file_that_nobody_holds_is_no_lock(path: Path) -> None:
    path.with_suffix(".lock").write_text("a very long tale of process 4711 that served once\n")
    with lock(path):
        assert path.with_suffix(".lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_that_says_nothing_is_held_by_somebody_unknown(path: Path) -> None:
    with lock(path):
        os.truncate(path.with_suffix(".lock"), 0)
        with pytest.raises(AlreadyServed, match="process unknown"), lock(path):
            pass


def test_a_link_planted_at_the_lock_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_suffix(".lock").symlink_to(victim)
    with pytest.raises(NotPermitted, match="can't be opened"), lock(path):
        pass
    assert victim.read_text() == "precious"


@ROOT
def test_another_users_lock_is_refused(path: Path) -> None:
    path.with_suffix(".lock").touch()
    os.chown(path.with_suffix(".lock"), NOBODY, NOBODY)
    with pytest.raises(NotPermitted, match=r"belongs to another user \(65534\)"), lock(path):
        pass


def test_the_lock_of_a_folder_that_was_removed_is_no_lock(path: Path) -> None:
    """Two daemons may then run, but never at one path."""
    with lock(path):
        path.with_suffix(".lock").unlink()
        with lock(path):
            assert try_lock(path) is None


def test_a_lock_that_is_removed_while_it_is_taken_is_taken_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, flock = path.with_suffix(".lock"), fcntl.flock

    def remove_first(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        name.unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with lock(path):
        assert name.read_text() == f"{os.getpid()}\n"
        assert try_lock(path) is None


def test_where_another_holds_the_lock_it_may_make_way(path: Path) -> None:
    other = try_lock(path)
    assert other is not None

    def make_way(where: Path) -> int:
        assert where == path
        os.close(other)
        lock = try_lock(path)
        assert lock is not None
        return lock

    with lock(path, make_way):
        assert try_lock(path) is None
