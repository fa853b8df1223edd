"""Bytes that were never meant to come, at the decoder, the daemon, its journal and the client.

`tests/fuzz/targets.py` says what is fuzzed, and what must hold. Coverage leads: input that reaches
something new is kept and changed further. Where `atheris` is installed it does that, unless a seed
is given; otherwise a small mutator of our own does, whose runs a seed repeats. What goes wrong is
made as small as it gets and kept in tests/fuzz/cases, where the tests find it for ever.

The exit status is 1 where something was found.
"""

import argparse
import hashlib
import importlib
import importlib.util
import logging
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random, SystemRandom
from types import CodeType, FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "tests" / "fuzz" / "cases"
OURS = (str(ROOT / "admission"), str(ROOT / "clients"))
BYTES_MAX = 4096
SMALLER_TRIES = 400
PROGRESS_S = 10.0

Edge = tuple[CodeType, int, int]
Trace = Callable[[FrameType, str, object], "Trace | None"]


class Coverage:
    """Which line followed which, in the code that is fuzzed, since the last `begin`."""

    def __init__(self) -> None:
        self.edges: set[Edge] = set()
        self._last: dict[CodeType, int] = {}
        self._is_ours: dict[str, bool] = {}

    def run(self, act: Callable[[bytes], None], data: bytes) -> set[Edge]:
        """What this input reached."""
        self.edges, self._last = set(), {}
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            act(data)
        finally:
            sys.settrace(before)
        return self.edges

    def _enter(self, frame: FrameType, _: str, __: object) -> "Trace | None":
        name = frame.f_code.co_filename
        is_ours = self._is_ours.get(name)
        if is_ours is None:
            is_ours = self._is_ours[name] = name.startswith(OURS)
        return self._step if is_ours else None

    def _step(self, frame: FrameType, event: str, _: object) -> "Trace | None":
        if event == "line":
            code, line = frame.f_code, frame.f_lineno
            self.edges.add((code, self._last.get(code, 0), line))
            self._last[code] = line
        return self._step


