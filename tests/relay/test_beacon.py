"""What publishers of trust files can make us remember is bounded (G13)."""

import asyncio
from types import SimpleNamespace
from typing import Any

from protocol.ids import Address
from protocol.topics import TrustTopic
from relay import beacon
from relay.beacon import OFFERED_BYTES, OFFERED_TOTAL_BYTES, Beacon
from relay.ports import Arrived


def test_g13_offered_trust_is_bounded_for_each_publisher_and_for_all() -> None:
    everybody = SimpleNamespace(by_address=lambda _: SimpleNamespace())
    identity = SimpleNamespace(boot=1)
    ground: Any = SimpleNamespace(
        me=SimpleNamespace(address=Address("320000-GO")), directory=everybody, identity=identity
    )
    known = Beacon(ground, None, None)  # type: ignore[arg-type]

    async def hear() -> None:
        for office in range(40):
            for name in ("a", "b", "c"):
                topic = TrustTopic(Address(f"3209{office:02}-GO"), f"{name}.json")
                payload = bytes(OFFERED_BYTES // 2 - office)
                await known.on_trust(Arrived("y", "", payload, retained=True), topic)
                sizes = [sum(map(len, files.values())) for files in known._offered.values()]
                assert max(sizes) <= OFFERED_BYTES
                assert sum(sizes) <= OFFERED_TOTAL_BYTES

    asyncio.run(hear())
    assert Address("320939-GO") in known._offered
    assert beacon.OFFERED_STRANGERS < len(known._offered) < 40
