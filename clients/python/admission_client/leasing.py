"""Holding a lease for the body of a `with`, and what becomes of the lease meanwhile."""

import os

from admission.protocol import REQUEST_BYTES, AdmissionError, Frame, LeaseLost
from admission_client.blocking import Client
from admission_client.granted import Lease, claim_fields, parent_lease, text, workspace_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from admission_client.keeping import Keeper

    OnLost = Callable[[LeaseLost], None]
    OnPark = Callable[[str], None]


class Tenure:
    """What becomes of a lease while its body runs, as far as was heard.

    Args:
        lease: the one that is held.
        on_lost: told of its end, once. Without it, the end of the body raises.
        on_park: told, once, why it should end soon.
    """

    def __init__(
        self, lease: Lease, on_lost: "OnLost | None" = None, on_park: "OnPark | None" = None
    ) -> None:
        self.lease = lease
        self.lost: LeaseLost | None = None
        self._on_lost = on_lost
        self._on_park = on_park
        self._is_told = False
        self._failure: BaseException | None = None

    @property
    def claim(self) -> Frame:
        """The fields of a `resume`."""
        return {"lease": self.lease.id, "secret": text(self.lease.reply, "secret")}

    def hear(self, events: list[Frame]) -> None:
        """Takes what came on the lease's connection."""
        for event in events:
            if event.get("lease") != self.lease.id:
                continue
            if event.get("event") == "revoked":
                self.lose(_ended(self.lease, str(event.get("reason"))))
            elif event.get("event") == "park":
                self._park(str(event.get("reason")))

    def _park(self, reason: str) -> None:
        on_park, self._on_park = self._on_park, None
        if on_park is not None:
            try:
                on_park(reason)
            except BaseException as problem:  # noqa: BLE001 -- as with `on_lost`
                self._failure = problem

    def lose(self, problem: AdmissionError) -> None:
        """The daemon says that the lease is not, or no longer, this holder's."""
        if not isinstance(problem, LeaseLost):
            problem = LeaseLost(f"lease {self.lease.id} could not be taken up again: {problem}")
        self.lost = self.lost or problem

    def tell(self) -> None:
        """Calls `on_lost` if the lease is lost, and it was not called before."""
        if self.lost is None or self._on_lost is None or self._is_told:
            return
        self._is_told = True
        try:
            self._on_lost(self.lost)
        except BaseException as problem:  # noqa: BLE001 -- `end` raises it, where it can be caught
            self._failure = problem

    def end(self, *, was_cut_short: bool = False) -> None:
        """At the end of the body.

        Raises:
            LeaseLost: the lease ended before, and nobody was told; or the body was cut short.
            BaseException: what `on_lost` or `on_park` raised.
        """
        self.tell()
        if self._failure is not None:
            raise self._failure
        if self.lost is not None and (was_cut_short or not self._is_told):
            raise self.lost


def _ended(lease: Lease, reason: str) -> LeaseLost:
    what_to_do = "renew it in time" if reason == "ttl passed" else 'see "admission leases"'
    return LeaseLost(f"lease {lease.id} has ended: {reason}; {what_to_do}", "revoked")


class HeldLease(Lease):
    """The lease of a `with`. `path` is the socket of the daemon that granted it."""

    __slots__ = ("path",)

    def __init__(self, reply: Frame, path: str) -> None:
        super().__init__(reply)
        self.path = path

    def yielded(self, wait: float | None = None) -> "Yielded":
        """Gives the units back for the body of a `with`, as when that waits for a model's answer,
        and takes them again behind it, whether it failed or not; waiting where one must, before
        newcomers. A shared lease keeps its units: others of the process above may need them.

        Args:
            wait: for them, at most so many seconds; None for ever, 0 now or not at all.

        Raises:
            NoSlot: there were none within the wait; the lease is still there, without its units.
            LeaseLost: it has ended.
            AdmissionError: no daemon could be had.
        """
        return Yielded(self, wait)


class Yielded:
    """A lease without its units, for the body of a `with`. It has connections of its own, as that
    of the lease may have a keeper.
    """

    def __init__(self, lease: HeldLease, wait_s: float | None) -> None:
        self._lease = lease
        self._wait_s = wait_s

    def __enter__(self) -> None:
        if not self._lease.is_shared:
            with Client(self._lease.path) as client:
                client.yield_units(self._lease)

    def __exit__(self, *_: object) -> None:
        if not self._lease.is_shared:
            with Client(self._lease.path) as client:
                self._lease.follow(client.regain(self._lease, self._wait_s))


