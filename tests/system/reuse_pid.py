"""Run inside a PID namespace of its own, where the next PID can be chosen: a holder dies while
the daemon is away, another process gets its PID, and the daemon that starts then must see through
it. Writes `reused` once the PID is another's, and `gone` where the lease has ended.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from admission_client import Client
from admission_client.granted import claim_fields

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


if __name__ == "__main__":
    main()
