"""Commands that run another one when there is room for it, as `admission run` does."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.bench.peers import ETCD, ETCDCTL, FLOCK, SEM, TSP, Peer
from scripts.bench.peers.etcd_lock import serve_etcd
from scripts.bench.stage import Stage

TRUE = shutil.which("true") or "/bin/true"


@contextmanager
def commands(stage: Stage) -> Iterator[dict[str, tuple[tuple[str, ...], tuple[Peer, ...]]]]:
    """Each by the name that it has in the table: its words, and what must be installed for them.
    What they need besides is there, and goes at the end.
    """
    # `sem` keeps its counts below $PARALLEL_HOME, and `tsp` starts a server of its own.
    stage.env["PARALLEL_HOME"] = str(stage.folder / "parallel")
    stage.env["TS_SOCKET"] = str(stage.folder / "tsp.sock")
    stage.env["TMPDIR"] = str(stage.folder)
    etcd = serve_etcd(stage) if ETCD.is_here and ETCDCTL.is_here else ""
    stage.env["ETCDCTL_API"] = "3"
    try:
        yield {
            "flock": ((FLOCK.path, str(stage.folder / "lock"), TRUE), (FLOCK,)),
            "tsp -f": ((TSP.path, "-f", TRUE), (TSP,)),
            "sem --fg": ((SEM.path, "--fg", "--id", "bench", TRUE), (SEM,)),
            "etcdctl lock": (
                (ETCDCTL.path, "--endpoints", etcd, "lock", "bench", TRUE),
                (ETCD, ETCDCTL),
            ),
        }
    finally:
        if TSP.is_here:  # its server has left our family, so it would stay
            subprocess.run([TSP.path, "-K"], env=stage.env, capture_output=True, check=False)
