"""A process that takes a lease and then starts others, as it is told: `family.py BOUND LEASH`.

It becomes another program once it has the lease, as `admission run` does, so that the mark is in
the environment that it was started with. Each line of its standard input names what to start, and
the PID of that is answered; without more input it ends. LEASH is a descriptor: whatever was started
lives until nobody holds its other end.
"""

import os
import signal
import sys
from collections.abc import Callable

STAY = "import os, sys; os.read(int(sys.argv[1]), 1)"


def take(bound: str, leash: int) -> None:
    """Becomes this program anew with a lease. Its connection stays, whether or not it counts."""
    from admission_client import Client
    from admission_client.granted import claim_fields

    client = Client()
    lease = client.acquire(claim_fields(bound=bound, task="family"), wait_s=0)
    assert client._sock is not None
    os.set_inheritable(client._sock.fileno(), True)
    os.set_inheritable(leash, True)
    words = [sys.executable, "-I", "-S", __file__, "have", str(leash)]
    os.execve(sys.executable, words, os.environ | lease.environment())


def have(leash: int) -> None:
    os.write(1, b"has it\n")
    for line in sys.stdin:
        KINDS[line.strip()](leash)


def say(pid: int) -> None:
    """One write, as two processes may speak at once."""
    os.write(1, f"{pid}\n".encode())


def stay(leash: int) -> None:
    os.read(leash, 1)
    os._exit(0)


def plain(leash: int) -> None:
    """A child that does nothing but live."""
    if pid := os.fork():
        say(pid)
    else:
        stay(leash)


def session(leash: int) -> None:
    if os.fork() == 0:
        os.setsid()
        say(os.getpid())
        stay(leash)


def daemon(leash: int) -> None:
    """A daemon, as of old: forked twice, in a session of its own."""
    if middle := os.fork():
        os.waitpid(middle, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    say(os.getpid())
    stay(leash)


def other_program(leash: int) -> None:
    if pid := os.fork():
        say(pid)
    else:
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", STAY, str(leash)])


def bare(leash: int) -> None:
    """A child that has thrown its environment away, in a session of its own."""
    if pid := os.fork():
        say(pid)
    else:
        os.setsid()
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", STAY, str(leash)], {})


def bare_daemon(leash: int) -> None:
    """As both: only its cgroup can tell where it came from."""
    if middle := os.fork():
        os.waitpid(middle, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    say(os.getpid())
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", STAY, str(leash)], {})


def breeder(leash: int) -> None:
    """A child that starts another one, and ends, when it gets SIGUSR1."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    if pid := os.fork():
        say(pid)
        return
    signal.sigwait([signal.SIGUSR1])
    if pid := os.fork():
        say(pid)
        os._exit(0)
    stay(leash)


def giver(leash: int) -> None:
    """A child that gives the lease back when it gets SIGUSR1."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    if pid := os.fork():
        say(pid)
        return
    signal.sigwait([signal.SIGUSR1])
    words = [sys.executable, "-P", "-m", "admission_client.cli", "release", "--force"]
    os.execv(sys.executable, [*words, os.environ["ADMISSION_LEASE"]])


KINDS: dict[str, Callable[[int], None]] = {
    kind.__name__: kind
    for kind in (plain, session, daemon, other_program, bare, bare_daemon, breeder, giver)
}

if __name__ == "__main__":
    if sys.argv[1] == "have":
        have(int(sys.argv[2]))
    else:
        take(sys.argv[1], int(sys.argv[2]))
