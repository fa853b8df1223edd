"""Folder, lock and journal."""

import grp
import os
import re
import stat
from pathlib import Path

import pytest

from admission.core import events as ev
from admission.core.leases import Claim, Holder, Lease, Reason
from admission.service.checkup import places
from admission.service.checkup.finding import State
from admission.service.checkup.scene import Scene, lock_held
from admission.service.journal import Journal, boot_id
from tests.service.checkup.findings import mended, one, served
from tests.service.stage import FIRST_PID

# --- the folder ---------------------------------------------------------------------------------


def test_a_folder_that_is_open_to_others_can_be_closed(path: Path) -> None:
    assert one(places.check_folder(Scene(path))).state is State.OK
    path.parent.chmod(0o755)
    found = one(places.check_folder(Scene(path)))
    assert (found.state, "mode 755" in found.says) == (State.PROBLEM, True)
    mended(found)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert one(places.check_folder(Scene(path))).state is State.OK


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a folder to a group")
def test_a_folder_that_the_configured_group_may_enter_is_well(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[access]\ngroup = "daemon"\n')
    os.chown(path.parent, 0, grp.getgrnam("daemon").gr_gid)
    path.parent.chmod(0o710)
    assert one(places.check_folder(Scene(path, config=str(config)))).state is State.OK
    path.parent.chmod(0o711)
    assert one(places.check_folder(Scene(path, config=str(config)))).state is State.PROBLEM
    path.parent.chmod(0o710)
    assert one(places.check_folder(Scene(path))).state is State.PROBLEM


def test_a_folder_that_is_a_link_or_a_file_is_never_touched(path: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    link = path.parent / "link"
    link.symlink_to(tmp_path)
    (path.parent / "file").touch()
    for name in ("link", "file"):
        found = one(places.check_folder(Scene(path.parent / name / "a.sock")))
        assert (found.state, found.mend) == (State.PROBLEM, None)
    with pytest.raises(OSError, match=r"link|directory"):
        places._close_folder(link)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_folder_that_is_not_there_is_made_by_the_daemon(path: Path) -> None:
    assert one(places.check_folder(Scene(path.parent / "x" / "a.sock"))).state is State.OK


# --- the lock -----------------------------------------------------------------------------------


def test_the_lock_is_to_be_the_daemons_that_answers(path: Path) -> None:
    assert "is gone although a daemon serves" in one(places.check_lock(served(path))).says
    path.with_suffix(".lock").write_text(f"{os.getpid()}\n")
    assert one(places.check_lock(served(path))).state is State.OK
    found = one(places.check_lock(served(path, pid=1)))
    assert (found.state, "process 1 serves" in found.says) == (State.PROBLEM, True)


def test_a_lock_that_nobody_holds_is_well_whatever_it_says(path: Path) -> None:
    assert one(places.check_lock(Scene(path))).state is State.OK
    for written in ("999999999\n", "", "soon", "9" * 40):
        path.with_suffix(".lock").write_text(written)
        assert one(places.check_lock(Scene(path))).state is State.OK


def test_a_lock_that_is_a_link_is_not_followed(path: Path) -> None:
    path.with_suffix(".lock").symlink_to("/dev/null")
    assert one(places.check_lock(Scene(path))).state is State.PROBLEM
    with pytest.raises(OSError, match="symbolic"), lock_held(path):
        pass


# --- the journal --------------------------------------------------------------------------------


def write_journal(path: Path, boot: str | None = None) -> Path:
    """One with two grants and an end."""
    journal = Journal(path.with_suffix(".journal"), boot or boot_id())
    grants = [
        ev.Granted(Lease(number, Claim(Holder(FIRST_PID, 1)), number, 0.0)) for number in (1, 2)
    ]
    journal.rewrite(grants)
    journal.append(ev.Ended(1, Reason.RELEASED))
    journal.close()
    return journal.path


def test_a_whole_journal_is_well(path: Path) -> None:
    assert one(places.check_journal(Scene(path))).state is State.OK
    write_journal(path)
    found = one(places.check_journal(Scene(path)))
    assert (found.state, "3 records" in found.says) == (State.OK, True)
    assert "2 of them grants" in found.says


def test_damaged_bytes_are_counted(path: Path) -> None:
    journal = write_journal(path)
    journal.write_bytes(journal.read_bytes()[:-3])
    found = one(places.check_journal(Scene(path)))
    assert (found.state, found.mend) == (State.WARNING, None)
    assert re.match(r"\d+ of \d+ bytes of .* are damaged; 3 records", found.says)


def test_a_journal_of_another_boot_is_well(path: Path) -> None:
    write_journal(path, "another boot")
    found = one(places.check_journal(Scene(path)))
    assert (found.state, "earlier boot" in found.says) == (State.OK, True)


def test_a_journal_that_is_a_link_is_not_read(path: Path) -> None:
    path.with_suffix(".journal").symlink_to("/dev/zero")
    assert one(places.check_journal(Scene(path))).state is State.PROBLEM


def test_a_journal_that_is_gone_while_a_daemon_serves_is_a_problem(path: Path) -> None:
    assert one(places.check_journal(served(path))).state is State.PROBLEM
