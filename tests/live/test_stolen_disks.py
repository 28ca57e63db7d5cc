"""A stolen disk: what was captured earlier stays closed once its prekey was deleted (D7, G11)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keys.files.keyfile import read_secret
from keys.primitives import PrekeyPrivate
from keys.rows import RowCipher
from keys.seal import open_ciphertext
from keys.signing import UnverifiedRecord
from protocol.copy import OUTER_BYTES, Copy, read_outer, split_copy
from protocol.errors import RemoteError
from relay.opening import row_key
from relay.store import held, prekeys, stopped
from relay.store.database import DATABASE_NAME, Txn
from relay.store.tables import HELD, OWN_PREKEYS
from tests.live.network import CITY, COUNTY, BrokerPlan, Network, OfficePlan, network, plan_text, until

pytestmark = pytest.mark.live

SHORT = """
[settings.links]
retry_min_s = 0.1
retry_max_s = 0.5
[settings.prekeys]
renew_s = 2
valid_s = 5
keep_s = 0.3
look_s = 0.2
"""
PLAN = plan_text(
    [BrokerPlan("yancheng")],
    [OfficePlan(CITY, "city", ("yancheng",)), OfficePlan(COUNTY, "county", ("yancheng",), CITY, "liaison")],
    SHORT,
)
PIECE_BYTES = 24
"""So much of what was sealed is looked for in every file: no such piece comes about by chance."""


def copy_home(home: Path, to: Path) -> Path:
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("*.sock"))
    return to


def cipher_of(home: Path) -> RowCipher:
    return RowCipher(row_key((home / "keys" / "storage.key").read_bytes()))


def captured(home: Path) -> bytes:
    """The one copy that a stopped sender holds, as it went over the wire."""

    def look(txn: Txn) -> bytes:
        (row,) = HELD.unverified_clear(txn, "kind = 0")
        found = held.get(txn, row["digest"])  # type: ignore[arg-type]
        assert found is not None
        return found.data

    return stopped.ask(home / "store", cipher_of(home), look)


def seeds(home: Path) -> Iterator[bytes]:
    """Every private half of a prekey that a thief finds in a home, the storage key being there too."""
    yield from (seed for _, seed, _ in stopped.ask(home / "store", cipher_of(home), lambda txn: list(prekeys.own(txn))))
    for path in (home / "keys").glob("prekey-*.key"):
        yield read_secret(path, "prekey", storage_key=(home / "keys" / "storage.key").read_bytes())


def parsed(data: bytes) -> Copy:
    outer, ciphertext = split_copy(data)
    return read_outer(UnverifiedRecord(outer, max_bytes=OUTER_BYTES).payload, outer, ciphertext, data)


def opens(home: Path, data: bytes) -> bool:
    """Whether a thief who has the whole home reads what was captured."""
    copy = parsed(data)
    for seed in seeds(home):
        try:
            open_ciphertext(copy.ciphertext, copy.header, copy.header_bytes, PrekeyPrivate(copy.header.suite, seed))
        except RemoteError:
            continue
        return True
    return False


def sealed_prekey(home: Path, data: bytes) -> bytes:
    """The sealed row of the prekey that a copy needs, as it lies on the disk."""

    def look(txn: Txn) -> bytes:
        query = f"SELECT sealed FROM {OWN_PREKEYS.name} WHERE prekey_id = ?"  # noqa: S608 - a constant
        ((sealed,),) = txn.connection.execute(query, (parsed(data).header.prekey_id,)).fetchall()
        return bytes(sealed)

    return stopped.ask(home / "store", cipher_of(home), look)


def pieces_found(home: Path, sealed: bytes) -> list[str]:
    """Files that hold a piece of it; the seed lies in the first 64 bytes behind the salt."""
    pieces = [sealed[at : at + PIECE_BYTES] for at in range(0, len(sealed) - PIECE_BYTES, PIECE_BYTES)]
    files = [path for path in home.rglob("*") if path.is_file()]
    return [f"{path.name}: piece {n}" for path in files for n, piece in enumerate(pieces) if piece in path.read_bytes()]


def forgotten(lab: Network, prekey_id: bytes) -> bool:
    return any(line.get("prekey") == prekey_id.hex() for line in _audit(lab, COUNTY))


def knows_a_renewed_prekey(lab: Network) -> bool:
    """Whether the city has the county's second prekey: the first, of the laboratory, is valid for 45 days."""
    return any(line["did"] == "prekey" and line["epoch"] >= 2 for line in _audit(lab, CITY))


def _audit(lab: Network, office: str) -> list[dict[str, Any]]:
    files = sorted((lab.home(office) / "audit").glob("*.jsonl"))
    lines = [line for path in files for line in path.read_text().splitlines(keepends=True)]
    # The last line may be on its way.
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_g11_a_stolen_disk_opens_nothing_that_was_sealed_to_a_deleted_prekey(tmp_path: Path) -> None:
    with network(tmp_path, PLAN) as lab:
        lab.up()
        until(lambda: knows_a_renewed_prekey(lab), 20)
        lab.stop(COUNTY)
        message = lab.send(CITY, COUNTY, "风险隐患情况")
        until(lambda: sum(lab.status(CITY)["lanes"]["routine"][where] for where in ("queued", "inflight")) == 1, 5)
        lab.kill(CITY)
        data = captured(copy_home(lab.home(CITY), tmp_path / "sender"))
        before = copy_home(lab.home(COUNTY), tmp_path / "before")
        # The control: as long as the prekey is there, a stolen disk does open it, and it is found on the disk.
        assert opens(before, data)
        sealed = sealed_prekey(before, data)
        assert any(name.startswith(DATABASE_NAME) for name in pieces_found(before, sealed))
        lab.start(CITY)
        left = lab.home(COUNTY) / "keys" / ".prekey-1.key.0123456789ab.tmp"
        left.write_bytes(b"what a kill left of an erased prekey")
        lab.start(COUNTY)
        assert not left.exists()
        lab.wait_delivered(CITY, message, 20)
        until(lambda: forgotten(lab, parsed(data).header.prekey_id), 20)
        until(lambda: pieces_found(lab.home(COUNTY), sealed) == [], 5)
        lab.kill(COUNTY)
        after = copy_home(lab.home(COUNTY), tmp_path / "after")
        assert list(seeds(after)), "newer prekeys are there"
        assert not opens(after, data)
        assert pieces_found(after, sealed) == []
