"""The wait here against the ways elsewhere: who wins, when anybody looks, and who is looked at."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from admission.core.placement import Offer
from admission.protocol import BadConfiguration, Frame, NoSlot
from admission_client import aio
from admission_client.granted import claim_fields
from admission_client.hold import RUN
from admission_client.options import Options, parse
from admission_client.overflow import troubles
from admission_client.overflow.contest import Contest
from admission_client.overflow.nodes import read_settings
from admission_client.overflow.order import order_of
from admission_client.overflow.peers import Peers
from admission_client.overflow.session import Session
from tests.clients.daemons import COMMAND, Daemon
from tests.clients.impostors import Impostor, answers, refuses

pytestmark = pytest.mark.trio

# Says that it was asked, and then what `status` says.
STATUS: Frame = {
    "capacity": {"agents": 5},
    "in_use": {"agents": 2},
    "waiting": {"agents": 1},
}


Configure = Callable[[str], object]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Writes the configuration."""
    path = tmp_path / "c.toml"
    monkeypatch.setenv("ADMISSION_CONFIG", str(path))
    return path.write_text


def node(*line: str, more: str = "") -> str:
    """A table of a node that this command line reaches."""
    return f"[overflow.nodes.b]\nrunner = {json.dumps(line)}\n{more}"


def printing(text: str, status: int = 0) -> str:
    """One that prints this, whatever it is asked."""
    return node(sys.executable, "-c", f"import sys; print({text!r}); sys.exit({status})")


def options_of(*words: str) -> Options:
    return parse([*words, "--", "true"], RUN, "run [options] -- COMMAND", "")


def contest(*words: str) -> Contest:
    options = options_of("--overflow", "--quiet", *words)
    return Contest(options, claim_fields(pool=options.pool), read_settings())


# --- who wins -----------------------------------------------------------------------------------


async def test_a_grant_that_comes_when_a_node_has_won_goes_to_the_next_one(
    daemon: Daemon, config: Configure
) -> None:
    """Both are on their way in the same moment; the node's was read first."""
    config(printing("{}"))
    found = contest("--pool", "one")
    found._session = Session.__new__(Session)
    async with aio.Client(daemon.path) as client:
        granted = await client.acquire(claim_fields(pool="one"), 0.0)
        await found._have(granted, client)
        assert found.lease is None
        await client.release(await client.acquire(claim_fields(pool="one"), 0.0))


async def test_a_grant_that_comes_first_stays_and_nobody_is_asked_any_more(
    daemon: Daemon, config: Configure
) -> None:
    config(printing("{}"))
    found = contest("--pool", "one")
    async with aio.Client(daemon.path) as client:
        granted = await client.acquire(claim_fields(pool="one"), 0.0)
        await found._have(granted, client)
        assert found.lease is granted
        assert found._elsewhere.cancel_called
        await client.release(granted)


async def test_without_a_wait_there_is_one_look_and_then_the_refusal(config: Configure) -> None:
    config(printing(json.dumps({**STATUS, "in_use": {"agents": 5}})))
    found = contest("--no-wait")
    await found.run()
    assert isinstance(found.problem, NoSlot)
    assert found._told == {"no other node takes it now (b: full); it waits here"}


async def test_a_working_directory_that_can_not_be_brought_is_a_failure_of_the_node(
    config: Configure,
) -> None:
    """And what the node has admitted by then never begins."""
    admits = (
        "import sys; from admission.protocol import encode; out = sys.stdout.buffer\n"
        f"if sys.argv[1:] == ['admission', 'status', '--json']: print({json.dumps(STATUS)!r})\n"
        "else: out.write(b'admission-receive 1\\n' + encode({'kind': 'admitted', "
        "'lease': b'{}', 'kept_in': ''})); out.flush(); sys.stdin.read()"
    )
    sync = "sync = ['sh', '-c', 'echo No space left >&2; exit 11']\n"
    config(node(sys.executable, "-c", admits, more=sync))
    for failures in (1, 2):
        found = contest("--no-wait")
        await found.run()
        assert isinstance(found.problem, NoSlot)
        assert (
            "node b: the working directory can't be brought there (sh ended with 11: No space left)"
            in found._told
        )
        assert troubles.troubles_of(["b"])["b"].failures == failures


