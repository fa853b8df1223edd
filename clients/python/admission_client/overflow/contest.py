"""`run --overflow`: the wait here and the way to another node, of which exactly one wins.

The place in the queue here is kept all the while. A node is asked to admit the command, which it
does, or not, at once; only when it has, and the working directory is there, is it decided, by one
process and in one step: if nothing was granted here yet, the place here is given up, and the
command begins there. Otherwise the node is told nothing more, and what it admitted never begins.
"""

import os
import random
import signal
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from math import inf

import trio

from admission.core.placement import Offer, Wanted, place
from admission.protocol import (
    AdmissionError,
    BadConfiguration,
    BadRequest,
    Frame,
    NoSlot,
    Unreachable,
)
from admission_client import aio
from admission_client.blocking import Client
from admission_client.granted import Lease
from admission_client.hold import report
from admission_client.options import Options, WrongUsage
from admission_client.overflow import terminal, troubles
from admission_client.overflow.nodes import Node, Settings, read_settings
from admission_client.overflow.order import order_of
from admission_client.overflow.peers import Peers
from admission_client.overflow.reach import NodeFailed, NodeRefused, why_not_moved
from admission_client.overflow.session import PASSED_ON, Ending, Session, end_like
from admission_client.waiting import REDRAW_S, Waiting

# After a look that found nobody the next one comes in `look_s`, and then in twice as long each
# time; less by chance, so that those who wait do not all look at once.
LOOK_MAX_S = 30.0
# Nodes that are tried one after the other before looking again.
TRIES = 3
FORWARDED = {getattr(signal, f"SIG{name}"): name for name in PASSED_ON}


def here_or_elsewhere(options: Options, fields: Frame) -> Lease | int:
    """A lease here, or the exit status of a command that ran on another node.

    Raises:
        AdmissionError: no lease could be had in time, and no node took it.
    """
    _check(options)
    with suppress(NoSlot), Client(options.socket, autostart=True) as client:
        return client.acquire(fields, 0.0)  # most often there is room, and nothing else is needed
    contest = Contest(options, fields, read_settings())
    with contest.waiting:
        trio.run(contest.run)
        if contest.lease is not None:
            contest.waiting.admitted(contest.lease)
            return contest.lease
    if contest.ending is not None:
        return end_like(contest.ending)
    assert contest.problem is not None
    if contest.has_gone:
        # Not raised: whoever goes on without a lease where none can be had would run it again.
        sys.stderr.write(f"admission: {contest.problem}\n")
        return contest.problem.exit_status
    raise contest.problem


def _check(options: Options) -> None:
    try:
        os.fstat(0)
    except OSError:  # closed: nothing that we open may come to be our standard input
        os.open(os.devnull, os.O_RDONLY)
    if options.hold == "connection":
        raise WrongUsage(
            'run: "--hold connection" can\'t go with "--overflow": another node has no part in the '
            "connection"
        )
    if options.tty and not os.isatty(0):
        raise WrongUsage('run: "--tty" needs a terminal as standard input')


def _here() -> str:
    try:
        return os.getcwd()
    except OSError as problem:
        raise BadRequest(
            f"--overflow: the folder that this was started in is gone ({problem.strerror}); "
            "change to another one"
        ) from None


