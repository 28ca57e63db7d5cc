"""The least that a sealed, signed, durable message with a receipt can cost: no broker, no frames, no API, one process.

Each message: content signature, X-Wing seal (suite 1), outer signature; outer verify, open, content verify; receipt
signature and its verification; one durable insert on each side, committed in groups.
"""

import hashlib
import os
import sqlite3
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from benchmarks.measure import Result, sample_text

GROUP = 100
_HPKE = Suite(KEM.MLKEM768_X25519, KDF.SHAKE256, AEAD.AES_256_GCM)
_ENCAPSULATED_BYTES = 1120
_WRAPPED_KEY_BYTES = 48
_NONCE = bytes(12)  # each content key is used once


class Loop:
    """Two offices in one process, with a database each."""

    def __init__(self, folder: Path) -> None:
        self.origin = Ed25519PrivateKey.generate()
        self.origin_public = self.origin.public_key()
        self.recipient = Ed25519PrivateKey.generate()
        self.recipient_public = self.recipient.public_key()
        mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        self.prekey = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.prekey_public = self.prekey.public_key()
        self.outbox, self.inbox = (self._database(folder / name) for name in ("outbox.db", "inbox.db"))

    @staticmethod
    def _database(path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE message (id BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID")
        return database

    def seal(self, text: bytes) -> tuple[bytes, bytes, bytes]:
        """(header, sealed content, outer signature)."""
        content = text + self.origin.sign(text)
        header = os.urandom(150)
        key = os.urandom(32)
        wrapped = _HPKE.encrypt(key, self.prekey_public, info=header)
        sealed = wrapped + AESGCM(key).encrypt(_NONCE, content, header)
        return header, sealed, self.origin.sign(header + hashlib.sha256(sealed).digest())

    def open(self, header: bytes, sealed: bytes, outer: bytes) -> tuple[bytes, bytes]:
        """(content, receipt signature); raises on anything that does not verify."""
        self.origin_public.verify(outer, header + hashlib.sha256(sealed).digest())
        split = _ENCAPSULATED_BYTES + _WRAPPED_KEY_BYTES
        key = _HPKE.decrypt(sealed[:split], self.prekey, info=header)
        content = AESGCM(key).decrypt(_NONCE, sealed[split:], header)
        self.origin_public.verify(content[-64:], content[:-64])
        return content, self.recipient.sign(hashlib.sha256(content).digest())

    def group(self, first: int, count: int) -> None:
        """`count` messages from text to verified receipt, one commit on each side."""
        sent = [(os.urandom(16), *self.seal(sample_text(first + index).encode())) for index in range(count)]
        self._insert(self.outbox, [(message_id, header + sealed + outer) for message_id, header, sealed, outer in sent])
        opened = [(message_id, *self.open(header, sealed, outer)) for message_id, header, sealed, outer in sent]
        self._insert(self.inbox, [(message_id, content) for message_id, content, _ in opened])
        for _, content, receipt in opened:
            self.recipient_public.verify(receipt, hashlib.sha256(content).digest())

    @staticmethod
    def _insert(database: sqlite3.Connection, rows: list[tuple[bytes, bytes]]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO message VALUES (?, ?)", rows)
        database.execute("COMMIT")


def run(messages: int = 2000) -> Result:
    """The rate and the CPU time of the loop."""
    with tempfile.TemporaryDirectory(prefix="yizhan-bench-") as folder:
        loop = Loop(Path(folder))
        loop.group(0, GROUP)
        started_s, cpu_s = time.perf_counter(), time.process_time()
        for first in range(0, messages, GROUP):
            loop.group(first, min(GROUP, messages - first))
        took_s, used_s = time.perf_counter() - started_s, time.process_time() - cpu_s
        loop.outbox.close()
        loop.inbox.close()
    return Result("ideal loop", messages, took_s, used_s)


if __name__ == "__main__":
    print(run().as_json())
