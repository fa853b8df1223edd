"""The limit of open files: raised to what the connections take, and said where it can't be."""

import resource
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from admission_client.granted import words_of
from tests.system.stage import COMMAND, Stage

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="another process's limits can only be read on Linux"
)


def serve_with(stage: Stage, limit: str) -> tuple[int, int]:
    """Starts a daemon from a shell with this limit; its own limits, once it serves."""
    words = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *COMMAND, "serve", "--detach"]
    started = subprocess.run(words, env=stage.env, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    stage.daemon_pid = int(stage.socket.with_suffix(".lock").read_text())
    lines = Path(f"/proc/{stage.daemon_pid}/limits").read_text().splitlines()
    (open_files,) = [line.split() for line in lines if line.startswith("Max open files")]
    return int(open_files[3]), int(open_files[4])


def test_more_connections_fit_than_the_usual_limit_allows(empty_stage: Stage) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2112:
        pytest.skip(f"this machine allows {hard} open files")
    assert serve_with(empty_stage, "-S -n 100") == (2112, hard)
    with ExitStack() as stack:
        for _ in range(150):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(str(empty_stage.socket))
        client = stack.enter_context(empty_stage.client())
        assert not [one for one in words_of(client.ask("status"), "degraded") if "files" in one]


def test_a_hard_limit_that_is_too_small_is_told(empty_stage: Stage) -> None:
    assert serve_with(empty_stage, "-n 264") == (264, 264)
    told = empty_stage.run("status").stdout
    assert "264 open files are allowed and 1024 connections take 2112, so about 100 fit" in told
    empty_stage.config.write_text(f"{empty_stage.config.read_text()}\n[limits]\nconnections = 99\n")
    assert empty_stage.run("reload").returncode == 0
    assert "open files" not in empty_stage.run("status").stdout
