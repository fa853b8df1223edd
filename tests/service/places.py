"""What tests of the daemon's folder and files share; their fixtures are in conftest."""

import os
import stat
from pathlib import Path

import pytest

ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root gives files to others")
NOBODY, GROUP = 65534, 4711


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)
