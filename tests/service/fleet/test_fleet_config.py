"""`[fleet]` and fleet pools in the configuration, and what every mistake is told."""

import os
from pathlib import Path

import pytest

from admission.core.levels import PoolSpec
from admission.service.config import FleetConfig, parse
from tests.service.test_config import mistake

FLEET = '[fleet]\nendpoints = ["https://etcd1:2379"]\n'


def test_a_fleet_is_named_by_its_endpoints() -> None:
    assert parse("[fleet]\nnode = 'a'", "c.toml").fleet == FleetConfig()
    config = parse(
        f'{FLEET}node = "build-1"\nlabels = ["gpu"]\ncost = 2\n'
        'reach = { ssh = "b", runner = ["k"] }\n'
        '[pools.api]\nscope = "fleet"\ncapacity = 20',
        "c.toml",
    )
    assert config.fleet == FleetConfig(
        ("https://etcd1:2379",),
        "build-1",
        labels=("gpu",),
        cost=2.0,
        reach={"ssh": "b", "runner": ["k"]},
    )
    assert config.pools[-1] == PoolSpec("api", (20,) * 4, is_fleet=True)
    assert parse(FLEET, "c.toml").fleet.node == os.uname().nodename.partition(".")[0]


def test_the_password_is_the_first_line_of_a_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse \nnot this\n")
    account = f'user = "node"\npassword_file = "{tmp_path}/password"\n'
    config = parse(FLEET + account, "c.toml")
    assert config.fleet.password == "correct horse "
    assert "horse" not in repr(config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[fleet]\nendpoints = ["10.0.0.9:2379"]', "[fleet]: endpoints"),
        ('[fleet]\nendpoint = "x"', 'unknown key "endpoint"; did you mean "endpoints"?'),
        (f'{FLEET}node = "a/b"', "[fleet]: node"),
        (f'{FLEET}when_away = "grant"', "[fleet]: when_away"),
        (f'{FLEET}user = "node"', "user and password_file come together"),
        (f'{FLEET}user = "x"\npassword_file = "/nonesuch/x"', "/nonesuch/x can't be read"),
        ('[pools.api]\nscope = "fleet"\ncapacity = 2', "no fleet is named"),
        (f'{FLEET}[pools.agents]\nscope = "fleet"\ncapacity = 2', "can't be the fleet's"),
        (f'{FLEET}[pools.api]\nscope = "fleet"\ncapacity = "max_agents"', "is one number"),
        (f'{FLEET}[pools.api]\nscope = "world"\ncapacity = 2', "scope"),
    ],
)
def test_a_mistake_about_a_fleet_is_told(text: str, said: str) -> None:
    assert said in mistake(text)
