"""What is shipped of others is what they published, and their licence comes with it."""

import hashlib
import tomllib
from pathlib import Path

import admission_client

VENDOR = Path(admission_client.__file__).parent / "dashboard" / "static" / "vendor"
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_every_file_is_the_one_that_is_written_down() -> None:
    written = tomllib.loads((VENDOR / "vendor.toml").read_text())
    named = {
        f"{library}/{name}": digest
        for library, about in written.items()
        for name, digest in about["sha256"].items()
    }
    found = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "vendor.toml"
    }
    assert found == named


def test_every_licence_is_shipped() -> None:
    root = PYPROJECT.parent
    shipped = tomllib.loads(PYPROJECT.read_text())["project"]["license-files"]
    texts = {path for pattern in shipped for path in root.glob(pattern)}
    for library in tomllib.loads((VENDOR / "vendor.toml").read_text()):
        assert VENDOR.resolve() / library / "LICENSE" in {path.resolve() for path in texts}
