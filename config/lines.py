"""Line numbers of settings, which `tomllib` does not give."""

import re
from typing import Final

_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\"' -]+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY: Final = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+)\s*=")


def lines_of_settings(text: str) -> dict[tuple[str | int, ...], int]:
    """For every `key = value` and every header of a TOML text its line, counted from 1.

    Keys are paths with the position inside arrays of tables: `("brokers", 0, "port")`. Keys of inline tables
    have no entry. Good enough to point at; never used to decide anything.
    """
    found: dict[tuple[str | int, ...], int] = {}
    counts: dict[tuple[str | int, ...], int] = {}
    section: tuple[str | int, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = ()
            for step in _steps(header.group(2)):
                section += (step,)
                if section in counts and section != _steps(header.group(2)):
                    section += (counts[section],)
            if header.group(1) == "[[":
                counts[section] = counts.get(section, -1) + 1
                section += (counts[section],)
            found.setdefault(section, number)
        elif entry := _ENTRY.match(line):
            found.setdefault(section + _steps(entry.group(1)), number)
    return found


def _steps(dotted: str) -> tuple[str, ...]:
    return tuple(step.strip().strip("\"'") for step in dotted.split("."))
