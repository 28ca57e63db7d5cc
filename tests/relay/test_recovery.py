"""Notes of ways given up do not pile up while the store has no room for them (G13)."""

import asyncio
from types import SimpleNamespace
from typing import Any

from protocol.ids import Digest, OfficeId
from protocol.parcel import Rerouted
from relay.recovery import NOTES_MAX, Recovery

PARCEL = SimpleNamespace(kept_after_custody=True, message_id=bytes(16), recipient=bytes(16))


def test_g13_notes_that_cannot_be_written_are_dropped_beyond_a_bound() -> None:
    async def scene() -> tuple[int, int, int]:
        room = asyncio.Event()
        tasks: list[asyncio.Task[Any]] = []

        async def commit(lane: object, change: object) -> None:
            await room.wait()

        ground: Any = SimpleNamespace(
            outbox=SimpleNamespace(get=lambda _: PARCEL),
            clock=SimpleNamespace(now_us=lambda: 1),
            commit=commit,
            spawn=lambda work: tasks.append(asyncio.ensure_future(work)),
        )
        recovery = Recovery(ground, None, None)  # type: ignore[arg-type]
        lost = [Rerouted(Digest(bytes(32)), OfficeId(bytes(16)))]
        for _ in range(10 * NOTES_MAX):
            recovery.note_rerouted(lost)
        waiting = len(tasks)
        room.set()
        await asyncio.gather(*tasks)
        recovery.note_rerouted(lost)
        return waiting, len(tasks), recovery._writing

    assert asyncio.run(scene()) == (NOTES_MAX, NOTES_MAX + 1, 1)
