"""Which shell commands are heavy steps, to be bounded across all agents by the pool `operations`.

A pattern is how such a command begins, word by word: `make`, `npm test`, `cargo build`.
"""

BUILT_IN = (
    "make, ninja, cmake --build, bazel build, bazel test, cargo build, cargo test, cargo check, "
    "cargo clippy, cargo install, go build, go test, go vet, npm test, npm run build, "
    "npm run test, npm install, npm ci, pnpm test, pnpm build, pnpm install, yarn test, "
    "yarn build, yarn install, npx tsc, npx vitest, npx jest, tsc, vitest, jest, pytest, "
    "python -m pytest, python3 -m pytest, tox, nox, pip install, uv sync, uv run pytest, mvn, "
    "gradle, ./gradlew, docker build, swift build, swift test, xcodebuild, dotnet build, "
    "dotnet test"
)
# What stands before a command and is none.
BEFORE = ("time", "nice", "nohup", "env", "exec", "command", "sudo", "timeout")
BREAKS = ";|&()\n{}"
# A command that asks for admission itself is not to wait for it twice.
OWN = "admission"


def read_patterns(written: str) -> list[list[str]]:
    """The patterns in a list with commas, each as its words; none in `none`."""
    if written.strip() == "none":
        return []
    return [words for pattern in written.split(",") if (words := pattern.split())]


def is_operation(command: str, patterns: list[list[str]]) -> bool:
    """Whether one of the simple commands in this line begins as a pattern does.

    A look at words and not a shell's parser: what stands in quotes may be taken for a command, and
    waits for a slot that it would not have needed.
    """
    for mark in BREAKS:
        command = command.replace(mark, "\n")
    for line in command.split("\n"):
        words = _bare(line.split())
        if words[:1] == [OWN]:
            continue
        if any(words[: len(pattern)] == pattern for pattern in patterns):
            return True
    return False


def _bare(words: list[str]) -> list[str]:
    """Without assignments, and without what only starts another command."""
    while words and (
        words[0] in BEFORE
        or words[0].startswith("-")
        or words[0][:1].isdigit()
        or ("=" in words[0] and words[0].split("=")[0].isidentifier())
    ):
        words = words[1:]
    return words
