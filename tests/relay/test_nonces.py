"""No nonce comes from a stored counter or the clock: a restored home seals under keys and nonces of its own (G12)."""

import re
from pathlib import Path
from typing import Any

import pytest

import keys.rows
import keys.seal
from keys.primitives import aes_gcm_seal
from protocol.content import content_digest
from protocol.lanes import Lane
from protocol.padding import pack
from relay.identity import Identity
from relay.sealing import SealAtOnce
from relay.store import lives, sent
from relay.store.sent import Addressee, Prepared, Sealing
from tests import world
from tests.relay.office_store import office_store, tried

TOP = Path(__file__).parents[2]
BUNDLE = world.make_bundle(b"record")
MESSAGE = Prepared(
    message_id=world.MESSAGE,
    fingerprint=bytes(32),
    lane=Lane.ROUTINE,
    entitlement=0,
    created_us=world.NOW_US,
    expires_us=world.NOW_US + world.DAY_US,
    deadline_us=None,
    bundle=BUNDLE,
    digest=content_digest(BUNDLE.record),
    addressees=(Addressee(world.PROVINCE, world.PROVINCE_ADDRESS),),
    answer=b"{}",
    sender=world.COUNTY,
)


def test_g12_what_is_done_again_after_a_restore_is_sealed_under_other_keys_and_nonces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same message is accepted from the same state at the same time, again and again, each time undone."""
    used: list[tuple[bytes, bytes]] = []

    def watched(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        used.append((key, nonce))
        return aes_gcm_seal(key, nonce, plaintext, aad)

    monkeypatch.setattr(keys.rows, "aes_gcm_seal", watched)
    monkeypatch.setitem(keys.seal._SEAL, 1, watched)
    with office_store() as store:
        entropy: Any = store.database._entropy
        prekeys = {world.PROVINCE: (world.PREKEY_IDS[1], world.PREKEY_PUBLICS[1])}
        life = store.run(lives.recall)
        assert life is not None
        identity = Identity(world.COUNTY, world.COUNTY_KEY, life, 1)
        seal = SealAtOnce(identity, world.NETWORK, prekeys, {world.MESSAGE: pack(b"the same plaintext")}, entropy)
        copies = set()
        for _ in range(50):
            group = tried(store, lambda txn: sent.accept(txn, [MESSAGE], Sealing(seal, begun=True)))
            (copy,) = group.copies
            copies.add(copy.data)
    assert len(copies) == 50
    assert len(used) >= 50 * 5
    assert len(set(used)) == len(used)
    assert len({key for key, _ in used}) == len(used)


def test_g12_nothing_else_seals() -> None:
    """Every use of an AEAD is one of those looked at: rows and copies above, key files under a key of each file, and
    the wrap of suite 3 under a key from a secret of its own.
    """
    users = {
        str(path.relative_to(TOP))
        for room in ("protocol", "keys", "config", "relay")
        for path in (TOP / room).rglob("*.py")
        if re.search(r"\b(?:aes|sm4)_gcm_seal\b|\.encrypt\(|\.encryptor\(", path.read_text("utf-8"))
    }
    assert users == {"keys/gm.py", "keys/files/keyfile.py", "keys/primitives.py", "keys/rows.py", "keys/seal.py"}
