"""One seeded fault: what is put in the place of what, which guarantee it breaks, and who should notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """`old` must occur exactly once in the file; the code has moved on when it does not."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Fault:
    """`name` says in plain words what the program then does wrong; `tests` are pytest arguments, fastest first.

    `guarantee` is G1 to G16, or § and a section of the contract where no guarantee is broken.

    `quick`: the first of the tests notices within seconds (`--quick`). Every run of the tests tries a sample of these.
    """

    name: str
    guarantee: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    quick: bool = True


def fault(guarantee: str, name: str, file: str, old: str, new: str, *tests: str, quick: bool = True) -> Fault:
    """A fault of one edit."""
    return Fault(name, guarantee, (Edit(file, old, new),), tests, quick)
