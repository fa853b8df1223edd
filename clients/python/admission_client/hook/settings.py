"""Puts the hooks into an agent's settings, takes them out, and says how it stands.

The file is somebody's: what is not ours stays to the last comment, a copy is kept of what was, and
a file that can't be read is not written.
"""

import difflib
import json
import os
import shlex
from pathlib import Path

from admission.protocol import BadConfiguration, Frame, NotPermitted
from admission_client.files import replace_file
from admission_client.hook import jsonc
from admission_client.hook.entries import KINDS, Groups, groups, is_ours, path_of, program
from admission_client.options import (
    AGENT,
    AGENTS,
    JSON,
    OPERATIONS,
    SOCKET,
    Option,
    Options,
    WrongUsage,
    parse,
    take_no_words,
)
from admission_client.output import as_json

TABLE = (
    AGENT,
    Option("--project", "is_project", "in this folder's settings, for all who work in it"),
    Option("--dry-run", "dry_run", "show the difference, and change nothing"),
    OPERATIONS,
    SOCKET,
    JSON,
)
ABOUT = {
    "install": "Has an agent ask for admission: a slot for each turn and subagent, and one of\n"
    "`operations` for each heavy command. May be repeated; a copy of the file is kept.",
    "uninstall": "Takes the hooks out of an agent's settings again, and nothing else.",
    "status": "Which agents ask for admission.",
}
BACKUP = ".before-admission"
# What is not there.
EMPTY = jsonc.Node({}, 0)


def change(what: str, words: list[str]) -> int:
    """One of `install`, `uninstall` and `status`."""
    name = f"hook {what}"
    options = parse(words, TABLE, f"{name} [options]", ABOUT[what])
    take_no_words(name, options)
    if what == "status":
        return _status(options)
    if options.agent is None:
        raise WrongUsage(f"{name}: say whose: --agent {', '.join(AGENTS)}")
    path = path_of(options.agent, is_project=options.is_project)
    before = read(path)
    if what == "install":
        wanted = groups(options.agent, program(is_project=options.is_project), _more(options))
        after = installed(before, wanted, str(path))
    else:
        after = uninstalled(before, str(path))
    if after != before and not options.dry_run:
        write(path, after, before)
    _report(what, options, path, before, after)
    return 0


def _more(options: Options) -> list[str]:
    """What the agent is to give us at every event."""
    given = (("--operations", options.operations), ("--socket", options.socket))
    return [word for name, value in given if value is not None for word in (name, value)]


# --- the text -------------------------------------------------------------------------------------


def installed(text: str, wanted: Groups, where: str) -> str:
    """The settings with these hooks; others of ours are replaced.

    Raises:
        BadConfiguration: the text is none that hooks could be put into. Likewise below.
    """
    if _in_order(_ours(text, where)) == _in_order(wanted):
        return text
    text = uninstalled(text, where)
    if not text.strip():
        text = "{}\n"
    root = _root(text, where)
    if root.get("hooks") is None:
        text = jsonc.add(text, root, {}, "hooks")
    for event, group in wanted:
        hooks = _hooks(_root(text, where), where)
        there = hooks.get(event)
        if there is None:
            text = jsonc.add(text, hooks, [group], event)
        elif isinstance(there.value, list):
            text = jsonc.add(text, there, group)
        else:
            raise _unusable(where, f"hooks.{event} is no list")
    return text


def uninstalled(text: str, where: str) -> str:
    """The settings without our hooks, and without what was there only for them."""
    while (cut := _first_cut(text, where)) is not None:
        text = jsonc.remove(text, *cut)
    return text


def _first_cut(text: str, where: str) -> tuple[jsonc.Node, int] | None:
    """The first thing that is ours, or that holds nothing but what is."""
    root = _root(text, where)
    hooks = _hooks(root, where)
    for at, there in enumerate(hooks.items):
        for index, group in enumerate(there.items):
            commands = _commands(group)
            mine = [number for number, one in enumerate(commands.items) if is_ours(_command(one))]
            if not mine:
                continue
            if len(commands.items) > 1:
                return commands, mine[0]
            if len(there.items) > 1:
                return there, index
            if len(hooks.items) > 1:
                return hooks, at
            return root, [key.value for key in root.keys].index("hooks")
    return None


def _ours(text: str, where: str) -> Groups:
    """The groups in which something is ours, by event, in order."""
    hooks = _hooks(_root(text, where), where)
    return [
        (str(key.value), group.value)
        for key, groups in zip(hooks.keys, hooks.items, strict=True)
        for group in groups.items
        if any(is_ours(_command(one)) for one in _commands(group).items)
    ]


