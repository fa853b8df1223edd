"""The command `shim`: wrappers by which programs are admitted that are started as ever.

A shim is a small script of the program's own name, in a folder earlier on the path. It finds the
real program behind itself and runs it under `admission run`. What a person sits in front of it
leaves alone, unless told otherwise: such a session would hold its slot for hours, and hooks
(`admission hook install`) hold one for a turn.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

from admission.protocol import Frame, NotPermitted
from admission_client.files import own_program, replace_file
from admission_client.hook.caller import HEADLESS, NO_AGENT, NO_AGENT_OF_ANY
from admission_client.options import JSON, Option, Options, WrongUsage, parse
from admission_client.output import as_json

MARK = "# admission shim"
WRAPPER = "wrapper"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
USAGE = "shim [options] install|uninstall|status [PROGRAM]"
ABOUT = (
    "Puts a script of PROGRAM's name into a folder earlier on the path, which runs the real one\n"
    "under `admission run`. Sessions that a person sits in front of run as ever.\n\n"
    "  admission shim install claude\n"
    "  admission shim install wrapper    for CLAUDE_CODE_PROCESS_WRAPPER: takes a slot if there\n"
    "                                    is one, and never waits"
)

SHIM = """\
#!/bin/sh
{mark} of {name}: "admission shim uninstall {name}" removes it.
# The real one is the first on the path that is neither here nor a shim itself.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
real=
IFS=:
set -f
for folder in $PATH; do
    at=$(CDPATH= cd -- "${{folder:-.}}" 2>/dev/null && pwd -P) || continue
    [ "$at" != "$here" ] && [ -f "$at/{name}" ] && [ -x "$at/{name}" ] || continue
    case $(head -n 2 -- "$at/{name}" 2>/dev/null | tr -d '\\000') in *"{mark}"*) continue ;; esac
    real=$at/{name}
    break
done
unset IFS
set +f
if [ -z "$real" ]; then
    echo "{name}: there is no {name} on the path but the shim of admission" >&2
    exit 127
fi
case ${{1-}} in {passed}) exec "$real" "$@" ;; esac
{headless}if [ ! -x {admission} ]; then
    echo "{name}: admission is gone: running without a slot" >&2
    exec "$real" "$@"
fi
exec {admission} run --task {name} -- "$real" "$@"
"""
ONLY_HEADLESS = """\
# A session that a person sits in front of is none of ours.
is_headless=
for word in "$@"; do
    case $word in
    --) break ;;
    {words}) is_headless=1 ;;
    esac
done
[ -n "$is_headless" ] || exec "$real" "$@"
"""
WRAP = """\
#!/bin/sh
{mark}: becomes the command that it is given, at once, and registers it beside that: the slot is
# taken if there is one, and nobody waits for it. The command's PID is this script's own.
case ${{2-}} in
daemon | bg-pty-host | bg-spare | --bg-spare) exec "$@" ;; # they keep agents, and are none
esac
if [ "$ADMISSION_WRAPPED" != $$ ] && [ -x {admission} ]; then
    ADMISSION_WRAPPED=$$
    export ADMISSION_WRAPPED
    (
        exec </dev/null >/dev/null 2>&1
        {admission} acquire --no-wait --quiet --pid $$ --task "${{1##*/}}" &
    )
fi
exec "$@"
"""


def shim(words: list[str]) -> int:
    """Installs, removes, or looks."""
    options = parse(
        words,
        (
            Option("--dir", "folder", "where the shims lie", "DIR"),
            Option("--always", "always", "admit sessions with a person in front of them, too"),
            JSON,
        ),
        USAGE,
        ABOUT,
    )
    folder = _folder(options.folder)
    match options.words:
        case ["install", name]:
            return _install(_checked(name), folder, options)
        case ["uninstall", name]:
            return _uninstall(_checked(name), folder, options)
        case ["status"]:
            return _status(folder, options)
        case _:
            raise WrongUsage(f"shim: write admission {USAGE}")


def script_of(name: str, admission: str, *, always: bool) -> str:
    """The script for this program.

    Args:
        name: the program's.
        admission: where `admission` lies.
        always: also where a person sits in front of it.
    """
    quoted = shlex.quote(admission)
    if name == WRAPPER:
        return WRAP.format(mark=MARK, admission=quoted)
    marks = HEADLESS.get(name, ())
    words = "|".join([*marks, *(f"{one}=*" for one in marks if one.startswith("--"))])
    only = ONLY_HEADLESS.format(words=words) if words and not always else ""
    passed = "|".join((*NO_AGENT_OF_ANY, *NO_AGENT.get(name, ())))
    return SHIM.format(mark=MARK, name=name, admission=quoted, passed=passed, headless=only)


def _checked(name: str) -> str:
    if NAME.fullmatch(name):
        return name
    raise WrongUsage(f'shim: "{name}" is no name of a program; write it without its folder')


def _folder(given: str | None) -> Path:
    if given is not None:
        return Path(given).absolute()
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(home) / "admission" / "shims"


def _install(name: str, folder: Path, options: Options) -> int:
    path = _path(name, folder)
    if path.exists() and not _is_shim(path):
        raise NotPermitted(f"{path} is no shim of ours; choose another folder with --dir")
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(path, script_of(name, own_program(), always=options.always), 0o755)
    except OSError as problem:
        raise NotPermitted(f"{path} can't be written: {problem.strerror}") from None
    if name == WRAPPER:
        next_ = f"export CLAUDE_CODE_PROCESS_WRAPPER={shlex.quote(str(path))}"
    else:
        next_ = f"export PATH={shlex.quote(str(folder))}:$PATH" if not _is_first(path) else ""
    if options.json:
        print(as_json({"installed": str(path), "next": next_}))
    else:
        print(f"installed {path}")
        if next_:
            print(f"add this to what your shell starts with:\n  {next_}")
    return 0


def _uninstall(name: str, folder: Path, options: Options) -> int:
    path = _path(name, folder)
    is_there = path.exists()
    if is_there and not _is_shim(path):
        raise NotPermitted(f"{path} is no shim of ours; it is left alone")
    if is_there:
        path.unlink()
    if options.json:
        print(as_json({"removed": [str(path)] if is_there else []}))
    else:
        print(f"removed {path}" if is_there else f"there is no {path}")
    return 0


def _status(folder: Path, options: Options) -> int:
    found = sorted(path for path in folder.glob("*") if _is_shim(path)) if folder.exists() else []
    rows: list[Frame] = [
        {"shim": str(path), "in_force": path.name == "admission-wrapper" or _is_first(path)}
        for path in found
    ]
    if options.json:
        print(as_json({"shims": rows}))
        return 0
    for row in rows:
        note = "" if row["in_force"] else "   (another one comes before it on the path)"
        print(f"{row['shim']}{note}")
    if not rows:
        print(f"there are no shims in {folder}")
    return 0


def _path(name: str, folder: Path) -> Path:
    return folder / ("admission-wrapper" if name == WRAPPER else name)


def _is_shim(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return MARK in file.read(400)
    except OSError:
        return False


def _is_first(path: Path) -> bool:
    """Whether it is what a shell finds by its name."""
    first = shutil.which(path.name)
    return first is not None and os.path.realpath(first) == os.path.realpath(path)
