"""How often a key file was tried with a wrong passphrase: told to its owner, who is the one to be alarmed.

    root-1.key  ->  .root-1.key.tries    canonical CBOR: [1, count, first, last], times in microseconds

Guessing is slow because of Argon2id and for no other reason. A growing delay would stop nobody, since whoever can run
our command on a file can copy it, and it would let anyone keep an administrator from his own key in an emergency.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.files.private_files import replace
from protocol import cbor
from protocol.errors import RemoteError

_VERSION: Final = 1
_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Tries:
    """`count` wrong passphrases, the first and the last of them at these times (Unix, microseconds)."""

    count: int
    first_us: int
    last_us: int


def wrong_tries(key_file: Path) -> Tries | None:
    """The wrong passphrases since the last right one; None for none, or for a count that is damaged."""
    try:
        with _beside(key_file).open("rb") as file:
            value = cbor.loads(file.read(_BYTES + 1), max_bytes=_BYTES)
    except (OSError, RemoteError):
        return None
    if not isinstance(value, list) or len(value) != 4 or value[0] != _VERSION:
        return None
    if not all(type(number) is int and number >= 0 for number in value):
        return None
    return Tries(*value[1:])


def count_wrong(key_file: Path) -> None:
    """One more wrong passphrase."""
    now_us = time.time_ns() // 1_000
    before = wrong_tries(key_file) or Tries(0, now_us, now_us)
    # A key on a read-only medium is counted nowhere; that must not keep its owner from trying again.
    with suppress(OSError):
        replace(_beside(key_file), cbor.dumps([_VERSION, before.count + 1, before.first_us, now_us]))


def forget_wrong(key_file: Path) -> None:
    """The owner was there."""
    with suppress(OSError):
        _beside(key_file).unlink(missing_ok=True)


def _beside(key_file: Path) -> Path:
    return key_file.with_name(f".{key_file.name}.tries")
