"""Keeps a lease while the body of a blocking `with` runs: hears of its end, and takes it up again
after the daemon was away.

A thread, since the body is somebody else's code: it can't be interrupted, and must not have to
ask again and again. All it does is to read the lease's connection. While it runs, nobody else uses
that; before and after, the connection is the `with`'s own.
"""

import os
import select
import signal
import threading

from admission.protocol import AdmissionError, Unreachable
from admission_client.blocking import RECEIVE_MAX_S, Client
from admission_client.leasing import Tenure


class Stopped(Exception):
    """The body has ended."""


class Keeper(Client):
    """A client in a thread of its own, each of whose waits ends when it is told to.

    It starts no daemon: as long as there is none, nobody can be given what the lease holds, and
    the next one finds it in the journal.
    """

    def __init__(self, path: str, tenure: Tenure) -> None:
        super().__init__(path)
        self._tenure = tenure
        self._end_read, self._end_write = os.pipe()
        self._is_done = threading.Event()
        # A daemon thread: a `with` that is never left does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name="admission keeper", daemon=True)

    def begin(self, client: Client) -> None:
        """Goes on with this client's connection."""
        client.hand_over(self)
        self._thread.start()

    def end(self, client: Client) -> None:
        """Ends the thread, and hands the connection back. Waits for an `on_lost` that is being
        told.
        """
        if self._end_write < 0:
            return  # Ctrl-C came right after it, and whoever cleans up ends it again
        os.write(self._end_write, b".")
        if self._thread.ident is not None:
            # Not by `join` alone: Ctrl-C in the middle of it has Python 3.11 take the thread for
            # ended that still runs.
            self._is_done.wait()
            self._thread.join()
        self.hand_over(client)
        self.forget()

    def forget(self) -> None:
        """Closes what is open; of a parent's keeper this is all that a forked child has."""
        self.close()
        read, self._end_read = self._end_read, -1
        write, self._end_write = self._end_write, -1
        os.close(read)
        os.close(write)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        # Signals are the main thread's: one that the kernel hands to this one would not wake it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._keep()
            # Who is told may start processes, which inherit what is blocked.
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._tenure.tell()
        except Stopped:
            pass
        finally:
            self._is_done.set()

    def _keep(self) -> None:
        """Until the lease is lost."""
        while True:
            self._tenure.hear(self._dialogue.take_events())
            if self._tenure.lost is not None:
                return
            try:
                self._receive(None)
            except Unreachable:
                self._take_up_again()

    def _take_up_again(self) -> None:
        try:
            self._reconnect(None, "resume", self._tenure.claim)
        except AdmissionError as problem:
            self._tenure.lose(problem)

    # --- waits that end -------------------------------------------------------------------------

    def _receive(self, timeout_s: float | None) -> bool:
        assert self._sock is not None
        return self._is_readable(self._sock.fileno(), timeout_s) and super()._receive(timeout_s)

    def _pause(self, seconds: float) -> None:
        self._is_readable(None, seconds)

    def _is_readable(self, descriptor: int | None, timeout_s: float | None) -> bool:
        """Whether there is something to read within this time.

        Raises:
            Stopped: the body has ended.
        """
        poll = select.poll()
        poll.register(self._end_read, select.POLLIN)
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
        wait_ms = None if timeout_s is None else 1000 * min(max(timeout_s, 0.0), RECEIVE_MAX_S)
        ready = [one for one, _ in poll.poll(wait_ms)]
        if self._end_read in ready:
            raise Stopped
        return bool(ready)