class Mutator:
    """Changes input, by dice that a seed repeats."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def child(self, corpus: list[bytes]) -> bytes:
        """Something new of what is there; what came last has more children."""
        dice = self._dice
        parent = corpus[max(dice.randrange(len(corpus)), dice.randrange(len(corpus)))]
        data = bytearray(parent)
        for _ in range(dice.choice([1, 1, 2, 3, 5, 8])):
            self._change(data, corpus)
        return bytes(data[:BYTES_MAX])

    def _change(self, data: bytearray, corpus: list[bytes]) -> None:
        dice = self._dice
        at = dice.randrange(len(data) + 1)
        end = at + dice.choice([1, 1, 2, 4, 16, 64])
        match dice.randrange(7):
            case 0:
                data[at : at + 1] = dice.randbytes(1)
            case 1:
                data[at:at] = dice.randbytes(dice.choice([1, 2, 8, 32]))
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end]
            case 4:
                other = dice.choice(corpus)
                start = dice.randrange(len(other) + 1)
                data[at:end] = other[start : start + end - at]
            case 5:
                data[at : at + 1] = dice.choice([b"\0", b"\1", b"\x7f", b"\x80", b"\xff"])
            case _:
                if at < len(data):
                    data[at] ^= 1 << dice.randrange(8)


class Fuzzer:
    """One target: what it was given, and what that reached."""

    def __init__(self, name: str, target: "Target", dice: Random) -> None:
        self.name = name
        self.runs = 0
        self.reached: set[Edge] = set()
        self.corpus: list[bytes] = []
        self._target = target
        self._coverage = Coverage()
        self._mutator = Mutator(dice)
        for data in (*target.seeds, *cases(name)):
            self._try(data)

    def step(self) -> None:
        """One more input.

        Raises:
            Exception: what it led to and must not.
        """
        self._try(self._mutator.child(self.corpus))

    def _try(self, data: bytes) -> None:
        self.runs += 1
        try:
            reached = self._coverage.run(self._target.run, data)
        except BaseException:
            keep(self.name, self._smaller(data))
            raise
        if not self.corpus or not reached <= self.reached:
            self.reached |= reached
            self.corpus.append(data)

    def _smaller(self, data: bytes) -> bytes:
        """As little of it as still goes wrong."""
        tries, size = SMALLER_TRIES, max(1, len(data) // 2)
        while size and tries:
            for at in range(0, len(data), size):
                tries -= 1
                shorter = data[:at] + data[at + size :]
                if tries and self._fails(shorter):
                    data = shorter
                    break
            else:
                size //= 2
        return data

    def _fails(self, data: bytes) -> bool:
        try:
            self._target.run(data)
        except Exception:  # noqa: BLE001 -- whichever it is, it must not be
            return True
        return False


def cases(name: str) -> Iterator[bytes]:
    """What was found before."""
    for path in sorted((CASES / name).glob("*")):
        yield path.read_bytes()


def keep(name: str, data: bytes) -> None:
    path = CASES / name / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    print(f"kept as {path.relative_to(ROOT)}: {data[:100]!r}")


# --- the engines --------------------------------------------------------------------------------


def fuzz(targets: dict[str, "Target"], seconds: float, seed: int) -> int:
    """The engine of our own; its exit status."""
    ends_at = time.monotonic() + seconds
    say_at = time.monotonic() + PROGRESS_S
    found: list[Fuzzer] = []
    try:
        for name, target in targets.items():
            found.append(Fuzzer(name, target, Random(f"{seed} {name}")))
        turns = [one for one in found for _ in range(targets[one.name].share)]
        while time.monotonic() < ends_at:
            for one in turns:
                one.step()
                if time.monotonic() >= ends_at:
                    break
            if time.monotonic() >= say_at:
                say_at += PROGRESS_S
                print(f"{sum(one.runs for one in found)} runs", file=sys.stderr, flush=True)
    except Exception:  # noqa: BLE001 -- what is looked for
        traceback.print_exc()
        print(f"FOUND something, with seed {seed}")
        return 1
    finally:
        for one in found:
            kept, edges = len(one.corpus), len(one.reached)
            print(f"{one.name:18} {one.runs:8} runs  {kept:5} kept  {edges:5} edges")
    _print_lines(found)
    print(f"nothing found: {sum(one.runs for one in found)} runs in {seconds:g} s, seed {seed}")
    return 0


def _print_lines(found: list[Fuzzer]) -> None:
    """How much of each file was reached, of what could be."""
    reached: dict[str, set[int]] = {}
    for code, before, line in (edge for one in found for edge in one.reached):
        reached.setdefault(code.co_filename, set()).update((before, line))
    for name, lines in sorted(reached.items()):
        inside = {
            line
            for code in _functions(compile(Path(name).read_text(), name, "exec"))
            for _, _, line in code.co_lines()
            if line and line != code.co_firstlineno
        }
        share = len(lines & inside) / max(1, len(inside))
        print(f"{Path(name).relative_to(ROOT)!s:55} {share:4.0%} of {len(inside)} lines")


def _functions(module: CodeType) -> Iterator[CodeType]:
    """The code in a module, less what runs when it is imported."""
    for constant in module.co_consts:
        if isinstance(constant, CodeType):
            yield from _functions(constant)
            if constant.co_flags & 2:  # CO_NEWLOCALS: a function, and not a class's body
                yield constant


def fuzz_by_atheris(seconds: float, only: str | None) -> int:
    """By libFuzzer, which ends the process itself."""
    atheris = importlib.import_module("atheris")  # no dependency: not every machine has a wheel

    with atheris.instrument_imports(include=["admission", "admission_client"]):
        from tests.fuzz.targets import TARGETS
    names = [only] if only else list(TARGETS)

    def one_input(data: bytes) -> None:
        name = names[data[0] % len(names)] if data else names[0]
        try:
            TARGETS[name].run(data[1:])
        except BaseException:
            keep(name, data[1:])
            raise

    with tempfile.TemporaryDirectory() as folder:
        for index, name in enumerate(names):
            for number, data in enumerate((*TARGETS[name].seeds, *cases(name))):
                (Path(folder) / f"{name}-{number}").write_bytes(bytes([index]) + data)
        words = [sys.argv[0], f"-max_total_time={seconds:.0f}", f"-max_len={BYTES_MAX}"]
        words += [f"-artifact_prefix={folder}/", "-timeout=60", folder]
        atheris.Setup(words, one_input)
        atheris.Fuzz()
    return 0


def main() -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fuzz", description=__doc__, formatter_class=raw)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, help="of our own mutator, which is then used")
    parser.add_argument("--only", metavar="TARGET", help="just this one")
    parser.add_argument("--plain", action="store_true", help="our own mutator in any case")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    is_ours = options.plain or options.seed is not None
    if not is_ours and importlib.util.find_spec("atheris"):
        return fuzz_by_atheris(options.seconds, options.only)
    from tests.fuzz.targets import TARGETS

    seed = SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    targets = {name: it for name, it in TARGETS.items() if options.only in (None, name)}
    return fuzz(targets, options.seconds, seed)


if __name__ == "__main__":
    sys.exit(main())
