"""Stands for an agent: a process that runs hooks as the real ones do, when it is told to.

Each line on standard input is one event as JSON. For each, `HOOK …` runs by `/bin/sh -c` in a
session of its own with the agent's PID in its environment, beside whatever else runs; a line of
JSON on standard output says how it ended. A line that holds a list is a command to be run below
the agent.
"""

import json
import os
import subprocess
import sys
import threading

speaking = threading.Lock()


def say(about: dict[str, object]) -> None:
    with speaking:
        sys.stdout.write(json.dumps(about) + "\n")
        sys.stdout.flush()


def call(number: int, event: dict[str, object]) -> None:
    words: list[str] = event.pop("hook", [])  # type: ignore[assignment]
    variable = {"CLAUDE_PID": str(os.getpid())} if event.pop("says_pid", True) else {}
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@"', "sh", *words],
        input=json.dumps(event),
        capture_output=True,
        text=True,
        env=os.environ | variable,
        start_new_session=True,
        check=False,
    )
    say({"number": number, "status": done.returncode, "out": done.stdout, "err": done.stderr})


for number, line in enumerate(sys.stdin):
    asked = json.loads(line)
    if isinstance(asked, list):
        subprocess.Popen(asked, stdin=subprocess.DEVNULL)
    else:
        threading.Thread(target=call, args=(number, asked), daemon=True).start()
