"""Writes every vector from tests/world.py: `python -m tests.vectors.generate`.

Everything is deterministic but HPKE, which draws its own randomness. So a sealed body is looked up in the file of
the vector that it was made for, and sealed anew only when that one no longer opens to the same content.
"""

from collections.abc import Iterator

from tests.vectors import audits, enrolments, envelopes, persons, prekeys, records, responses, sm, syntax
from tests.vectors.vector import FOLDER, Vector


def vectors() -> Iterator[Vector]:
    """All of them, by layer."""
    for chapter in (syntax, records, prekeys, envelopes, audits, enrolments, responses, persons, sm):
        yield from chapter.vectors()


def main() -> None:
    """Write what differs, and remove what is no longer made."""
    made = {f"{vector.name}.txt": vector.text() for vector in vectors()}
    for path in sorted(FOLDER.glob("*.txt")):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    print(f"{len(made)} vectors, {sum(': ok' not in text for text in made.values())} of them to be refused")


if __name__ == "__main__":
    main()
