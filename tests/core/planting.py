"""What a planted bug is: an edit to the core's source."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """In this file of the core, `after` in the place of `before`."""

    file: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug; its name says what goes wrong."""

    name: str
    edits: tuple[Edit, ...]

    @property
    def files(self) -> str:
        return ", ".join(sorted({edit.file for edit in self.edits}))


def bug(name: str, file: str, before: str, after: str) -> Bug:
    return Bug(name, (Edit(file, before, after),))
