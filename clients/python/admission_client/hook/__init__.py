"""`admission hook`: what an agent calls at its events, so that it is admitted as it is.

Exit status 2 means "no" to an agent, whatever the event; so nothing but a refusal ends with it.
"""

import os
import sys

from admission.protocol import AdmissionError, BadRequest
from admission_client.durations import parse_duration
from admission_client.hook.operations import BUILT_IN, read_patterns
from admission_client.hook.payload import Payload
from admission_client.hook.payload import parse as parse_payload
from admission_client.hook.steps import Step, step_for
from admission_client.options import (
    AGENT,
    OPERATIONS,
    SOCKET,
    Option,
    Options,
    parse,
    take_no_words,
)

SETTINGS = ("install", "uninstall", "status")
GEMINI_EVENTS = ("BeforeAgent", "AfterAgent", "BeforeTool", "AfterTool", "BeforeModel")


HOOK = (
    AGENT,
    OPERATIONS,
    Option(
        "--wait",
        "wait_s",
        "wait at most so long for a slot; less than the agent waits for the hook",
        "DURATION",
        parse_duration,
    ),
    SOCKET,
)
ABOUT = (
    "Reads one event of an agent from standard input and takes or gives back a lease for it.\n"
    "It is the agent that calls this; to set that up:\n\n"
    "  admission hook install --agent claude\n"
    "  admission hook status\n"
    "  admission hook uninstall --agent claude"
)


def hook(words: list[str]) -> int:
    """Answers one event, or edits an agent's settings so that it asks."""
    if words and words[0] in SETTINGS:
        from admission_client.hook import settings  # late: an agent does not come this way

        return settings.change(words[0], words[1:])
    try:
        options = parse(words, HOOK, "hook [options] [install|uninstall|status]", ABOUT)
        take_no_words("hook", options)
    except SystemExit as asked:  # argparse ends so
        raise SystemExit(BadRequest.exit_status if asked.code == 2 else asked.code) from None
    except AdmissionError as problem:
        raise BadRequest(str(problem)) from None
    payload = parse_payload(sys.stdin.buffer.read())
    agent = options.agent or guess_agent(payload, os.environ)
    step = step_for(agent, payload, read_patterns(options.operations or BUILT_IN))
    return 0 if step is None else _carry_out(agent, payload, step, options)


def _carry_out(agent: str, payload: Payload, step: Step, options: Options) -> int:
    from admission_client.hook.leases import carry_out  # late: most events need no lease

    answer = carry_out(agent, payload, step, options)
    sys.stdout.write(answer.stdout)
    sys.stderr.write(answer.stderr)
    return answer.status


def guess_agent(payload: Payload, environ: "os._Environ[str] | dict[str, str]") -> str:
    """Which agent calls, where the settings don't say."""
    if payload.event in GEMINI_EVENTS or "GEMINI_SESSION_ID" in environ:
        return "gemini"
    return "claude" if "CLAUDE_PID" in environ or "CLAUDECODE" in environ else "codex"
