from pathlib import Path

import pytest

from tests.service.sensors.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A recorded Linux; its folder has a blank in its name, as a mount point may."""
    folder = tmp_path / "a machine"
    folder.mkdir()
    return Machine(folder)
