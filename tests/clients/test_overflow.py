"""What `run --overflow` goes by: the configuration, who is reached how, what is said of failures,
and what is ordered.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.core.placement import Trouble
from admission.protocol import BadConfiguration, Frame
from admission_client import lease
from admission_client.overflow import troubles
from admission_client.overflow.nodes import Node, Settings, read_settings
from admission_client.overflow.order import Order
from admission_client.overflow.reach import line_to, why_failed
from admission_client.overflow.session import Ending, end_like
from tests.clients.commands import Caller, command, run
from tests.clients.daemons import CONFIG, Daemon

OVER = ("run", "--pool", "one", "--overflow")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "c.toml"
    monkeypatch.setenv("ADMISSION_CONFIG", str(path))
    return path


def settings(config: Path, text: str) -> Settings:
    config.write_text(text)
    return read_settings()


# --- the configuration --------------------------------------------------------------------------


def test_a_node_has_its_own_ways_and_those_of_all_where_it_says_nothing(config: Path) -> None:
    found = settings(
        config,
        '[overflow]\nrunner = ["kubectl", "exec", "-i", "{node}", "--"]\nsync = ["x", "{cwd}"]\n'
        'folder = "/srv{cwd}"\n'
        '[overflow.nodes.pod-1]\nlabels = ["gpu"]\ncost = 2\n'
        '[overflow.nodes.b]\nssh = "ann@build2"\nsync = []\ncommand = ["/opt/admission"]\n',
    ).nodes
    pod, build = found["pod-1"], found["b"]
    assert pod.filled(pod.runner, "/w") == ["kubectl", "exec", "-i", "pod-1", "--"]
    assert (pod.labels, pod.cost, pod.folder_for("/w")) == (frozenset({"gpu"}), 2.0, "/srv/w")
    assert (build.runner, build.host, build.sync) == ((), "ann@build2", ())
    assert build.command == ("/opt/admission",)


def test_a_placeholder_fills_one_word_whatever_stands_in_it(config: Path) -> None:
    sync = '["rsync", "-a", "{cwd}/", "{host}:{folder}/"]'
    (node,) = settings(config, f"[overflow]\nsync = {sync}\n[overflow.nodes.b]\n").nodes.values()
    odd = "/a b; {host} $(x)"
    assert node.filled(node.sync, odd) == ["rsync", "-a", f"{odd}/", f"b:{odd}/"]


def test_without_a_configuration_there_are_no_nodes(config: Path) -> None:
    assert read_settings().nodes == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[overflow.nodes.b]\nssh = "-oProxyCommand=x"', "is no name of a host"),
        ('[overflow.nodes."a/b"]\n', "'a/b' is no name of a host"),
        ('[overflow.nodes.b]\nsync = ["{cwdd}"]', "{cwdd} in '{cwdd}' is none of {node}, {host}"),
        ('[overflow.nodes.b]\nshh = "x"', '[overflow.nodes]: unknown key "shh"'),
        ("[overflow]\nafters_s = 1", 'unknown key "afters_s"; did you mean "after_s"?'),
        ('[overflow]\non_disconnect = "stay"', "[overflow]: on_disconnect: "),
        ("[overflow", "is not valid TOML"),
    ],
)
def test_a_mistake_is_named(config: Path, text: str, said: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        settings(config, text)
    assert said in str(caught.value)
    assert str(config) in str(caught.value)


def test_of_what_a_fleets_node_says_only_the_name_of_its_host_is_heeded(config: Path) -> None:
    found = settings(config, '[overflow.nodes.own]\nssh = "mine"\n')
    offer: Frame = {"node": "x", "reach": {"ssh": "build9", "runner": ["rm", "-rf"]}}
    node = found.of_fleet(offer)
    assert node is not None
    assert (node.host, node.runner, node.command) == ("build9", (), ("admission",))
    assert found.of_fleet({"node": "own", "reach": {"ssh": "theirs"}}) == found.nodes["own"]
    nobody: list[Frame] = [
        {"node": "x", "reach": {"runner": ["rm", "-rf"]}},
        {"node": "x", "reach": {"ssh": "-oProxyCommand=x"}},
        {"node": "../x", "reach": {"ssh": "build9"}},
        {"node": 1},
    ]
    assert [found.of_fleet(one) for one in nobody] == [None] * 4
    by_runner = settings(config, '[overflow]\nrunner = ["on", "{node}"]\n')
    node = by_runner.of_fleet(nobody[0])
    assert node is not None
    assert node.runner == ("on", "{node}")


# --- the way there ------------------------------------------------------------------------------

BUILD = Node("b", "ann@build2", (), ("/opt/my admission",), (), (), "{cwd}")


def test_ssh_asks_nothing_and_what_the_other_shell_reads_is_quoted(config: Path) -> None:
    line = line_to(BUILD, read_settings(), "/w", "receive")
    assert line[:4] == ["ssh", "-T", "-o", "BatchMode=yes"]
    assert "ConnectTimeout=10" in line
    assert line[-3:] == ["--", "ann@build2", "'/opt/my admission' receive"]


@pytest.mark.parametrize(
    ("status", "said", "why"),
    [
        (
            255,
            "@@@\n@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\n"
            "Host key verification failed.\r\n",
            "has another host key than before; find out why, then `ssh-keygen -R ann@build2`",
        ),
        (
            255,
            "No ED25519 host key is known for b and you have requested strict checking.\r\n"
            "Host key verification failed.\r\n",
            "has a host key not known here; connect once: ssh ann@build2",
        ),
        (
            255,
            "ann@build2: Permission denied (publickey,password).\r\n",
            "does not let this user in without a question (ann@build2: Permission denied "
            "(publickey,password).); `ssh -o BatchMode=yes ann@build2 true` has to work",
        ),
        (
            255,
            "ssh: Could not resolve hostname build2: Name or service not known\r\n",
            "has a host name, ann@build2, that nobody knows",
        ),
        (
            255,
            "ssh: connect to host build2 port 22: Connection refused\r\n",
            "can't be reached (ssh: connect to host build2 port 22: Connection refused)",
        ),
        (
            255,
            "ssh: connect to host build2 port 22: Connection timed out\r\n",
            "can't be reached (ssh: connect to host build2 port 22: Connection timed out)",
        ),
        (
            127,
            "bash: line 1: admission: command not found\n",
            "has no /opt/my admission; install it there, or say where it is by `command` "
            "(bash: line 1: admission: command not found)",
        ),
        (2, 'admission: there is no command "receive"; did you mean "release"?\n', "older"),
        (1, "\x1b[2Jodd\n", "failed: [2Jodd"),
        (1, "", "failed: exit status 1"),
        (None, "", "did not answer in time"),
    ],
)
def test_each_failure_is_one_sentence(status: int | None, said: str, why: str) -> None:
    found = why_failed(BUILD, status, said.encode())
    assert (why in found) if why == "older" else (found == why)


def test_failures_are_counted_for_all_until_it_works_again() -> None:
    assert troubles.troubles_of(["b"]) == {}
    troubles.failed("b")
    troubles.failed("b")
    found = troubles.troubles_of(["b", "c"])
    assert found == {"b": Trouble(2, found["b"].ago_s)}
    assert 0 <= found["b"].ago_s < 60
    troubles.works("b")
    assert troubles.troubles_of(["b"]) == {}


# --- the order ----------------------------------------------------------------------------------

ORDER = Order(["sh", "-c", os.fsdecode(b"\xff")], ["--weight=1"], "/w", {"A": "ä"})


def test_an_order_comes_through_in_pieces_as_it_was() -> None:
    long = replace(ORDER, words=[*ORDER.words, "x" * 100_000])
    parts = list(long.parts())
    assert len(parts) > 1
    assert Order.read(b"".join(parts)) == long


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"words": ["x"], "options": [], "folder": "/", "env": {}, "more": 1}',
        b'{"words": [], "options": [], "folder": "/", "env": {}}',
        b'{"words": "x", "options": [], "folder": "/", "env": {}}',
        b'{"words": ["x\\u0000"], "options": [], "folder": "/", "env": {}}',
        b'{"words": ["x"], "options": [1], "folder": "/", "env": {}}',
        b'{"words": ["x"], "options": [], "folder": 1, "env": {}}',
        b'{"words": ["x"], "options": [], "folder": "/", "env": []}',
        b'{"words": ["x"], "options": [], "folder": "/", "env": {"A": 1}}',
        b'{"words": ["x"], "options": [], "folder": "/", "env": {}, "rows": -1}',
        b'{"words": ["x"], "options": [], "folder": "/", "env": {}, "on_disconnect": "stay"}',
    ],
)
def test_what_is_no_order_is_refused(said: bytes) -> None:
    with pytest.raises(ValueError, match="the order"):
        Order.read(said)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@given(st.sampled_from(list(asdict(ORDER))), json_values)
def test_whatever_an_order_holds_it_is_read_or_refused(name: str, value: object) -> None:
    said = json.dumps({**asdict(ORDER), name: value}).encode()
    with suppress(ValueError):
        order = Order.read(said)
        assert Order.read(b"".join(order.parts())) == order


def test_an_order_for_a_terminal_says_its_size() -> None:
    order = replace(ORDER, rows=24, columns=80)
    assert Order.read(b"".join(order.parts())) == order


def test_a_signal_that_no_caller_looks_for_is_a_status() -> None:
    assert end_like(Ending(3)) == 3
    assert end_like(Ending(signal="KILL")) == 137
    assert end_like(Ending(signal="SEGV")) == 139
    assert end_like(Ending(signal="of no such name")) == 137


# --- the command --------------------------------------------------------------------------------


def test_without_any_node_it_says_where_to_name_one(
    daemon: Daemon, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)
    config.write_text(CONFIG)
    with lease("one", socket=daemon.path):
        said = run(*command(*OVER, "--no-wait", "--", "true"))
    assert said.status == 78
    assert said.err == (
        f"admission: --overflow needs other nodes: name them in {config}, each by a table "
        "[overflow.nodes.NAME]\n"
    )


def test_where_there_is_room_here_nothing_is_asked_of_any_node(
    daemon: Daemon, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)
    config.write_text("this is not read")
    said = run(*command(*OVER, "--", "sh", "-c", "echo $ADMISSION_LEASE"))
    assert (said.status, said.err) == (0, "")
    assert int(said.out) > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--labels", "gpu"], 'run: "--labels" is for "--overflow"'),
        (["--overflow-after", "1m"], 'run: "--overflow-after" is for "--overflow"'),
        (["--hold", "connection"], '"--hold connection" can\'t go with "--overflow"'),
        (["--tty"], '"--tty" needs a terminal as standard input'),
    ],
)
def test_options_that_can_not_be_together_are_refused(
    call: Caller, options: list[str], said: str
) -> None:
    over = [] if "is for" in said else ["--overflow"]
    found = call("run", *over, *options, "--", "true")
    assert found.status == 2
    assert said in found.err


def test_a_keeper_that_nobody_speaks_to_ends(call: Caller) -> None:
    """Its standard input is at its end."""
    said = run(*command("receive"))
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("admission-receive 1\n")
