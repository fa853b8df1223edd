"""What `throttle` and `guard` take on their command line, and the autopilots' lock."""

import fcntl
import os
import sys
from pathlib import Path

import pytest

from admission_client.measure import autopilot_pid, parse_bytes, parse_percent, throttle

GIB = 1024**3


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [
        ("2G", 2 * GIB),
        ("2g", 2 * GIB),
        ("2GB", 2 * GIB),
        ("2GiB", 2 * GIB),
        ("1.5G", GIB * 3 // 2),
        ("512M", GIB // 2),
        ("8k", 8192),
        ("1T", 1024 * GIB),
        ("4096", 4096),
        ("4096B", 4096),
        ("0", 0),
    ],
)
def test_a_size_is_read_in_powers_of_1024(written: str, size_bytes: int) -> None:
    assert parse_bytes(written) == size_bytes


@pytest.mark.parametrize("written", ["", "G", "-1G", "1X", "1 000", "nan", "inf", "1e999", "2G2"])
def test_what_is_no_size_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no size; write 512M"):
        parse_bytes(written)


def test_a_percentage_is_0_to_100() -> None:
    assert [parse_percent(written) for written in ("0", "85.5", "100")] == [0.0, 85.5, 100.0]
    for written in ("-1", "100.1", "nan", "85%", ""):
        with pytest.raises(ValueError, match="is no percentage from 0 to 100"):
            parse_percent(written)


def test_a_summary_that_nobody_reads_does_not_change_the_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADMISSION_CONFIG", os.devnull)
    listening, speaking = os.pipe()
    os.close(listening)
    with open(speaking, "w", buffering=1) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert throttle(["--memory-used-pct=85", "--cpu-used-pct=72", "--level"]) == 0
        monkeypatch.undo()
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), speaking)  # so that closing it has somewhere to write to
    assert capsys.readouterr().out == "2\n"


# --- the autopilots' lock -------------------------------------------------------------------------


def test_where_no_autopilot_has_run_none_does(tmp_path: Path) -> None:
    assert autopilot_pid(str(tmp_path / "a.sock")) is None


def test_who_holds_the_lock_is_the_autopilot_and_who_left_it_is_none(tmp_path: Path) -> None:
    with open(tmp_path / "autopilot.lock", "w") as lock:
        lock.write("4711\n")
        lock.flush()
        assert autopilot_pid(str(tmp_path / "a.sock")) is None
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert autopilot_pid(str(tmp_path / "a.sock")) == 4711
        lock.truncate(0)
        assert autopilot_pid(str(tmp_path / "a.sock")) == 0


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    (tmp_path / "autopilot.lock").symlink_to(tmp_path / "other")
    assert autopilot_pid(str(tmp_path / "a.sock")) is None
