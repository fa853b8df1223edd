"""Configuration, environment, and which `admission` a shell finds."""

import difflib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from admission.protocol import BadConfiguration, throttle_disabled_by
from admission.service.checkup.finding import Finding, ok, problem, warning
from admission.service.checkup.scene import Scene
from admission.service.config import default_path, load
from admission.service.thresholds import THRESHOLD_VARIABLES

PREFIX = "ADMISSION_"
# Those that are read, and those that a command under a lease finds, or one that notifies.
KNOWN = (
    "ADMISSION_AUTOSTART",
    "ADMISSION_BATCH_SIZE",
    "ADMISSION_CONFIG",
    "ADMISSION_DELAY_MS",
    "ADMISSION_DISABLE_THROTTLE",
    "ADMISSION_FAIL",
    "ADMISSION_FENCE",
    "ADMISSION_LEASE",
    "ADMISSION_LEVEL",
    "ADMISSION_LOG",
    "ADMISSION_LOG_FORMAT",
    "ADMISSION_MAX_CONCURRENT",
    "ADMISSION_NOTICE",
    "ADMISSION_REASONING_EFFORT",
    "ADMISSION_SOCKET",
    "ADMISSION_TEXT",
    "ADMISSION_TITLE",
    "ADMISSION_WRAPPED",
)
# What each may be set to, where it is but a few words; the first one is what to write.
WORDS = {
    "ADMISSION_AUTOSTART": ("0", "1", ""),
    "ADMISSION_FAIL": ("open", "closed", ""),
    "ADMISSION_LOG_FORMAT": ("text", "json", ""),
    "ADMISSION_LOG": ("info", "debug", "warning", "error", "critical", ""),
}


def check_configuration(scene: Scene) -> Iterator[Finding]:
    """Which file is read, and whether it can be."""
    path = Path(scene.config) if scene.config else default_path()
    try:
        load(scene.config)
    except BadConfiguration as wrong:
        advice = 'correct it; "admission reload" puts it in force'
        yield problem("configuration", str(wrong), advice)
        return
    by_hand = [name for name in THRESHOLD_VARIABLES if scene.environ.get(name)]
    also = f"; the environment sets {', '.join(by_hand)}" if by_hand else ""
    try:
        mode = path.stat().st_mode
    except OSError:
        yield ok("configuration", f"the defaults, as there is no {path}{also}")
        return
    if stat.S_IMODE(mode) & 0o022:
        yield warning(
            "configuration",
            f"{path} can be changed by others (mode {stat.S_IMODE(mode):o})",
            f'make it yours: "chmod go-w {path}"',
        )
    else:
        yield ok("configuration", f"{path}{also}")


def check_environment(scene: Scene) -> Iterator[Finding]:
    """Variables that change what is done, and those that look as if they would."""
    off = throttle_disabled_by(dict(scene.environ))
    if off is not None:
        yield warning(
            "environment",
            f"{off} is set: a daemon that starts from here throttles nothing",
            f"unset {off}",
        )
    ours = sorted(name for name in scene.environ if name.startswith(PREFIX))
    unknown = [name for name in ours if name not in KNOWN]
    for name in unknown:
        close = difflib.get_close_matches(name, KNOWN, n=1)
        advice = f"did you mean {close[0]}?" if close else f"unset it: {', '.join(KNOWN)} are known"
        yield warning("environment", f"{name} is set, and nothing reads it", advice)
    wrong = [
        name for name, words in WORDS.items() if scene.environ.get(name, "").lower() not in words
    ]
    for name in wrong:
        says = f'{name} is "{scene.environ[name]}", which means nothing'
        yield warning("environment", says, f'write "{WORDS[name][0]}", or unset it')
    if off is None and not unknown and not wrong:
        shown = ", ".join(f"{name}={scene.environ[name]}" for name in ours)
        yield ok("environment", shown or "nothing is set")


def check_command(scene: Scene) -> Iterator[Finding]:
    """Whether a hook or a script that says `admission` gets this installation."""
    folder = os.path.dirname(sys.executable)
    own = os.path.join(folder, "admission")
    found = shutil.which("admission", path=scene.environ.get("PATH", os.defpath))
    if found is None:
        yield warning(
            "command",
            "no command admission is on the PATH, so hooks and scripts don't find it",
            f"add {folder} to PATH" if os.path.exists(own) else "install the package",
        )
    elif os.path.exists(own) and not os.path.samefile(found, own):
        yield warning(
            "command",
            f"{found} comes first on the PATH, and this is {own}",
            "remove one of them, or change the order of PATH",
        )
    else:
        yield ok("command", found)