def _in_order(found: Groups) -> Groups:
    return sorted(found, key=lambda one: (one[0], json.dumps(one[1])))


def _root(text: str, where: str) -> jsonc.Node:
    """The map that the settings are; an empty one where there is no text yet."""
    try:
        root = jsonc.parse(text) if text.strip() else EMPTY
    except jsonc.NotJson as problem:
        raise _unusable(where, str(problem)) from None
    if not isinstance(root.value, dict):
        raise _unusable(where, "it holds no map")
    return root


def _hooks(root: jsonc.Node, where: str) -> jsonc.Node:
    """What stands below "hooks"; an empty map where that is not there."""
    hooks = root.get("hooks")
    if hooks is not None and not isinstance(hooks.value, dict):
        raise _unusable(where, '"hooks" is no map')
    return hooks or EMPTY


def _commands(group: jsonc.Node) -> jsonc.Node:
    """The hooks of one matcher; none where it is not made as such."""
    return group.get("hooks") or EMPTY


def _command(hook: jsonc.Node) -> object:
    command = hook.get("command")
    return None if command is None else command.value


def _unusable(where: str, why: str) -> BadConfiguration:
    return BadConfiguration(f"{where}: {why}; nothing was changed; mend the file first")


# --- the file -------------------------------------------------------------------------------------


def read(path: Path) -> str:
    """The text of this file; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as problem:
        raise BadConfiguration(f"{path} can't be read: {problem}; nothing was changed") from None


def write(path: Path, text: str, before: str) -> None:
    """Puts the text in the file's place, whole or not at all, and keeps a copy of what was.

    Raises:
        NotPermitted: it may not be written.
    """
    real = Path(os.path.realpath(path))
    try:
        if real.exists() and not real.stat().st_mode & 0o200:
            raise PermissionError(0, "it is read-only")
        real.parent.mkdir(parents=True, exist_ok=True)
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
        if before:
            replace_file(real.with_name(real.name + BACKUP), before, mode)
        replace_file(real, text, mode)
    except OSError as problem:
        why = problem.strerror
        raise NotPermitted(f"{path} can't be written: {why}; nothing was changed") from None


# --- what is said ---------------------------------------------------------------------------------


def _report(what: str, options: Options, path: Path, before: str, after: str) -> None:
    assert options.agent is not None
    is_changed = before != after
    if options.json:
        about: Frame = {"agent": options.agent, "file": str(path), "changed": is_changed}
        print(as_json(about | {"dry_run": options.dry_run}))
        return
    if options.dry_run:
        lines = difflib.unified_diff(
            before.splitlines(), after.splitlines(), str(path), f"{path} (as it would be)", n=2
        )
        print("\n".join(line.rstrip("\n") for line in lines) or f"{path}: nothing to change")
        return
    if not is_changed:
        print(f"{path}: nothing to change")
        return
    done = "asks for admission now" if what == "install" else "asks for admission no more"
    kept = f"; what was is in {path.name}{BACKUP}" if before else ""
    print(f"{options.agent} {done}: {path} changed{kept}")
    if what == "install" and KINDS[options.agent].note:
        print(KINDS[options.agent].note)


def _status(options: Options) -> int:
    rows: list[Frame] = []
    for agent in [options.agent] if options.agent else AGENTS:
        path = path_of(agent, is_project=options.is_project)
        rows.append({"agent": agent, "file": str(path), "state": _state(agent, path)})
    if options.json:
        print(as_json({"agents": rows}))
    else:
        for row in rows:
            print(f"{row['agent']:<7} {row['state']}: {row['file']}")
    return 0


def _state(agent: str, path: Path) -> str:
    found = _ours(read(path), str(path))
    if not found:
        return "not installed"
    if len(found) < len(KINDS[agent].entries):
        return f"{len(found)} of {len(KINDS[agent].entries)} hooks (install again)"
    missing = [name for name in _programs(found) if "/" in name and not os.access(name, os.X_OK)]
    return f"installed, but {missing[0]} is gone (install again)" if missing else "installed"


def _programs(found: Groups) -> list[str]:
    commands = [
        str(one["command"])
        for _, group in found
        if isinstance(group, dict)
        for one in group["hooks"]
        if isinstance(one, dict) and is_ours(one.get("command"))
    ]
    return sorted({shlex.split(command)[0] for command in commands})
