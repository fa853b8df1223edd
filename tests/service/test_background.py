"""Going to the background once it serves. Each in a process of its own, as it forks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from admission.service.background import LOG_BYTES_MAX

PATIENCE_S = 20
STARTER = """
import os, signal, sys
from pathlib import Path
from admission.protocol import AdmissionError, NotPermitted
from admission.service.background import serve_in_background

def serve(say_ready):
{body}

try:
    serve_in_background(Path(sys.argv[1]), serve)
    print("started", flush=True)
except AdmissionError as problem:
    print(type(problem).__name__, problem.code, problem, flush=True)
"""
# Tells the test who it is and where it runs, then waits to be ended.
GOOD = """
    Path("{folder}/who").write_text(f"{{os.getpid()}} {{os.getsid(0)}} {{os.getcwd()}}")
    print("said by the daemon", flush=True)
    say_ready()
    signal.pause()
"""


def start(folder: Path, body: str) -> str:
    """What the starter says; it ends by itself, whatever becomes of what it started."""
    code = STARTER.format(body=body.format(folder=folder))
    words = [sys.executable, "-c", code, str(folder / "a.log")]
    done = subprocess.run(
        words, check=True, capture_output=True, text=True, timeout=PATIENCE_S, cwd=folder
    )
    assert done.stderr == ""
    return done.stdout.strip()


def end(folder: Path) -> tuple[int, int, str]:
    """Ends the daemon that was started here; who it was, its session and its folder."""
    pid, session, where = (folder / "who").read_text().split()
    os.kill(int(pid), signal.SIGKILL)
    return int(pid), int(session), where


def test_it_returns_when_the_daemon_serves_which_is_bound_to_nothing(tmp_path: Path) -> None:
    assert start(tmp_path, GOOD) == "started"
    pid, session, where = end(tmp_path)
    assert session == pid, "it leads a session of its own"
    assert where == "/"
    assert (tmp_path / "a.log").read_text() == "said by the daemon\n"
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


def test_what_kept_it_from_serving_reaches_whoever_started_it(tmp_path: Path) -> None:
    said = start(tmp_path, "    raise NotPermitted('this is not yours, é')")
    assert said == "NotPermitted not_permitted this is not yours, é"


def test_one_that_ends_without_a_word_left_its_words_in_the_log(tmp_path: Path) -> None:
    for body, why in (("    1 / 0", "ZeroDivisionError"), ("    os._exit(3)", "")):
        said = start(tmp_path, body)
        assert said.startswith("Unreachable unreachable the daemon ended before it served; ")
        assert said.endswith("a.log says why")
        assert why in (tmp_path / "a.log").read_text()


def test_one_that_was_told_to_end_first_is_no_failure(tmp_path: Path) -> None:
    said = start(tmp_path, "    return")
    assert said == "AlreadyServed already_served the daemon was told to end before it served"


def test_a_long_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("x" * LOG_BYTES_MAX)
    start(tmp_path, GOOD)
    end(tmp_path)
    assert not log.with_suffix(".log-old").exists()
    start(tmp_path, GOOD)
    end(tmp_path)
    assert log.read_text() == "said by the daemon\n"
    assert log.with_suffix(".log-old").stat().st_size > LOG_BYTES_MAX
