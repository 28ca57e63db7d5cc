"""What a good programmer writes in an afternoon: aiomqtt, X25519, Ed25519, SQLite with a commit for each message.

No custody, no resend, no directory, no lanes: the yardstick, not a rival.
`script_peer.py receive PORT FOLDER COUNT` and `script_peer.py send PORT FOLDER COUNT SINGLES`.
"""

import asyncio
import json
import os
import sqlite3
import sys
import time
from pathlib import Path

import aiomqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from benchmarks.measure import sample_text

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
NODELAY = [(6, 1, 1)]  # IPPROTO_TCP, TCP_NODELAY
SIGN_A, SIGN_B = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
PUBLIC_A, PUBLIC_B = SIGN_A.public_key(), SIGN_B.public_key()
SEAL_B = X25519PrivateKey.from_private_bytes(bytes([3]) * 32)
SEAL_B_PUBLIC = SEAL_B.public_key()


def database(path: Path) -> sqlite3.Connection:
    """A durable table of messages; every statement is its own commit."""
    made = sqlite3.connect(path, isolation_level=None)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("PRAGMA synchronous=FULL")
    made.execute("CREATE TABLE message (id BLOB PRIMARY KEY, data BLOB, receipt BLOB)")
    return made


async def receive(port: int, folder: Path, count: int) -> None:
    """Open, verify, commit, answer with a signed receipt."""
    rows = database(folder / "b.db")
    async with aiomqtt.Client("127.0.0.1", port, socket_options=NODELAY) as client:
        client.pending_calls_threshold = 1000
        await client.subscribe("b", qos=1)
        print("READY", flush=True)
        async for message in client.messages:
            payload = bytes(message.payload)
            name, sealed = payload[:16], payload[16:]
            key = SUITE.decrypt(sealed[:80], SEAL_B, info=name)
            content = AESGCM(key).decrypt(bytes(12), sealed[80:], name)
            PUBLIC_A.verify(content[-64:], content[:-64])
            rows.execute("INSERT OR IGNORE INTO message VALUES (?, ?, NULL)", (name, content))
            await client.publish("a", name + SIGN_B.sign(name), qos=1)
            count -= 1
            if count == 0:
                return


async def send(port: int, folder: Path, count: int, singles: int) -> None:
    """`count` messages as fast as 20 in flight allow, then `singles` at 20 a second; prints the times as JSON."""
    rows = database(folder / "a.db")
    settled: dict[bytes, asyncio.Future[float]] = {}
    async with aiomqtt.Client("127.0.0.1", port, socket_options=NODELAY, max_inflight_messages=20) as client:
        client.pending_calls_threshold = 1000
        await client.subscribe("a", qos=1)

        async def receipts() -> None:
            async for message in client.messages:
                payload = bytes(message.payload)
                PUBLIC_B.verify(payload[16:], payload[:16])
                rows.execute("UPDATE message SET receipt = ? WHERE id = ?", (payload[16:], payload[:16]))
                settled[payload[:16]].set_result(time.perf_counter())

        async def one(number: int) -> float:
            name, key, text = os.urandom(16), os.urandom(32), sample_text(number).encode()
            sealed = SUITE.encrypt(key, SEAL_B_PUBLIC, info=name)
            sealed += AESGCM(key).encrypt(bytes(12), text + SIGN_A.sign(text), name)
            rows.execute("INSERT INTO message VALUES (?, ?, NULL)", (name, sealed))
            settled[name] = asyncio.get_running_loop().create_future()
            accepted = time.perf_counter()
            async with window:
                await client.publish("b", name + sealed, qos=1)
            return await settled[name] - accepted

        window, listener = asyncio.Semaphore(20), asyncio.create_task(receipts())
        print("READY", flush=True)
        sys.stdin.readline()
        started = time.perf_counter()
        await asyncio.gather(*(one(number) for number in range(count)))
        print(json.dumps(time.perf_counter() - started), flush=True)
        sys.stdin.readline()
        tasks = []
        for number in range(singles):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0.05)
        print(json.dumps(await asyncio.gather(*tasks)), flush=True)
        listener.cancel()


if __name__ == "__main__":
    role, port_text, folder_text, count_text = sys.argv[1:5]
    work = (
        receive(int(port_text), Path(folder_text), int(count_text))
        if role == "receive"
        else send(int(port_text), Path(folder_text), int(count_text), int(sys.argv[5]))
    )
    asyncio.run(work)
