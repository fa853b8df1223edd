"""Files of the user's that commands write: where we are, and how another file is replaced."""

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def own_program() -> str:
    """Where `admission` lies, for whoever is to call it with another PATH than ours."""
    here = Path(sys.argv[0])
    if here.name == "admission" and os.access(here, os.X_OK):
        return str(here.absolute())
    return shutil.which("admission") or "admission"


def state_folder() -> Path:
    """Where what is to outlast us is written."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "admission"


def config_path() -> Path:
    """Where the configuration is, if there is one."""
    if given := os.environ.get("ADMISSION_CONFIG"):
        return Path(given)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "admission" / "config.toml"


def replace_file(path: Path, text: str, mode: int) -> None:
    """Puts a new file with this text and these permissions in the place of another, or of none:
    whole, or not at all.

    Raises:
        OSError: it can't be written; what was there is as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
