"""The command `service`: has systemd or launchd start the daemon, and says whether it does."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from admission.protocol import Frame, Unavailable, Unreachable, socket_path
from admission_client import managers
from admission_client.blocking import Client
from admission_client.granted import words_of
from admission_client.managers import Manager, State
from admission_client.options import JSON, SOCKET, Option, Options, WrongUsage, parse
from admission_client.output import print_reply
from admission_client.plan import Plan, carry_out, read_text
from admission_client.units import About, is_as_written

# What of the environment the daemon has to find as whoever installs it does.
KEPT = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "ADMISSION_LOG", "ADMISSION_LOG_FORMAT")


def service(words: list[str]) -> int:
    """Installs, removes, or looks."""
    options = parse(
        words,
        (
            Option("--dry-run", "dry_run", "only show what would be written and run"),
            Option("--config", "config", "the configuration file that it goes by", "FILE"),
            JSON,
            SOCKET,
        ),
        "service [options] install|uninstall|status",
        "Has systemd (Linux) or launchd (macOS) start the daemon for this user. One that runs\n"
        "already hands over; no lease is lost by it, nor by removing the service.",
    )
    doing = {"install": _install, "uninstall": _uninstall, "status": _status}
    do = doing.get(" ".join(options.words))
    if do is None:
        given = " ".join(options.words) or "nothing"
        raise WrongUsage(f'service: "{given}" is none of install, uninstall and status')
    return do(managers.manager(), options)


# --- what is to be done ---------------------------------------------------------------------------


def _install(manager: Manager, options: Options) -> int:
    _check_configuration(options)
    manager.check()
    about = _about(manager, options)
    wanted = manager.files(about)
    is_first = not any(map(os.path.lexists, wanted))
    changed: dict[Path, str | None] = {
        path: text for path, text in wanted.items() if read_text(path) != text
    }
    served_by = _pid(_answering(manager.state(), about.socket))
    commands = manager.start(set(changed), served_by)
    plan = Plan([], changed, commands, manager.stop() if is_first else [])
    if options.dry_run:
        return _show(plan, options)
    if manager.name == "launchd":  # which opens the log before the daemon makes its folder
        with suppress(OSError):
            Path(about.log).parent.mkdir(mode=0o700)
    kept = carry_out(plan, manager)
    print_reply(
        {
            "installed": [str(path) for path in wanted],
            "written": [str(path) for path in changed],
            "kept": kept,
            "served_by": served_by,
        },
        "\n".join(_said_of_install(plan, kept, served_by)),
        options,
    )
    return 0


def _check_configuration(options: Options) -> None:
    """A daemon that does not start would leave the one before it without its socket."""
    from admission.service.config import load  # late: it is heavy

    load(options.config)


def _about(manager: Manager, options: Options) -> About:
    path = socket_path(options.socket)
    # -P: what lies in the working folder is none of our modules.
    command = [sys.executable, "-P", "-m", "admission_client.cli", "serve", "--replace"]
    if manager.name == "launchd":
        command += ["--socket", path]  # systemd hands it over
    config = options.config or os.environ.get("ADMISSION_CONFIG")
    if config:
        command += ["--config", os.path.abspath(config)]
    kept = tuple((name, os.environ[name]) for name in KEPT if os.environ.get(name))
    return About(tuple(command), path, os.path.splitext(path)[0] + ".log", kept)


def _said_of_install(plan: Plan, kept: list[str], served_by: int | None) -> list[str]:
    lines = [f"kept as it was: {path}" for path in kept]
    lines += [f"written: {path}" for path in plan.files]
    if not plan.files:
        lines.append("nothing to write: it is installed already")
    if served_by is None:
        lines.append("the daemon starts when it is needed")
    elif any("restart" in one or "bootstrap" in one for one in plan.after):
        lines.append(
            f"process {served_by}, which served until now, hands over to the service; "
            "leases and places go on"
        )
    return lines


def _uninstall(manager: Manager, options: Options) -> int:
    manager.check()
    there = [path for path in manager.paths() if os.path.lexists(path)]
    if not there:
        print_reply({"removed": [], "kept": []}, "no service is installed", options)
        return 0
    plan = Plan(manager.stop(), dict.fromkeys(there), manager.forget(), [])
    if options.dry_run:
        return _show(plan, options)
    kept = carry_out(plan, manager)
    lines = [f"kept, as it was changed: {path}" for path in kept]
    lines += [f"removed: {path}" for path in there]
    lines.append("leases stay in the journal; the daemon starts by itself when it is needed")
    print_reply({"removed": [str(path) for path in there], "kept": kept}, "\n".join(lines), options)
    return 0


def _show(plan: Plan, options: Options) -> int:
    print_reply(plan.as_map(), "\n".join(plan.lines()) or "nothing is to be done", options)
    return 0


# --- looking --------------------------------------------------------------------------------------


def _answering(state: State | None, path: str) -> Frame | None:
    """What the daemon at this socket says of itself, if one answers. Where systemd listens for it,
    none is started only to be asked.
    """
    if state is not None and state.listens and state.pid is None:
        return None
    try:
        with Client(path) as client:
            return client.ask("hello")
    except Unreachable:
        return None


def _pid(said: Frame | None) -> int | None:
    pid = None if said is None else said.get("pid")
    return pid if isinstance(pid, int) else None


def _status(manager: Manager, options: Options) -> int:
    path = socket_path(options.socket)
    there = [one for one in manager.paths() if os.path.lexists(one)]
    changed = [one for one in there if not is_as_written(read_text(one) or "")]
    found: Frame = {
        "manager": manager.name,
        "installed": bool(there),
        "files": [str(one) for one in there],
        "changed_by_hand": [str(one) for one in changed],
        "enabled": None,
        "listens": None,
        "running": None,
        "pid": None,
        "problem": None,
        "socket": path,
    }
    state = None
    try:
        manager.check()
        state = manager.state()
        found |= {"enabled": state.enabled, "listens": state.listens, "pid": state.pid}
        found["running"] = state.pid is not None
    except Unavailable as problem:
        found["problem"] = str(problem).partition(";")[0]
    said = _answering(state, path)
    found["answers"] = said and {"pid": said.get("pid"), "version": said.get("server")}
    print_reply(found, "\n".join(_status_lines(found, said)), options)
    return 0


def _status_lines(found: Frame, said: Frame | None) -> list[str]:
    words = [str(found["manager"]), "installed" if found["installed"] else "not installed"]
    if found["problem"] is None:
        words.append("enabled" if found["enabled"] else "not enabled")
        words.append(f"running as process {found['pid']}" if found["running"] else "not running")
    lines = [f"service: {', '.join(words)}"]
    if found["problem"] is not None:
        lines.append(f"! {found['problem']}")
    changed = words_of(found, "changed_by_hand")
    lines += [
        f"file: {one}{' (not as it was written)' * (one in changed)}"
        for one in words_of(found, "files")
    ]
    lines.append(f"socket: {found['socket']}")
    if said is not None:
        whose = ": the service" if said.get("pid") == found["pid"] else ": not the service"
        whose = whose if found["problem"] is None else ""
        lines.append(f"process {said.get('pid')} answers, version {said.get('server')}{whose}")
    elif found["listens"]:
        lines.append("systemd listens there, and starts the daemon when somebody connects")
    else:
        lines.append("nobody answers there")
    return lines
