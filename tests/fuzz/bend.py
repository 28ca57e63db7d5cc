"""Bent envelopes: good copies, frames, receipts, presences, prekeys with bytes flipped, moved, cut, mixed (G3, G10).

    python -m tests.fuzz.bend [--count 1000000] [--seed 0]

None may be accepted. Prints how many were tried of each kind, and with which codes they were refused.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

from keys.prekeys import make_prekey, verify_prekey
from keys.primitives import PrekeyPublic
from keys.seal import seal_copy
from keys.signing import CONTENT, FRAME, PRESENCE, RECEIPT, sign_record
from keys.verify import open_copy, verify_copy, verify_frame, verify_presence, verify_receipt
from protocol.content import encode_bundle, encode_content
from protocol.errors import RemoteError
from protocol.frame import COPY_ITEM, encode_frame, encode_frame_payload, encode_items, make_item
from protocol.lanes import Lane
from protocol.padding import pack
from protocol.presence import encode_presence
from protocol.receipt import encode_receipt
from protocol.topics import FrameTopic, PresenceTopic
from tests import sm_world, world
from tests.fuzz import sm

Verify = Callable[[bytes], Any]


def _copy(suite: int) -> bytes:
    bundle = world.make_bundle(sign_record(world.COUNTY_KEY, CONTENT, encode_content(world.make_content())))
    header = world.make_header(suite=suite, prekey_id=world.PREKEY_IDS[suite])
    return seal_copy(world.COUNTY_KEY, header, pack(encode_bundle(bundle)), world.PREKEY_PUBLICS[suite], bytes(44))


def _frame(copy: bytes) -> bytes:
    items = encode_items((make_item(COPY_ITEM, copy, (world.COUNTY, world.CITY), 1),))
    return encode_frame(sign_record(world.CITY_KEY, FRAME, encode_frame_payload(world.make_frame(items))), items)


def _open(suite: int) -> Verify:
    """All of what a recipient does."""

    def verify(data: bytes) -> Any:
        copy = verify_copy(data, world.DIRECTORY, (1, 2), world.NOW_US)
        addresses = (world.PROVINCE_ADDRESS,)
        return open_copy(copy, world.PROVINCE, addresses, world.PREKEYS[suite], world.DIRECTORY)

    return verify


def _sm_copy() -> bytes:
    bundle = world.make_bundle(sign_record(sm_world.COUNTY_KEY, CONTENT, encode_content(world.make_content())))
    prekey = cast("PrekeyPublic", sm_world.PREKEY_PUBLIC)
    return seal_copy(sm_world.COUNTY_KEY, sm_world.HEADER, pack(encode_bundle(bundle)), prekey, bytes(44))


def _sm_open(data: bytes) -> Any:
    copy = verify_copy(data, sm_world.SM_DIRECTORY, (3,), world.NOW_US)
    return open_copy(copy, world.PROVINCE, (world.PROVINCE_ADDRESS,), sm_world.PREKEY, sm_world.SM_DIRECTORY)


def kinds() -> dict[str, tuple[bytes, Verify]]:
    """A good object of each kind, and who looks at it."""
    topic = FrameTopic(world.PROVINCE_ADDRESS, Lane.FLASH, world.CITY_ADDRESS)
    place = PresenceTopic(world.CITY_ADDRESS, "fast")
    prekey = make_prekey(
        world.COUNTY_KEY, network_id=world.NETWORK, office_id=world.COUNTY, suite=1, seed=bytes(32),
        now_us=world.NOW_US,
    )  # fmt: skip
    return {
        "copy of suite 1": (_copy(1), _open(1)),
        "copy of suite 2": (_copy(2), _open(2)),
        "frame": (
            _frame(_copy(2)), lambda data: verify_frame(data, topic, world.PROVINCE, world.DIRECTORY, world.NOW_US)
        ),
        "receipt": (
            sign_record(world.PROVINCE_KEY, RECEIPT, encode_receipt(world.make_receipt())),
            lambda data: verify_receipt(data, world.DIRECTORY),
        ),
        "presence": (
            sign_record(world.CITY_KEY, PRESENCE, encode_presence(world.make_presence())),
            lambda data: verify_presence(data, place, world.DIRECTORY, world.NOW_US),
        ),
        "prekey": (prekey.data, lambda data: verify_prekey(data, world.DIRECTORY, world.NOW_US)),
        **({"copy of suite 3": (_sm_copy(), _sm_open)} if sm.PRESENT else {}),
    }  # fmt: skip


def bent(good: bytes, other: bytes, dice: random.Random) -> bytes:
    """Something that differs from `good`; most often by one bit, since that comes furthest."""
    at, to = dice.randrange(len(good)), dice.randrange(len(good) + 1)
    length = dice.randrange(1, 9)
    match dice.randrange(12):
        case 0:
            return good[:at]
        case 1:
            return good + dice.randbytes(length)
        case 2:
            return good[:at] + good[at + length :]
        case 3:
            return good[:at] + dice.randbytes(length) + good[at + length :]
        case 4:
            rest = good[:at] + good[at + length :]
            return rest[:to] + good[at : at + length] + rest[to:]
        case 5:
            piece = dice.randrange(len(other))
            return good[:at] + other[piece : piece + 32] + good[at + 32 :]
        case _:
            return good[:at] + bytes((good[at] ^ 1 << dice.randrange(8),)) + good[at + 1 :]


def run(count: int, seed: int) -> tuple[Counter[str], Counter[str], list[tuple[str, bytes]]]:
    """(tried by kind, refused by code, accepted) of `count` bent objects."""
    dice, all_kinds = random.Random(f"{seed} bent"), kinds()
    names, tried, codes, accepted = list(all_kinds), Counter[str](), Counter[str](), list[tuple[str, bytes]]()
    for good, verify in all_kinds.values():
        verify(good)
    for number in range(count):
        name = names[number % len(names)]
        good, verify = all_kinds[name]
        data = bent(good, all_kinds[dice.choice(names)][0], dice)
        if data == good:
            continue
        tried[name] += 1
        try:
            verify(data)
        except RemoteError as error:
            codes[error.code] += 1
        else:
            accepted.append((name, data))
    return tried, codes, accepted


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.bend")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began: Final = time.monotonic()
    tried, codes, accepted = run(options.count, options.seed)
    for counter in (tried, codes):
        print("  ".join(f"{name} {number}" for name, number in counter.most_common()))
    print(f"{sum(tried.values())} bent objects, {len(accepted)} accepted, {time.monotonic() - began:.0f} s")
    for name, data in accepted[:10]:
        print(f"accepted as a {name}: {data.hex()}")
    return 1 if accepted else 0


if __name__ == "__main__":
    sys.exit(main())