@pytest.mark.parametrize(
    ("fetch", "status", "ends"),
    [
        ("exit 11", 0, None),  # what did not come back is no success
        ("exit 11", 3, 3),
        ("exit 0", 0, 0),
    ],
)
async def test_what_the_command_left_is_brought_back(
    config: Configure, fetch: str, status: int, ends: int | None
) -> None:
    runs = (
        "import sys; from admission.protocol import encode; out = sys.stdout.buffer\n"
        f"if sys.argv[1:] == ['admission', 'status', '--json']: print({json.dumps(STATUS)!r})\n"
        "else: out.write(b'admission-receive 1\\n' + encode({'kind': 'admitted', "
        "'lease': b'{}', 'kept_in': ''}) + encode({'kind': 'ended', "
        f"'status': {status}}})); out.flush(); sys.stdin.read()"
    )
    config(node(sys.executable, "-c", runs, more=f"fetch = ['sh', '-c', '{fetch}']\n"))
    found = contest("--no-wait")
    await found.run()
    assert (None if found.ending is None else found.ending.status) == ends
    said = "node b: what the command left can't be brought back (sh ended with 11)"
    assert (str(found.problem) == said) == (ends is None)
    assert found.has_gone


async def test_the_run_there_is_told_what_the_run_here_was(config: Configure) -> None:
    config("[overflow]\npass_env = ['WORD', 'NOT_SET']\nfolder = '/srv{cwd}'\n[overflow.nodes.b]\n")
    words = [
        "--by",
        "60",
        "--max-hold",
        "2h",
        "--end-after-max",
        "--ttl",
        "30s",
        "--class",
        "batch",
    ]
    words += [
        "--task",
        "a b",
        "--weight",
        "2",
        "--jobserver",
        "--keep-effort",
        "--park-signal",
        "INT",
    ]
    options = options_of(*words, "--pass-env", "MORE,")
    settings = read_settings()
    with patch.dict("os.environ", {"WORD": "x", "MORE": "y"}):
        order = order_of(options, {"workspace": "w"}, 20.0, settings.nodes["b"], settings, "/w")
    assert order.words == ["true"]
    assert (order.folder, order.env) == ("/srv/w", {"WORD": "x", "MORE": "y"})
    said = parse([*order.options, "--", "true"], RUN, "run [options] -- COMMAND", "")
    same = "max_hold_s end_after_max ttl_s class_ task weight jobserver keeps_effort park_signal"
    for name in same.split():
        assert getattr(said, name) == getattr(options, name), name
    assert said.by_s == pytest.approx(40.0, abs=1)
    assert said.workspace == "w"


# --- when anybody looks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "eta_s", "looks"),
    [
        ((), 31.0, True),
        ((), 29.0, False),
        ((), None, False),
        (("--overflow-after", "5m"), 31.0, False),
        (("--overflow-after", "5m"), 301.0, True),
        (("--wait", "20s"), 11.0, True),  # half of the wait at the latest
    ],
)
async def test_who_would_wait_for_longer_than_the_bound_need_not_wait_for_that(
    config: Configure, words: tuple[str, ...], eta_s: float | None, looks: bool
) -> None:
    config(printing("{}"))
    found = contest(*words)
    found._hear({"position": 1, "of": 1, "reason": "5 of 5 agents run", "eta_s": eta_s})
    assert found._in_time.is_set() == looks


# --- who is looked at ---------------------------------------------------------------------------


async def offers_of(config: Configure, table: str) -> tuple[list[Offer], list[str]]:
    config(table)
    found, failures = await Peers(read_settings(), "agents", "/", None).offers()
    return found, [str(one) for one in failures]


