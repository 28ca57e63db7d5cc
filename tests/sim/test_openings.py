"""Scenes in which many frames are opened in one go: what they cost, and under which keys they are answered."""

import asyncio
import random
from typing import Any

import pytest

import keys.seal
import relay.inbox
from keys.primitives import aes_gcm_seal
from protocol.ids import message_id_text, uuid7
from protocol.limits import CONTENT_BYTES
from relay import examine, intake
from relay.draft import Draft
from relay.store import inbox as store_inbox
from tests.sim.network import Network
from tests.sim.test_scenes import COUNTY, NEIGHBOUR, play
from tests.sim.virtual import START_US


def drafts(bodies: list[str]) -> list[Draft]:
    ids = [message_id_text(uuid7(START_US, number.to_bytes(10, "big"))) for number in range(len(bodies))]
    return [Draft(id=one, to=[NEIGHBOUR], title="report", body=body) for one, body in zip(ids, bodies, strict=True)]


async def send_to_one_who_sleeps(network: Network, bodies: list[str]) -> list[str]:
    """Many frames wait for the recipient when it wakes up; the states that the messages have in the end."""
    county, neighbour = network.offices[COUNTY], network.offices[NEIGHBOUR]
    await asyncio.sleep(1)
    neighbour.pause()
    await county.service.send(drafts(bodies))
    await asyncio.sleep(2)
    neighbour.resume()
    await asyncio.sleep(60)
    return [one["recipients"][0]["state"] for one in await county.service.sent_list(None, 100)]


def test_g11_g12_refusals_of_one_batch_are_sealed_under_keys_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was given one of them would else read the others."""
    dice = random.Random(1)
    used: list[tuple[bytes, bytes]] = []
    batches: list[int] = []
    examine_all = intake._examine_all

    def watched(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        used.append((key, nonce))
        return aes_gcm_seal(key, nonce, plaintext, aad)

    def counted(batch: Any, *rest: Any) -> Any:
        batches.append(len(batch))
        return examine_all(batch, *rest)

    async def scene(network: Network) -> list[str]:
        # Frames of two messages each, since nothing of these bodies can be compressed away.
        return await send_to_one_who_sleeps(network, [dice.randbytes(10_000).hex() for _ in range(20)])

    monkeypatch.setitem(keys.seal._SEAL, 1, watched)
    monkeypatch.setattr(examine, "_refusal", lambda message, eyes: "NOT_LIAISON")
    monkeypatch.setattr(intake, "_examine_all", counted)
    assert play(scene) == ["refused"] * 20
    assert max(batches) > 1
    assert len(used) >= 40
    assert len({key for key, _ in used}) == len({nonce for _, nonce in used}) == len(used)


def test_g13_of_large_words_in_small_frames_few_are_opened_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a kilobyte may hold a megabyte, and a frame dozens of them."""
    opened: list[int] = []
    examine_all = intake._examine_all

    def weighed(*given: Any) -> Any:
        found = examine_all(*given)
        opened.append(sum(one.opened_bytes for one in found[0]))
        return found

    async def scene(network: Network) -> list[str]:
        return await send_to_one_who_sleeps(network, [f"{number}" * (CONTENT_BYTES * 9 // 10) for number in range(10)])

    monkeypatch.setattr(intake, "_examine_all", weighed)
    monkeypatch.setattr(intake, "OPENED_BYTES", 2 * CONTENT_BYTES)
    assert play(scene) == ["delivered"] * 10
    assert sum(opened) >= 9 * CONTENT_BYTES
    assert 2 * CONTENT_BYTES < max(opened) <= 3 * CONTENT_BYTES


def test_g02_g05_many_are_handed_out_and_acknowledged_in_changes_that_hold_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handed: list[int] = []
    take = store_inbox.take

    def counted(*given: Any, **named: Any) -> Any:
        found = take(*given, **named)
        handed.append(len(found))
        return found

    async def scene(network: Network) -> None:
        await send_to_one_who_sleeps(network, ["text"] * 10)
        neighbour = network.offices[NEIGHBOUR].service
        taken = await neighbour.inbox_take(9)
        assert handed == [4, 4, 1]
        answers = await neighbour.inbox_ack([one["id"] for one in taken])
        assert [(one["id"], one["acked"]) for one in answers] == [(one["id"], True) for one in taken]
        (last,) = await neighbour.inbox_take(9)
        assert last["flags"] == []
        assert last["id"] not in {one["id"] for one in taken}
        assert await neighbour.inbox_take(9) == []

    monkeypatch.setattr(relay.inbox, "AT_ONCE", 4)
    monkeypatch.setattr(store_inbox, "take", counted)
    play(scene)