class Contest:
    """The wait here against the ways elsewhere. Afterwards one of these is there: `lease` where it
    was granted here, `ending` where it ran elsewhere or a signal ended the wait, or `problem`.
    """

    def __init__(self, options: Options, fields: Frame, settings: Settings) -> None:
        self.lease: Lease | None = None
        self.ending: Ending | None = None
        self.problem: AdmissionError | None = None
        self.waiting = Waiting(quiet=options.quiet)
        self._options = options
        self._fields = fields
        self._settings = settings
        self._cwd = _here()
        self._peers = Peers(settings, options.pool, self._cwd, options.socket)
        self._session: Session | None = None  # once it has won
        self._refusal: NoSlot | None = None
        self._since = time.monotonic()
        self._unfit: set[str] = set()
        self._told: set[str] = set()
        self._here = trio.CancelScope()
        self._elsewhere = trio.CancelScope()
        self._fetching = trio.CancelScope()
        self._in_time = trio.Event()
        self._news = trio.Event()
        after_s = options.overflow_after_s
        self._after_s = settings.table.after_s if after_s is None else after_s
        if options.wait_s is not None:
            self._after_s = min(self._after_s, options.wait_s / 2)

    async def run(self) -> None:
        """Until it is decided; and where another node wins, until the command has ended."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._heed_signals, nursery.cancel_scope)
            nursery.start_soon(self._show)
            try:
                await self._peers.check()
            except BadConfiguration as problem:
                self.problem = problem
            else:
                async with trio.open_nursery() as contest:
                    contest.start_soon(self._wait_here)
                    contest.start_soon(self._go_elsewhere, nursery)
            nursery.cancel_scope.cancel()

    @property
    def has_gone(self) -> bool:
        """Whether another node has won: whatever happens, it runs there or nowhere."""
        return self._session is not None

    @property
    def _is_decided(self) -> bool:
        found = (self.lease, self._session, self.ending, self.problem)
        return any(one is not None for one in found)

    # --- here -----------------------------------------------------------------------------------

    async def _wait_here(self) -> None:
        wait_s = self._options.wait_s
        with self._here:
            async with aio.Client(self._options.socket, autostart=True) as client:
                try:
                    if wait_s == 0:
                        raise NoSlot("nothing is free", "timeout")
                    lease = await client.acquire(self._fields, wait_s, self._hear)
                except NoSlot as problem:
                    self._refusal = problem  # one look elsewhere is still worth it
                    self._in_time.set()
                    self._news.set()
                except AdmissionError as problem:
                    self._lose(problem)
                else:
                    await self._have(lease, client)

    async def _have(self, lease: Lease, client: aio.Client) -> None:
        """It was granted here. Not a moment passes between the question and the decision."""
        if not self._is_decided:
            self.lease = lease
            self._elsewhere.cancel()
            return
        # It was on its way when the other one won.
        with trio.CancelScope(shield=True), suppress(AdmissionError):
            await client.release(lease)

    def _lose(self, problem: AdmissionError) -> None:
        if not self._is_decided:
            self.problem = problem
            self._here.cancel()
            self._elsewhere.cancel()

    def _hear(self, event: Frame) -> None:
        """News of the place here: one that is too far back need not be waited for."""
        self.waiting(event)
        eta_s = event.get("eta_s")
        waited_s = time.monotonic() - self._since
        if isinstance(eta_s, (int, float)) and waited_s + eta_s > self._after_s:
            self._in_time.set()

    async def _show(self) -> None:
        while not self._is_decided:
            self.waiting(None)
            await trio.sleep(REDRAW_S)

    async def _heed_signals(
        self,
        everything: trio.CancelScope,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Who waits is ended by a signal; who works elsewhere is passed it."""
        numbers = [*FORWARDED, signal.SIGTSTP, *[signal.SIGWINCH] * self._options.tty]
        # Who was started to ignore one, as by `nohup`, goes on ignoring it.
        heeded = [one for one in numbers if signal.getsignal(one) != signal.SIG_IGN]
        with trio.open_signal_receiver(*heeded) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGTSTP:
                    await self._stand_still()
                elif self._session is not None and number == signal.SIGWINCH:
                    self._session.resize(*terminal.size())
                elif self._session is not None:
                    self._session.pass_on(FORWARDED[number])
                    if self.ending is not None:
                        self._fetching.cancel()
                elif number in FORWARDED and not self._is_decided:
                    self.ending = Ending(signal=FORWARDED[number])
                    everything.cancel()

    async def _stand_still(self) -> None:
        """Ctrl-Z is for both of us."""
        if self._session is not None:
            await self._session.stop()
        os.kill(os.getpid(), signal.SIGSTOP)
        if self._session is not None:
            self._session.pass_on("CONT")

    # --- elsewhere ------------------------------------------------------------------------------

    async def _go_elsewhere(self, nursery: trio.Nursery) -> None:
        with self._elsewhere:
            with trio.move_on_after(self._after_s):
                await self._in_time.wait()
            pause_s = self._settings.table.look_s
            while True:
                refusal = self._refusal
                if await self._try_nodes(nursery):
                    return
                if refusal is not None:
                    self._lose(refusal)
                    return
                with trio.move_on_after(pause_s * random.uniform(0.5, 1.0)):
                    await self._news.wait()
                pause_s = min(2 * pause_s, max(pause_s, LOOK_MAX_S))

    async def _try_nodes(self, nursery: trio.Nursery) -> bool:
        """Looks once for a node that takes it; whether one did."""
        offers, failures = await self._peers.offers()
        for failure in failures:
            self._tell(str(failure))
        cost_max = self._settings.table.cost_max
        labels = frozenset(filter(None, self._options.labels.split(",")))
        wanted = Wanted(labels, self._options.weight, inf if cost_max is None else cost_max)
        for _ in range(TRIES):
            offers = [one for one in offers if one.node not in self._unfit]
            known = troubles.troubles_of(one.node for one in offers)
            placement = place(offers, wanted, known, iter(random.random, None))
            if placement.node is None:
                self._tell(f"no other node takes it now ({placement.reason}); it waits here")
                return False
            if await self._try_node(self._peers.nodes[placement.node], nursery):
                return True
            offers = [_full(one) if one.node == placement.node else one for one in offers]
        return False

    async def _try_node(self, node: Node, nursery: trio.Nursery) -> bool:
        """Whether this one took it, and has come to its end."""
        waited_s = time.monotonic() - self._since
        order = order_of(self._options, self._fields, waited_s, node, self._settings, self._cwd)
        session = Session(node, self._settings, order, self._cwd)
        try:
            await session.open(nursery)
        except NodeFailed as problem:
            self._fail(node, str(problem))
            return False
        except NodeRefused as problem:
            self._refused(node, problem)
            return False
        try:
            if not await self._sync(node) or self._is_decided:
                return False
            if not session.is_there:
                self._fail(node, f"node {node.name} was lost before the command began")
                return False
            troubles.works(node.name)
            self._session = session
            self._here.cancel()
            await self._carry(session)
        finally:
            await session.close()
        return True

    def _refused(self, node: Node, refusal: NodeRefused) -> None:
        if refusal.status == Unreachable.exit_status:
            self._fail(node, str(refusal))
        elif refusal.status != NoSlot.exit_status:  # whose room another one took
            self._unfit.add(node.name)
            self._tell(str(refusal))

    def _fail(self, node: Node, why: str) -> None:
        troubles.failed(node.name)
        self._tell(why)

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self.waiting.say(what)

    async def _sync(self, node: Node) -> bool:
        """Brings the working directory there; whether that worked."""
        line = node.filled(node.sync, self._cwd)
        why = await why_not_moved(line, self._settings.table.sync_s)
        if why:
            said = f"node {node.name}: the working directory can't be brought there ({why})"
            self._fail(node, said)
        return not why

    async def _fetch(self, node: Node) -> None:
        """Brings back what the command left. A signal gives that up."""
        line, why = node.filled(node.fetch, self._cwd), "interrupted"
        with self._fetching:
            why = await why_not_moved(line, self._settings.table.sync_s)
        if not why:
            return
        said = f"node {node.name}: what the command left can't be brought back ({why})"
        if self.ending == Ending():
            self.ending, self.problem = None, Unreachable(said)  # it is no success
        else:
            self.waiting.say(said)

    async def _carry(self, session: Session) -> None:
        """From the decision on to the command's end."""
        name, lease = session.node.name, session.lease
        self.waiting.say(f"it runs on node {name} (lease {lease.get('lease')} there)")
        try:
            report({**lease, "node": name}, self._options.lease_fd)
            with terminal.raw() if self._options.tty else nullcontext():
                session.begin()
                self.ending = await session.carry()
            await self._fetch(session.node)
        except AdmissionError as problem:
            self.problem = problem


def _full(offer: Offer) -> Offer:
    """One that did not take the work just now: its room is somebody else's."""
    return replace(offer, out=offer.capacity)
