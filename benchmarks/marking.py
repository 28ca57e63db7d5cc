"""What a revocation costs an office whose inbox is full of the revoked one's messages: how long marking takes (G14),
and how long a flash message waits for the store meanwhile.

`python -m benchmarks.marking --messages 100000`. The store is the daemon's, on a real disk; the changes are those of
relay/revocations.py. Waits are of a small flash change every 20 ms, alone and beside the marking, so that what else the
machine does shows in both.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.measure import sample_text
from keys.roster.revocation import revoke_office
from keys.rows import RowCipher
from keys.signing import CONTENT, sign_record
from protocol.content import encode_content
from protocol.copy import split_copy
from protocol.ids import Digest, MessageId
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.aftermath import Aftermath, Swept
from relay.clock import GuardedClock, SystemEntropy, machine_boot, read_clocks
from relay.daemon import MIGRATIONS
from relay.store import counters, inbox
from relay.store.database import Database, Txn
from relay.store.inbox import Received
from relay.store.writer import GroupCommitStore
from tests import world
from tests.relay.test_settlement import eyes, make_copy

CHUNK: Final = 500
ALONE_S: Final = 10
EVERY_S: Final = 0.02


def message() -> Received:
    """A report of the county of 2 KiB that nobody witnessed."""
    record = sign_record(world.COUNTY_KEY, CONTENT, encode_content(world.make_content()))
    bundle = world.make_bundle(record, body=sample_text(1))
    outer, _ = split_copy(make_copy())
    now_us = world.NOW_US
    return Received(
        world.COUNTY, MessageId(bytes(16)), Lane.ROUTINE, "new", now_us, 0, Digest(bytes(32)), bundle, outer, now_us
    )


def fill(txn: Txn, one: Received, first: int, count: int) -> None:
    """So many of them, with ids that rise."""
    for number in range(first, first + count):
        id_ = MessageId(number.to_bytes(16))
        inbox.insert(txn, replace(one, message_id=id_), Digest(bytes(16) + id_), world.NOW_US + 90 * world.DAY_US)


async def mark(store: GroupCommitStore) -> tuple[int, list[float]]:
    """What relay/revocations.py does; how many were marked, and how long each change took."""
    directory = revoke_office(world.DIRECTORY, world.COUNTY_ADDRESS, world.NOW_US, world.NOW_US + SECOND_US)
    office, identity = directory.offices[world.COUNTY], eyes(world.PROVINCE).identity
    marked, waits = 0, []
    after: bytes | int | None = b""

    def change(txn: Txn, at: bytes) -> Swept:
        one = Aftermath(txn, identity, directory.network_id, 100, 1 << 20)
        return one.doubt_messages_of(at, office=office, since_us=world.NOW_US)

    while isinstance(after, bytes):
        began = time.perf_counter()
        swept = await store.write(Lane.ROUTINE, partial(change, at=after))
        waits.append(time.perf_counter() - began)
        marked += swept.counts["doubted"]
        after = swept.after
    return marked, waits


async def knock(store: GroupCommitStore, waits: list[float]) -> None:
    """A small flash change again and again; how long each waits for its commit."""
    while True:
        began = time.perf_counter()
        await store.write(Lane.FLASH, lambda txn: counters.count(txn, {"accepted": 1}))
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(EVERY_S)


@contextmanager
def knocking(store: GroupCommitStore) -> Iterator[list[float]]:
    """Flash changes as long as the block lasts."""
    waits: list[float] = []
    task = asyncio.get_running_loop().create_task(knock(store, waits))
    try:
        yield waits
    finally:
        task.cancel()


def shown(waits: list[float]) -> str:
    """Percentiles in milliseconds."""
    ordered = sorted(one * 1e3 for one in waits)
    at = {
        name: ordered[min(len(ordered) - 1, int(len(ordered) * part))] for name, part in (("p50", 0.5), ("p99", 0.99))
    }
    return f"{at['p50']:.1f} / {at['p99']:.1f} / {ordered[-1]:.1f} ms"


async def measure(folder: Path, messages: int) -> None:
    """Fill, wait, mark, look again."""
    open_database = partial(
        Database.open, folder, cipher=RowCipher(bytes(32)), entropy=SystemEntropy(), migrations=MIGRATIONS,
        quota_bytes=64 << 30, ballast_bytes=0,
    )  # fmt: skip
    clock = GuardedClock(read_clocks, machine_boot(), 300 * SECOND_US)
    store = await GroupCommitStore.open(open_database, clock, print)
    one = message()
    for first in range(0, messages, CHUNK):
        await store.write(Lane.BULK, partial(fill, one=one, first=first + 1, count=min(CHUNK, messages - first)))
    with knocking(store) as alone:
        await asyncio.sleep(ALONE_S)
    print(f"flash change alone, p50 / p99 / max:          {shown(alone)}")
    for what in ("marked", "looked at again"):
        began, cpu = time.perf_counter(), time.process_time()
        with knocking(store) as beside:
            marked, waits = await mark(store)
        took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        print(f"{messages} messages {what}: {marked} in {took_s:.1f} s, {cpu_s:.1f} s of CPU, {len(waits)} changes of")
        print(f"  p50 / p99 / max:                            {shown(waits)}")
        print(f"  flash change meanwhile, p50 / p99 / max:    {shown(beside or [0.0])}")
    await store.close()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="marking of a revoked office's messages")
    parser.add_argument("--messages", type=int, default=100_000)
    messages: int = parser.parse_args().messages
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), messages))


if __name__ == "__main__":
    main()
