"""What revocations cost: verification with and without them in the directory, and the bytes of an up-to-date office.

`python -m benchmarks.revocation`. Ratios of CPU time, repeated in turns so that what else the machine does hits both.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

from keys.ceremony.network import init_network
from keys.files.keyfile import LAB_COST
from keys.primitives import SigningKey, sha256
from keys.roster.directory import Directory
from keys.roster.office_record import OfficeKey, OfficeRecord
from keys.roster.revocation import is_doubted, revocations
from keys.verify import verify_copy
from protocol.ids import Address, OfficeId
from protocol.topics import PREFIX, TIMESTAMPS, trust_topic
from tests import world
from tests.live.running import Peer, running, until
from tests.relay.test_settlement import make_copy

OFFICES: Final = 1_500
REVOKED: Final = 300
ROUNDS: Final = 30
COPIES: Final = 100
PUBLISHERS: Final = 15
"""The province and its cities and some departments: whoever joins brokers or has offices below it."""


def province(revoked: int) -> Directory:
    """1,500 offices beside those of the world, of which so many are revoked."""
    offices = dict(world.DIRECTORY.offices)
    for number in range(OFFICES):
        id_ = OfficeId(sha256(b"office" + number.to_bytes(4))[:16])
        key = OfficeKey.of(SigningKey.from_seed(sha256(id_)).public(), 0, world.NOW_US + world.DAY_US)
        since_us = world.NOW_US if number < revoked else None
        offices[id_] = OfficeRecord(
            id_, Address(f"{330_000 + number}-GO"), "办公室", "county", world.CITY, "liaison", ("yancheng",), (key,),
            state="active" if since_us is None else "revoked", revoked_since_us=since_us,
        )  # fmt: skip
    return replace(world.DIRECTORY, offices=offices)


def cpu_us(work: Callable[[], object]) -> float:
    """CPU microseconds for one of many."""
    began = time.process_time()
    for _ in range(COPIES):
        work()
    return (time.process_time() - began) * 1e6 / COPIES


def main() -> None:
    """Print the figures."""
    copy, suites = make_copy(), (1, 2)
    without, with_ = province(0), province(REVOKED)

    def verify(directory: Directory) -> bool:
        verified = verify_copy(copy, directory, suites, world.NOW_US)
        return is_doubted(directory.by_id(verified.copy.header.sender), verified.key_id, world.NOW_US)

    def plain() -> object:
        return verify_copy(copy, without, suites, world.NOW_US)

    times = [[cpu_us(plain), cpu_us(lambda: verify(without)), cpu_us(lambda: verify(with_))] for _ in range(ROUNDS)]
    bare, judged, revoked = (median(column) for column in zip(*times, strict=True))
    print(f"verify_copy alone                           {bare:7.1f} us")
    print(f"with the look for a revocation              {judged:7.1f} us, {judged / bare:.3f} of it")
    print(f"{REVOKED} of {OFFICES} offices revoked               {revoked:7.1f} us, {revoked / bare:.3f} of it")
    began = time.process_time()
    found = revocations(with_)
    print(f"who is revoked, once a directory: {len(found)} found in {(time.process_time() - began) * 1e3:.2f} ms")
    with tempfile.TemporaryDirectory() as place:
        spread(Path(place), with_)


def spread(place: Path, directory: Directory) -> None:
    """Bytes of trust that an office is handed at its connection, by a real broker with fifteen publishers."""
    network = init_network(
        place / "root", directory, world.NOW_US, unlock=lambda _: b"passphrase", entropy=os.urandom, cost=LAB_COST
    )
    publishers = [office.address for office in list(directory.offices.values())[:PUBLISHERS]]
    me = Address("330000-GO")
    with running(place, "mosquitto", (*publishers, me)) as broker:

        async def story() -> None:
            for publisher in publishers:
                async with Peer(broker.settings, publisher, broker.files_of(publisher)) as peer:
                    await until(peer.is_up)
                    for name, data in network.files.items():
                        await peer.transport.publish(
                            "province", "slow", trust_topic(publisher, name), data, retain=True
                        )
            for what, filters in (("before", f"{PREFIX}/trust/+/+"), ("now", TIMESTAMPS)):
                async with Peer(broker.settings, me, broker.files_of(me), filters={"slow": (filters,)}) as reader:
                    await asyncio.sleep(3)
                    total = sum(len(one.payload) + len(one.topic) for one in reader.arrived)
                    print(f"handed to an up-to-date office, {what}: {total} bytes in {len(reader.arrived)} messages")

        asyncio.run(story())
    sizes = ", ".join(f"{name} {len(data)}" for name, data in network.files.items())
    print(f"one generation: {sizes}")


if __name__ == "__main__":
    main()
