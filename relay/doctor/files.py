"""What the files of a home look like from outside: settings and modes. The same for a running and a stopped relay."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from config.load import load
from config.problems import ConfigError
from config.schema import Settings
from keys.files.storage_key import BARE, SEALED
from keys.files.tries import wrong_tries
from relay.doctor.finding import Finding
from relay.times import time_text

PRIVATE: Final = ("store", "audit")
"""Folders that nobody else needs to read; what is in them is sealed, or names no text."""


def look_at_files(home: Path, running: Settings | None) -> Iterator[Finding]:
    """Settings, compared with those in force if a relay runs; and modes. Raises `OSError` where we may not look."""
    yield _look_at_settings(home, running)
    yield _look_at_modes(home)
    yield from _look_at_keys(home)


def _look_at_settings(home: Path, running: Settings | None) -> Finding:
    try:
        settings = load(home).settings
    except ConfigError as error:
        return Finding("settings", "FAIL", "SETTINGS_WRONG", "; ".join(one.text("en") for one in error.problems))
    if running is not None and settings != running:
        return Finding("settings", "WARN", "SETTINGS_CHANGED")
    return Finding("settings", "PASS", "SETTINGS_OK")


def _look_at_modes(home: Path) -> Finding:
    """Private keys are nobody else's; the other folders should not be."""
    keys = home / "keys"
    open_keys = [path.name for path in (keys, *sorted(keys.glob("*"))) if _is_open(path)] if keys.is_dir() else ["keys"]
    if open_keys:
        return Finding("modes", "FAIL", "KEYS_OPEN", ", ".join(open_keys[:5]))
    others = [name for name in PRIVATE if (home / name).is_dir() and _is_open(home / name)]
    if others:
        return Finding("modes", "WARN", "HOME_OPEN", ", ".join(others))
    return Finding("modes", "PASS", "MODES_OK")


def _look_at_keys(home: Path) -> Iterator[Finding]:
    """Wrong passphrases that somebody tried, and a storage key that lies bare beside the sealed one."""
    keys = home / "keys"
    for path in sorted(keys.glob("*")):
        tries = wrong_tries(path)
        if tries is not None:
            detail = f"{tries.count} for {path.name} since {time_text(tries.first_us)}"
            yield Finding("passphrases", "WARN", "WRONG_PASSPHRASES", detail)
    # Also under the names of a run that was killed while it replaced or erased the file.
    if (keys / SEALED).exists() and ((keys / BARE).exists() or any(keys.glob(f".*{BARE}*"))):
        yield Finding("keys", "WARN", "STORAGE_KEY_BARE", f"{BARE} beside {SEALED}")


def _is_open(path: Path) -> bool:
    """Whether group or others may do anything with it."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
