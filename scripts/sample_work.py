"""Work that any machine has: some CPU, some memory, no account, no network.

`make autopilot` runs a list of these under admission. `python scripts/sample_work.py` lists them.
"""

import ast
import hashlib
import random
import sys
import sysconfig
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def _library() -> Iterator[bytes]:
    """The sources of Python's own library: files that every machine with Python has."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(folder.rglob("*.py")):
        if "site-packages" not in path.parts and "test" not in path.parts:
            yield path.read_bytes()


def count_words() -> str:
    words = Counter(word for text in _library() for word in text.split())
    return ", ".join(word.decode(errors="replace") for word, _ in words.most_common(5))


def compress_library() -> str:
    sizes = [(len(text), len(zlib.compress(text, 9))) for text in _library()]
    return f"{sum(small for _, small in sizes) / sum(large for large, _ in sizes):.0%} of its size"


def hash_library() -> str:
    digest = hashlib.sha256()
    for _ in range(16):
        for text in _library():
            digest.update(hashlib.blake2b(text).digest())
    return digest.hexdigest()[:16]


def parse_library() -> str:
    functions = 0
    for text in _library():
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue  # some are broken on purpose
        functions += sum(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
    return f"{functions} functions"


def sieve_primes() -> str:
    """A byte a number: 80 MB."""
    most = 80_000_000
    sieve = bytearray(b"\x01") * most
    for number in range(2, int(most**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, most, number)))
    return f"{sum(sieve) - 2} primes below {most}"


def sort_numbers() -> str:
    """Four million floats: about 160 MB."""
    chance = random.Random(1)
    numbers = sorted(chance.random() for _ in range(4_000_000))
    return f"median {numbers[len(numbers) // 2]:.4f}"


def measure_collatz() -> str:
    longest = max(range(1, 500_000), key=_collatz_steps)
    return f"{longest} takes {_collatz_steps(longest)} steps"


def _collatz_steps(number: int) -> int:
    steps = 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return steps


WORK = {
    "count-words": count_words,
    "compress": compress_library,
    "hash": hash_library,
    "parse": parse_library,
    "primes": sieve_primes,
    "sort": sort_numbers,
    "collatz": measure_collatz,
}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in WORK:
        print(f"usage: sample_work.py {{{'|'.join(WORK)}}}", file=sys.stderr)
        return 2
    print(WORK[sys.argv[1]]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
