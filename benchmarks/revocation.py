"""What revocations cost: verification with and without them in the directory, and the bytes of an up-to-date office.

`python -m benchmarks.revocation`. Ratios of CPU time, repeated in turns so that what else the machine does hits both.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Final

from keys.directory import Directory
from keys.office_record import OfficeKey, OfficeRecord
from keys.primitives import SigningKey, sha256
from keys.revocation import is_doubted, revocations
from keys.verify import verify_copy
from protocol.ids import Address, OfficeId
from tests import world
from tests.relay.test_settlement import make_copy

OFFICES: Final = 1_500
REVOKED: Final = 300
ROUNDS: Final = 30
COPIES: Final = 100


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
    print(f"roster: {len(with_.encode())} bytes, sent only when it changed")


if __name__ == "__main__":
    main()
