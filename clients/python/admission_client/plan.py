"""Files to be written or removed and commands to be run: all of it, or the files as before."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from admission.protocol import AdmissionError, Frame, Unavailable
from admission_client import managers
from admission_client.managers import Command, Manager
from admission_client.units import is_as_written


class Plan(NamedTuple):
    """What is to be written (None: removed) and run, in this order; `undo`: where that fails."""

    before: list[Command]
    files: dict[Path, str | None]
    after: list[Command]
    undo: list[Command]

    def lines(self) -> list[str]:
        """For a person to read."""
        shown = [f"run {' '.join(one)}" for one in self.before]
        for path, text in self.files.items():
            shown += [f"remove {path}"] if text is None else [f"write {path}", _indented(text)]
        return shown + [f"run {' '.join(one)}" for one in self.after]

    def as_map(self) -> Frame:
        return {
            "run_before": [list(one) for one in self.before],
            "files": {str(path): text for path, text in self.files.items()},
            "run_after": [list(one) for one in self.after],
        }


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def carry_out(plan: Plan, manager: Manager) -> list[str]:
    """Does it all, or, where a command fails, leaves the files as they were. Gives the names under
    which files are kept that somebody else wrote or changed.
    """
    undo: list[tuple[Path, Path | str | None]] = []
    kept: list[str] = []
    try:
        for command in plan.before:
            managers.ask(command)  # what is not there need not be stopped
        for path, text in plan.files.items():
            before = _set_aside(path)
            undo.append((path, before))
            if isinstance(before, Path):
                kept.append(str(before))
            if text is None:
                path.unlink(missing_ok=True)
            else:
                _write(path, text)
        for command in plan.after:
            _run(command)
    except (AdmissionError, OSError) as problem:
        _undo(plan, undo, manager)
        if isinstance(problem, AdmissionError):
            raise
        where = problem.filename or "a file"
        raise Unavailable(
            f"{where} can't be written ({problem.strerror}); the files are as they were before",
            "no_service_manager",
        ) from None
    return kept


def _undo(plan: Plan, files: list[tuple[Path, Path | str | None]], manager: Manager) -> None:
    for command in plan.undo:
        managers.ask(command)
    for path, before in reversed(files):
        if isinstance(before, Path):
            before.replace(path)
        elif before is None:
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
        else:
            _write(path, before)
    for command in manager.forget():
        managers.ask(command)


def _run(command: Command) -> None:
    done = managers.ask(command)
    if done.returncode:
        raise Unavailable(
            f'"{" ".join(command)}" failed: {managers.last_words(done)}; the files are as they '
            'were before; "admission serve --replace --detach" goes on from a daemon that ran',
            "no_service_manager",
        )


def _set_aside(path: Path) -> Path | str | None:
    """What is at this path: its text where we wrote it; else it gets another name, which is given;
    None where nothing is.
    """
    if not os.path.lexists(path):
        return None
    text = read_text(path)
    if text is not None and not path.is_symlink() and is_as_written(text):
        return text
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.before-{number}")):
        number += 1
    path.rename(aside)
    return aside


def _write(path: Path, text: str) -> None:
    """Whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(fresh, flags, 0o644), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