class lease:
    """Holds a lease for the body of a `with`, waiting for it where one must.

    The lease belongs to this process, so it ends with it whatever happens, and neither a lost
    connection nor a restart of the daemon takes it away. Inside `admission run`, it is shared.

    With `on_lost` or `on_park`, or bound to the connection, the lease has a keeper: a thread that
    reads the connection while the body runs, and takes the lease up again after the daemon was
    away. It ends with the `with`. A forked child has no part in lease or keeper, and may leave the
    body.

    Args:
        pool: of which it takes units.
        weight: how many.
        task: a label for people, and for what is learnt about tasks like it.
        wait: at most so many seconds; None for ever, 0 now or not at all.
        class_: `critical`, `normal` or `batch`.
        group: whatever should share fairly.
        ttl: ends by itself after so many seconds unless renewed.
        by: it must have been granted within so many seconds. Where the daemon's estimate says that
            it could not be, NoSlot is raised at once; otherwise when they have passed.
        max_hold: held for longer than so many seconds, it raises an alarm; it does not end.
        end_after_max: then its holder, this process, is asked to end, too (SIGTERM).
        defer: wait until the machine's load is low; it starts by then at the latest where there is
            room, and `by` refuses nothing.
        bound: what ends it: `process`, `tree` (this process and all that it started), or
            `connection`: this client's, however it comes to be closed.
        nested: inside an admitted process, `share` its lease, or take a `new` one; which is
            refused where it could never be granted.
        socket: the daemon's socket; without it, the usual place.
        on_lost: called once if the lease ends while the body runs: its ttl passed, it was revoked,
            or it could not be taken up again. It is called by the keeper's thread at that moment,
            or by the body's own where it turns out only at the end; then the end raises nothing. A
            lease that is shared is its holder's, who hears of it.
        on_park: the body can be asked to end soon, where memory gets short and the configuration
            says so; called once, with the reason, by the keeper's thread. It should do no more
            than tell the body, as by an Event. The lease then ends as parked.
        resumes: the id of a parked lease that this one goes on with: it waits at the head of its
            class.
        agent: a label: which program works.
        workspace: a label: where; without it, the root of the repository, or the folder.

    Raises:
        NoSlot: nothing was free within the wait.
        LeaseLost: at the end, that it had ended before, and there was no `on_lost` to be told.
        AdmissionError: it was refused, or no daemon could be had.
    """

    def __init__(
        self,
        pool: str = "agents",
        *,
        weight: int = 1,
        task: str = "",
        wait: float | None = None,
        class_: str = "normal",
        group: str = "",
        ttl: float | None = None,
        by: float | None = None,
        max_hold: float | None = None,
        end_after_max: bool = False,
        defer: bool = False,
        bound: str = "process",
        nested: str = "share",
        socket: str | None = None,
        on_lost: "OnLost | None" = None,
        on_park: "OnPark | None" = None,
        resumes: int | None = None,
        agent: str = "",
        workspace: str | None = None,
    ) -> None:
        self._fields = claim_fields(
            pool=pool,
            weight=weight,
            task=task,
            class_=class_,
            group=group,
            ttl_s=ttl,
            bound=bound,
            parent=parent_lease(),
            nested=nested,
            by_s=by,
            max_hold_s=max_hold,
            end_after_max=end_after_max,
            park_signal=None if on_park is None else "",
            resumes=resumes,
            agent=agent,
            workspace=workspace_here() if workspace is None else workspace,
            defer=defer,
        )
        self._wait_s = wait
        self._on_lost, self._on_park = on_lost, on_park
        self._is_kept = bound == "connection" or (on_lost, on_park) != (None, None)
        self._client = Client(socket, autostart=True)
        self._tenure: Tenure | None = None
        self._keeper: Keeper | None = None
        self._pid = 0

    def __enter__(self) -> HeldLease:
        self._pid = os.getpid()
        self._tenure = None
        self._fields["request"] = os.urandom(REQUEST_BYTES)
        try:
            granted = self._client.acquire(self._fields, self._wait_s)
            lease = HeldLease(granted.reply, self._client.path)
            self._tenure = Tenure(lease, self._on_lost, self._on_park)
            if self._is_kept and not lease.is_shared:
                self._begin_keeping(self._tenure)
        except BaseException as problem:
            if not isinstance(problem, AdmissionError):
                self._take_back()  # Ctrl-C may come right after the grant
            self._client.close()
            raise
        return lease

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        assert self._tenure is not None
        if os.getpid() != self._pid:
            # A forked child leaves the body too. The lease is its parent's, and so is the keeper,
            # of whom the child has no thread: only its descriptors.
            self._client.close()
            if self._keeper is not None:
                self._keeper.forget()
            return
        with self._client:
            try:
                self._give_back(self._tenure)
                self._tenure.tell()
            except AdmissionError:
                if error is None:
                    raise
            except BaseException:  # Ctrl-C
                self._take_back()
                raise
        if error is None:
            self._tenure.end()

    def _begin_keeping(self, tenure: Tenure) -> None:
        from admission_client.keeping import Keeper  # late: threads are nothing that `run` needs

        self._keeper = Keeper(self._client.path, tenure)
        self._keeper.begin(self._client)

    def _end_keeping(self) -> None:
        if self._keeper is not None:
            self._keeper.end(self._client)
            self._keeper = None

    def _give_back(self, tenure: Tenure) -> None:
        self._end_keeping()
        if tenure.lost is not None:
            return
        try:
            self._client.release(tenure.lease)
        except LeaseLost as problem:
            tenure.lose(problem)

    def _take_back(self) -> None:
        """By its request, so that it does not matter how far that had come."""
        self._end_keeping()
        self._client.cancel(self._fields)
