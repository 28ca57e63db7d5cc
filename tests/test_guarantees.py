"""What the documents promise is held to the code: what they name exists, and tests that carry its number hold it."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
PAGES = {
    name: (TOP / name).read_text(encoding="utf-8")
    for name in ("GUARANTEES.md", "ARCHITECTURE.md", "CHANGELOG.md", "keys/THREATS.md")
}
SECTIONS = {
    int(part.split(" ", 1)[0]): part
    for part in re.split(r"^## G(?=\d)", PAGES["GUARANTEES.md"], flags=re.MULTILINE)[1:]
}
WRITTEN = {
    name
    for path in (TOP / "tests").rglob("*.py")
    for name in re.findall(r"^\s*(?:def |class |)([Tt]est\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
}
TARGETS = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


def named_in(text: str) -> set[str]:
    """The tests that a text names, functions and machines."""
    return set(re.findall(r"`(test_\w+|Test\w+)`", text))


def test_every_guarantee_has_its_section() -> None:
    assert list(SECTIONS) == list(range(1, 17))


@pytest.mark.parametrize("number", SECTIONS)
def test_a_guarantee_names_tests_that_carry_its_number(number: int) -> None:
    carries = re.compile(rf"(?:_g|G){number:02d}")
    assert [name for name in named_in(SECTIONS[number]) if carries.search(name)], "no test with this number"


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str) -> None:
    assert named_in(PAGES[page]) - WRITTEN == set()


def test_whatever_an_adversary_cannot_do_names_who_shows_it() -> None:
    for part in re.split(r"^## ", PAGES["keys/THREATS.md"], flags=re.MULTILINE)[1:]:
        table = re.search(r"^\| cannot \| shown by \|\n\|---\|---\|\n((?:\|.*\n)+)", part, flags=re.MULTILINE)
        assert table or part.startswith("What remains"), f"nothing is said to be impossible: {part.splitlines()[0]}"
        assert all(named_in(row) for row in (table.group(1).splitlines() if table else [])), part.splitlines()[0]


def test_every_command_that_is_named_exists() -> None:
    assert set(re.findall(r"`make ([a-z-]+)", PAGES["GUARANTEES.md"])) - TARGETS == set()
