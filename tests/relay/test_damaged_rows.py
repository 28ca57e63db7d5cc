"""Bit rot under a running relay: intake survives a row that does not open, and takes what comes again (D10, G16)."""

import asyncio
from types import SimpleNamespace
from typing import Any

from keys.rows import RowDamaged
from protocol.topics import FrameTopic
from relay.intake import Intake
from relay.ports import Arrived
from tests import world
from tests.relay.test_settlement import COPY, eyes, frame_from_county
from tests.sim.virtual import InlineOffload


class _DamagedStore:
    def __init__(self) -> None:
        self.asked = 0

    async def write(self, lane: object, change: object) -> Any:
        self.asked += 1
        raise RowDamaged("held")


def test_g16_a_damaged_row_does_not_end_the_intake() -> None:
    store = _DamagedStore()
    entropy = SimpleNamespace(bytes=bytes)
    outbox = SimpleNamespace(get=lambda digest: None, offered=lambda digest, to: False)
    ground: Any = SimpleNamespace(store=store, entropy=entropy, offload=InlineOffload(), outbox=outbox, trust=None)
    neighbours: Any = SimpleNamespace(hear=lambda office, shown: None)
    unused: Any = SimpleNamespace(doubt_us=0)
    intake = Intake(ground, "fast", unused, unused, neighbours)
    intake._eyes = lambda: eyes(world.CITY)  # type: ignore[method-assign]
    topic = FrameTopic(world.CITY_ADDRESS, world.make_frame(b"").lane, world.COUNTY_ADDRESS)
    arrived = Arrived("y", "", frame_from_county(COPY), retained=False)

    async def two_frames() -> None:
        for _ in range(2):
            await intake._take([(arrived, topic)])

    asyncio.run(two_frames())
    assert store.asked == 2