async def test_a_node_of_the_configuration_says_its_own_state(config: Configure) -> None:
    troubles.failed("b")
    said = "Welcome [friend]\n" + json.dumps(STATUS, indent=2)
    found = await offers_of(config, printing(said) + 'labels = ["gpu"]\ncost = 2\n')
    assert found == ([Offer("b", 5, 2, 1, frozenset({"gpu"}), 2.0)], [])


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({**STATUS, "paused": {"agents": None}}, "paused"),
        ({**STATUS, "paused": {"operations": 5.0}}, "open"),
        ({**STATUS, "capacity": {"operations": 3}}, "has no pool agents"),
    ],
)
async def test_what_a_node_can_not_grant_is_no_room(
    config: Configure, status: Frame, state: str
) -> None:
    ((offer,), failures) = await offers_of(config, printing(json.dumps(status)))
    assert (offer.state, failures) == (state, [])


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (printing("no JSON"), "node b does not say its state as this version of admission does"),
        (printing("[1]"), "node b does not say its state as this version of admission does"),
        (printing("{}"), "node b does not say its state as this version of admission does"),
        (printing("", 3), "node b failed: exit status 3"),
        (node("/nonexistent/x"), "node b can't be reached: /nonexistent/x: No such file or direc"),
        (
            node(
                "env",
                "ADMISSION_SOCKET=/nonexistent/s",
                *COMMAND[:-1],
                more=f"command = [{COMMAND[-1]!r}]\n",
            ),
            "node b failed: admission: no daemon answers at /nonexistent/s",
        ),
    ],
)
async def test_a_node_that_fails_says_why_and_is_remembered(
    config: Configure, table: str, why: str
) -> None:
    ((offer,), (failure,)) = await offers_of(config, table)
    assert failure.startswith(why)
    assert offer.state == "failed just now"
    assert troubles.troubles_of(["b"])["b"].failures == 1


async def test_a_node_that_does_not_answer_is_waited_for_no_longer_than_its_bound(
    config: Configure,
) -> None:
    slow = node("sh", "-c", "sleep 600")
    _, failures = await offers_of(config, f"[overflow]\nconnect_s = 0.2\n{slow}")
    assert failures == ["node b did not answer in time"]


async def test_who_rests_is_not_asked(config: Configure, tmp_path: Path) -> None:
    troubles.failed("b")
    troubles.failed("b")
    asked = tmp_path / "asked"
    ((offer,), failures) = await offers_of(config, node("touch", str(asked)))
    assert (offer.room, failures, asked.exists()) == (0, [], False)


# --- the fleet ----------------------------------------------------------------------------------

TOLD: Frame = {
    "node": "far",
    "level": 0,
    "capacity": 5,
    "out": 1,
    "waiting": 0,
    "labels": ["cloud"],
    "cost": 3,
    "state": "cordoned",
    "reach": {"ssh": "far.example"},
    "seen_s": 4000.0,
    "pools": {"operations": 3},
    "self": False,
}


async def fleet_of(
    tmp_path: Path, config: Configure, fleet: Frame, pool: str = "agents"
) -> tuple[list[Offer], Peers]:
    config("")
    path = str(tmp_path / pool)
    with Impostor(path, [[answers(fleet)]]):
        peers = Peers(read_settings(), pool, "/", path)
        offers, _ = await peers.offers()
    return offers, peers


async def test_the_fleets_nodes_are_known_by_this_machines_daemon(
    tmp_path: Path, config: Configure
) -> None:
    nodes = [TOLD, {**TOLD, "node": "own", "self": True}, {"node": "odd"}, {**TOLD, "reach": {}}]
    offers, peers = await fleet_of(tmp_path, config, {"state": "joined", "nodes": nodes})
    assert offers == [Offer("far", 5, 1, 0, frozenset({"cloud"}), 3.0, "cordoned", 0.0)]
    assert peers.nodes["far"].host == "far.example"


async def test_what_a_fleet_said_that_is_away_is_old(tmp_path: Path, config: Configure) -> None:
    (offer,), _ = await fleet_of(tmp_path, config, {"state": "away", "nodes": [TOLD]})
    assert offer.age_s > 1e9


async def test_of_another_pool_a_node_of_the_fleet_says_how_large_it_is(
    tmp_path: Path, config: Configure
) -> None:
    fleet: Frame = {"state": "joined", "nodes": [TOLD]}
    (offer,), _ = await fleet_of(tmp_path, config, fleet, "operations")
    assert (offer.capacity, offer.out) == (3, 0)
    assert (await fleet_of(tmp_path, config, fleet, "other"))[0] == []


@pytest.mark.parametrize("code", ["no_fleet", "unknown_op"])
async def test_without_nodes_and_without_a_fleet_it_can_not_be_asked_for(
    tmp_path: Path, config: Configure, code: str
) -> None:
    config("")
    path = str(tmp_path / "s")
    peers = Peers(read_settings(), "agents", "/", path)
    said = pytest.raises(BadConfiguration, match=r"name them in .*, each by a table")
    with Impostor(path, [[refuses(code, "there is none")]]), said:
        await peers.check()
