"""What a process is: the shapes that agents have, and those that only look like one."""

import pytest

from admission.service.sensors.kinds import OTHER, Kind, kind_of

CLAUDE = Kind("claude")
CLAUDE_ON_NODE = Kind("claude", is_node=True)
SERVICE = Kind("claude", is_infrastructure=True)
NODE = Kind(is_node=True)
NATIVE = "/home/u/.local/share/claude/versions/2.1.331"


@pytest.mark.parametrize(
    ("executable", "words", "kind"),
    [
        # Claude: by the native installer, npm on any system, an editor's extension, Node.
        (NATIVE, ["claude", "-p", "do it"], CLAUDE),
        (f"{NATIVE} (deleted)", ["claude"], CLAUDE),
        ("/opt/lib/node_modules/@anthropic-ai/claude-code/bin/claude.exe", ["claude"], CLAUDE),
        (
            "/u/ext/resources/native-binary/claude",
            ["/u/ext/resources/native-binary/claude"],
            CLAUDE,
        ),
        ("/usr/bin/node", ["node", "/opt/@anthropic-ai/claude-code/cli.js", "-p"], CLAUDE_ON_NODE),
        ("/usr/bin/node", ["/usr/bin/node", "/usr/local/bin/claude"], CLAUDE_ON_NODE),
        ("/usr/bin/node", ["claude"], CLAUDE_ON_NODE),  # it gave itself that title
        ("", ["claude", "-p"], CLAUDE),  # another user's: the file can't be seen
        # Its background service.
        (NATIVE, ["claude", "daemon", "run"], SERVICE),
        (NATIVE, ["claude", "bg-pty-host", "7"], SERVICE),
        (NATIVE, ["claude", "--bg-spare"], SERVICE),
        (NATIVE, ["claude", "-p", "bg-spare"], CLAUDE),
        (NATIVE, ["claude", "-p", "daemon", "run"], CLAUDE),
        # The others.
        ("/opt/codex/codex", ["codex", "exec"], Kind("codex")),
        ("/n/vendor/codex-x86_64-unknown-linux-musl", ["codex"], Kind("codex")),
        ("/usr/bin/node", ["node", "/n/@openai/codex/bin/codex.js"], Kind("codex", is_node=True)),
        ("/usr/bin/node", ["node", "/g/bundle/gemini.js"], Kind("gemini", is_node=True)),
        (
            "/usr/bin/node",
            ["node", "--max-old-space-size=8192", "-r", "./x.js", "/usr/bin/gemini", "-p", "hi"],
            Kind("gemini", is_node=True),
        ),
        ("/o/bin/opencode.exe", ["opencode"], Kind("opencode")),
        ("/usr/bin/python3.12", ["/usr/bin/python3", "/u/.local/bin/aider"], Kind("aider")),
        ("/usr/bin/python3.12", ["python3", "-X", "dev", "-m", "aider", "-v"], Kind("aider")),
        # Node, whatever it runs.
        ("/usr/bin/node", ["node", "server.mjs"], NODE),
        ("/usr/bin/node22", ["npm exec @scope/claude"], NODE),
        ("/usr/bin/nodejs", ["nodejs", "-e", "1", "claude"], NODE),
        ("", ["node", "server.mjs"], NODE),
        ("/usr/bin/node", ["node", "-r", "claude", "server.mjs"], NODE),
        ("/usr/bin/node", ["node", "x.js", "claude", "/bundle/gemini.js"], NODE),
        ("/usr/bin/node", ["node"], NODE),
        ("/usr/bin/node", [], NODE),
        ("/usr/bin/node", ["node", "-r"], NODE),
        # What only mentions them.
        ("/usr/bin/grep", ["grep", "claude"], OTHER),
        ("/usr/bin/vim", ["vim", "/u/.claude/settings.json"], OTHER),
        ("/usr/bin/tmux", ["tmux", "new", "-s", "claude"], OTHER),
        ("/usr/bin/tail", ["tail", "-f", "/share/claude/versions/log"], OTHER),
        ("/usr/share/claude/versions/2.1.331/rg", ["rg", "x"], OTHER),
        ("/usr/bin/python3.12", ["python3", "-m", "admission_client.cli", "run", "claude"], OTHER),
        ("/usr/bin/python3.12", ["python3", "-c", "aider"], OTHER),
        ("/usr/bin/python3.12", ["python3", "build.py", "aider"], OTHER),
        ("/usr/bin/dash", ["/bin/sh", "/usr/local/bin/claude"], OTHER),  # starts it, and is none
        ("/opt/claude-desktop/Claude", ["/opt/claude-desktop/Claude", "--type=gpu"], OTHER),
        ("/usr/bin/nodemon", ["nodemon"], OTHER),
        ("/usr/local/bin/bun", ["bun", "server.ts"], OTHER),
        ("/usr/bin/codex-builder", ["codex-builder"], OTHER),
        # Nothing at all.
        ("", [], OTHER),
        ("", [""], OTHER),
        ("/", ["/"], OTHER),
        ("", [" claude"], OTHER),
    ],
)
def test_a_process_is_what_it_runs(executable: str, words: list[str], kind: Kind) -> None:
    assert kind_of(executable, words) == kind
