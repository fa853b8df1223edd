"""Run inside a PID namespace of its own, where the next PID can be chosen: a holder dies while
the daemon is away, another process gets its PID, and the daemon that starts then must see through
it. Writes `reused` once the PID is another's, and `gone` where the lease has ended; then what
became of an orphan whose PID was reused before it was to be ended, and of the other one.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from admission.protocol import Frame
from admission_client import Client
from admission_client.granted import claim_fields, number, rows, whole
from admission_client.stopping import stop

COMMAND = [sys.executable, "-P", "-m", "admission_client.cli"]


def serve() -> int:
    subprocess.run([*COMMAND, "serve", "--detach"], check=True)
    return int(Path(os.environ["ADMISSION_SOCKET"]).with_suffix(".lock").read_text())


def start_with_pid(pid: int) -> "subprocess.Popen[bytes]":
    """A process with just this PID, which must be free."""
    for _ in range(100):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "600"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"PID {pid} could not be had")


def main() -> None:
    daemon = serve()
    holder = subprocess.Popen(["sleep", "600"])
    with Client() as client:
        client.acquire(claim_fields(pid=holder.pid), 0)
    os.kill(daemon, signal.SIGKILL)
    os.waitpid(daemon, 0)  # whatever is left without a parent here is ours: we are PID 1
    holder.kill()
    holder.wait()
    other = start_with_pid(holder.pid)
    sys.stdout.write("reused\n")
    serve()
    with Client() as client:
        leases = client.ask("leases")["leases"]
    sys.stdout.write("held\n" if leases else "gone\n")
    other.kill()
    other.wait()
    end_orphan()


def end_orphan() -> None:
    """Between the list of orphans and their end, one ends, and another process gets its PID."""
    left = subprocess.run(
        [*COMMAND, "run", "--", "sh", "-c", 'sleep 600 >/dev/null & echo "$!"'],
        stdout=subprocess.PIPE,
        check=True,
    )
    pid = int(left.stdout)
    with Client() as client:
        # Its lease is about to end, and starts are told apart by the tick, a hundredth of a second.
        found: list[Frame] = []
        while not found or number(found[0], "age_s") < 0.1:
            found = rows(client.ask("orphans", {"pids": [pid]}), "survivors")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    other = start_with_pid(pid)
    (outcome,) = stop(
        found, lambda pids: {(one, whole(found[0], "start_ticks")) for one in pids}, 0
    )
    sys.stdout.write(f"{outcome.how}, {'spared' if other.poll() is None else 'struck'}\n")
    other.kill()


if __name__ == "__main__":
    main()
