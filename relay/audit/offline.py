"""`relay audit` with the daemon down: the log is checked against store, directory and heads from outside."""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.load import load
from keys.files.keyfile import Unlock
from keys.files.private_files import KeyFileError
from keys.rows import RowCipher, RowDamaged
from keys.signing import AUDIT, sign_record
from keys.trust.metadata import TrustError
from keys.trust.store import Trust, TrustStore
from protocol.audit import Mark
from protocol.errors import Refused
from protocol.ids import Digest, Epoch, OfficeId
from relay.audit.accepted import Accepted, not_accepted, recall_accepted
from relay.audit.archive import archive_bytes, pieces_of
from relay.audit.check import Anchor, Check, Walk, check_folder, given, head_verifier
from relay.audit.entry import Owner, read_line
from relay.audit.folder import FOLDER, files_of, last_lines
from relay.audit.keeper import recall_mark
from relay.opening import find_office, row_key
from relay.safe import Safe, nobody_hears
from relay.store import lives
from relay.store.database import HomeInUse, Txn
from relay.store.stopped import ask


@dataclass(frozen=True, slots=True)
class Home:
    """What a home says of itself while no daemon runs."""

    path: Path
    safe: Safe
    trust_files: Mapping[str, bytes]
    trust: Trust
    office: OfficeId
    stored: Mark
    epoch: Epoch
    accepted: Accepted


def check_home(path: Path, unlock: Unlock, anchors: Sequence[Anchor] = ()) -> dict[str, Any]:
    """The report of a check as JSON types.

    Raises `Refused` HOME_IN_USE, BAD_KEYS, BAD_STORE, BAD_TRUST, BAD_CONFIG, or FILE_MISSING for a home that never ran.
    """
    return _checked(_read_home(path, _open(path, unlock)), anchors).report().as_json()


def judge_opened(path: Path, safe: Safe) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """With the keys in hand: what is wrong, and what of it no operator has accepted. Raises like `check_home`."""
    home = _read_home(path, safe)
    problems = _checked(home, ()).report().problems
    return problems, not_accepted(problems, home.accepted)


def anchors_of(heads: Sequence[Mapping[str, Any]]) -> list[Anchor]:
    """Heads from outside, each with `head` in hexadecimal and `count`, 0 where nobody knows it."""
    return given(Mark(one["count"], Digest(bytes.fromhex(one["head"]))) for one in heads)


def tail_home(path: Path, most: int, after: int = 0) -> list[dict[str, Any]]:
    """The last lines, oldest first; reads nothing but the log."""
    return [read_line(line) for line in last_lines(path / FOLDER, most, after)]


def export_home(path: Path, unlock: Unlock) -> Iterator[bytes]:
    """The log as an archive, whatever is wrong with it, signed at its end. Raises like `check_home`."""
    home = _read_home(path, _open(path, unlock))
    mark = _checked(home, ()).report().mark
    owner = Owner(home.trust.directory.network_id, home.office, home.epoch)
    key = home.safe.signer(home.office, home.trust)
    head = sign_record(key, AUDIT, owner.head_payload(mark, time.time_ns() // 1_000))
    files = [(file, file.stat().st_size) for file in files_of(path / FOLDER)]
    return archive_bytes(pieces_of(home.trust_files, head, files))


def _checked(home: Home, anchors: Sequence[Anchor]) -> Check:
    walk = Walk(
        head_verifier(home.trust.directory, home.office),
        (*((Anchor("the store", home.stored),) if home.stored.count else ()), *anchors),
    )
    check = check_folder(home.path / FOLDER, walk, home.stored)
    for _ in check.slices():
        pass
    return check


def _open(path: Path, unlock: Unlock) -> Safe:
    try:
        return Safe(path, unlock, nobody_hears)
    except KeyFileError as error:
        raise Refused("BAD_KEYS", str(error)) from None


def _read_home(path: Path, safe: Safe) -> Home:
    loaded = load(path)
    try:
        store = TrustStore(path)
        trust = store.load(time.time_ns() // 1_000)
        stored, epoch, accepted = ask(path / "store", RowCipher(row_key(safe.storage_key)), _remembered)
    except TrustError as error:
        raise Refused("BAD_TRUST", str(error)) from None
    except (sqlite3.DatabaseError, RowDamaged) as error:
        raise Refused("BAD_STORE", f"{path / 'store'}: {error}") from None
    except HomeInUse:
        raise Refused("HOME_IN_USE", "a daemon holds the store; ask it") from None
    except (FileNotFoundError, LookupError):
        raise Refused("FILE_MISSING", f"{path / 'store'} holds no database yet") from None
    office = find_office(loaded.settings, trust)
    return Home(path, safe, store.publishable_files(), trust, office, stored, epoch, accepted)


def _remembered(txn: Txn) -> tuple[Mark, Epoch, Accepted]:
    return recall_mark(txn), lives.epoch(txn), recall_accepted(txn)
