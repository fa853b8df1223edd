"""What MAKEFLAGS says of a jobserver, read and written as GNU make does.

The manual's chapter "Sharing Job Slots with GNU make" has the rules.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Where tools look, in this order. Cargo gives what it starts a variable of its own.
VARIABLES = ("MAKEFLAGS", "CARGO_MAKEFLAGS")
# make before 4.2 knows the second name only.
AUTH = ("--jobserver-auth=", "--jobserver-fds=")
FIFO = "fifo:"
FIRST_WITH_FIFO = (4, 4)


def auths(environ: "Mapping[str, str]") -> list[tuple[str, str]]:
    """The jobservers that an environment names: the text of the variable, and what stands behind
    `--jobserver-auth=`; of each variable the last one, which is the one that counts.
    """
    found = []
    for name in VARIABLES:
        flags = environ.get(name, "")
        words = [word for word in _options(flags)[0].split() if word.startswith(AUTH)]
        if words:
            found.append((flags, words[-1].partition("=")[2]))
    return found


def descriptors(auth: str) -> tuple[int, int] | None:
    """The two descriptors of `R,W`; None where it is something else, or says that there is none."""
    reading, _, writing = auth.partition(",")
    if reading.isascii() and reading.isdigit() and writing.isascii() and writing.isdigit():
        return int(reading), int(writing)
    return None


def with_jobserver(flags: str, units: int, auth: str) -> str:
    """MAKEFLAGS with this jobserver in it, in place of what it said of jobs before.

    Args:
        flags: the variable as it was.
        units: how many jobs may run at once.
        auth: `fifo:PATH`, or `R,W`.
    """
    options, rest = _options(flags)
    kept: list[str] = []
    before = ""
    for word in options.split():
        is_number_of_jobs = before in ("-j", "--jobs") and word.isdigit()
        if not is_number_of_jobs and not _is_about_jobs(word):
            kept.append(word)
        before = word
    names = AUTH[:1] if auth.startswith(FIFO) else reversed(AUTH)
    line = " ".join([*kept, f"-j{units}", *(name + auth for name in names)])
    # The first word is read as a bundle of letters unless a space or a dash stands before it.
    return (line if kept and not kept[0].startswith("-") else " " + line) + rest


def _options(flags: str) -> tuple[str, str]:
    """The options, and the rest from `--` on: variables, which may hold anything."""
    at = f" {flags} ".find(" -- ")
    return (flags, "") if at < 0 else (flags[:at].rstrip(), " " + flags[at:].lstrip())


def _is_about_jobs(word: str) -> bool:
    name = word.partition("=")[0]
    return name in ("--jobs", "--jobserver-auth", "--jobserver-fds", "--jobserver-style") or (
        word.startswith("-j") and (word == "-j" or word[2:].isdigit())
    )


def understands_fifo(said: str) -> bool:
    """Whether the make that says this of its version can use a named pipe. Of one that is not
    GNU's nothing is known, and nothing has to be: it has no jobserver of this kind.
    """
    first = said.partition("\n")[0]
    if not first.startswith("GNU Make "):
        return True
    numbers = first.removeprefix("GNU Make ").split(".")[:2]
    version = tuple(int(number) for number in numbers if number.isascii() and number.isdigit())
    return version >= FIRST_WITH_FIFO
