"""What became of messages that this office sent (CONTRACT section 7)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from keys.rows import RowDamaged
from protocol.delivery import State
from protocol.errors import Refused
from protocol.ids import MessageId, message_id_text
from relay.ground import Ground
from relay.naming import id_range, only
from relay.presenting import content_of, recipient_object
from relay.store import events, sent
from relay.store.database import Txn
from relay.store.events import Event
from relay.store.sent import Message, Standing
from relay.times import time_text

WAITED_FOR: Final = {
    "delivered": frozenset({State.DELIVERED, State.OPENED, State.SIGNED_FOR, State.RETURNED}),
    "opened": frozenset({State.OPENED, State.SIGNED_FOR, State.RETURNED}),
    "signed_for": frozenset({State.SIGNED_FOR}),
}
"""The states that satisfy `--wait`."""
DONE_HERE: Final = frozenset(
    {"received", "refused_here", "opened", "signed_for", "returned", "gap", "gap_closed", "doubted"}
)
"""What this office says itself of messages that came to it; of its own messages only recipients say such things."""
OVERDUE_SHOWN: Final = 10_000
"""Most recipients in one report, the oldest deadlines."""
GAPS: Final = frozenset({"gap", "gap_closed"})
"""Events of numbers that are missing: they say whose numbers, on which lane, and which."""
EVENTS_AT_ONCE: Final = 500
LISTED_ROWS: Final = 1_000
"""Rows read at once for a list, about 20 ms, and one message more: a broadcast has thousands of its own."""

Story = tuple[Message, list[Standing], list[Event]]


class Tracking:
    """Stories of sent messages."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def track(self, prefix: str) -> dict[str, Any]:
        """One message with all its recipients and events."""
        return self._object(await self._ground.store.read(partial(_story, prefix=prefix)))

    async def sent_list(self, state: str | None, limit: int) -> list[dict[str, Any]]:
        """What this office sent, the newest first; with `state` only messages that have it for some recipient."""
        store, shown = self._ground.store, list[dict[str, Any]]()
        left = await store.read(partial(sent.latest, limit=limit, state=state))
        while left:
            stories, left = await store.read(partial(_stories, ids=left))
            shown += map(self._object, stories)
        if state is None:
            return shown
        return [one for one in shown if any(_has(recipient, state) for recipient in one["recipients"])]

    async def overdue(self) -> list[dict[str, Any]]:
        """Recipients that a message has not reached by its deadline."""
        now_us = self._ground.clock.now_us()
        found = await self._ground.store.read(partial(sent.overdue, now_us=now_us, limit=OVERDUE_SHOWN))
        mark = {} if self._is_time_certain else {"deadline_uncertain": True}
        return [
            {
                "id": message_id_text(one.message_id),
                "to": one.address,
                "state": one.state.value,
                "lane": one.lane.label,
                "deadline": time_text(one.deadline_us or 0),
                **mark,
            }
            for one in found
        ]

    @property
    def _is_time_certain(self) -> bool:
        """Whether our clock and our neighbours' agree, so that a deadline means the same everywhere (D12)."""
        return not any(code in self._ground.alarms for code in ("CLOCK_JUMP", "CLOCK_SKEW"))

    async def wait_for(self, prefix: str, state: str, timeout_s: float) -> dict[str, Any]:
        """The story as soon as every recipient has reached the state; raises `Refused` WAIT_TIMEOUT."""
        if state not in WAITED_FOR:
            raise Refused("BAD_FIELD", f"cannot wait for {state[:40]!r}", field="wait")
        queue = self._ground.news.listen()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    standings = await self._ground.store.read(partial(_standings, prefix=prefix))
                    if self._settled(standings, state):
                        return await self.track(prefix)
                    await self._next_news(queue, standings[0].message_id)
        except TimeoutError:
            raise Refused("WAIT_TIMEOUT", f"not {state} in {round(timeout_s, 2):g} s") from None
        finally:
            self._ground.news.leave(queue)

    async def stream(self, after_seq: int) -> AsyncIterator[dict[str, Any]]:
        """Events after a sequence number, then new ones for ever; -1 for new ones only.

        News that follow on directly are passed on as they come; whenever something lies between, the store is read.
        """
        queue = self._ground.news.listen()
        try:
            last = await self._ground.store.read(events.last_seq) if after_seq < 0 else after_seq
            while True:
                found = await self._ground.store.read(partial(events.after, seq=last, limit=EVENTS_AT_ONCE))
                for event in found:
                    last = event.seq
                    yield self._stream_object(event)
                while len(found) < EVENTS_AT_ONCE:
                    news = await queue.get()
                    if news is None or news.seq > last + 1:
                        break
                    if news.seq == last + 1:
                        last = news.seq
                        yield self._stream_object(news)
        finally:
            self._ground.news.leave(queue)

    def _stream_object(self, event: Event) -> dict[str, Any]:
        """The event with the recipient of its message: of a message that came here that is this office."""
        came_here = event.by == self._ground.identity.office and event.type in DONE_HERE
        to = event.by if came_here else event.office
        shown = {
            "seq": event.seq,
            "type": event.type,
            "id": message_id_text(event.message_id),
            "to": self._ground.address_of(to),
            "at": time_text(event.at_us),
        }
        if event.type in GAPS:
            lane, _, numbers = event.detail.partition(" ")
            shown |= {"from": self._ground.address_of(event.office), "lane": lane, "numbers": numbers}
        return shown

    def _settled(self, standings: list[Standing], state: str) -> bool:
        """Every recipient is there; a verdict that makes it impossible ends the wait with WAIT_TIMEOUT at once."""
        wanted = WAITED_FOR[state]
        if all(one.state in wanted for one in standings):
            return True
        dead = (State.REFUSED, State.EXPIRED, State.UNCONFIRMED)
        if any(one.state in dead for one in standings):
            raise Refused("WAIT_TIMEOUT", f"it will not be {state} for every recipient")
        return False

    async def _next_news(self, queue: "asyncio.Queue[Event | None]", message_id: bytes) -> None:
        """Wait for news of a message; one look at the store then tells all that came meanwhile."""
        while True:
            news = [await queue.get()]
            while not queue.empty():
                news.append(queue.get_nowait())
            if any(event is None or event.message_id == message_id for event in news):
                return

    def _object(self, story: Story) -> dict[str, Any]:
        message, standings, log = story
        ground = self._ground
        now_us = ground.clock.now_us()
        content = None if message.bundle is None else content_of(message.bundle)
        said: dict[bytes, list[Event]] = {}
        for event in log:
            said.setdefault(event.office, []).append(event)
        return {
            "id": message_id_text(message.message_id),
            "title": "" if content is None else content.title,
            "kind": "" if content is None else content.kind,
            "lane": message.lane.label,
            "accepted_at": time_text(message.accepted_us),
            "expires_at": time_text(message.expires_us),
            "recipients": [
                recipient_object(
                    one, said.get(one.office, []), ground.directory, now_us, is_time_certain=self._is_time_certain
                )
                for one in standings
            ],
            **({"damaged": True} if content is None else {}),
        }


def _has(recipient: dict[str, Any], state: str) -> bool:
    if state in ("awaiting_prekey", "cancelled"):
        told = any(event["type"] == state for event in recipient["events"])
        return told and (state == "cancelled" or recipient["state"] == "accepted")
    return bool(recipient["state"] == state)


def _standings(txn: Txn, prefix: str) -> list[Standing]:
    """How a message stands with every recipient."""
    return sent.standings(txn, only(sent.find(txn, *id_range(prefix)), prefix))


def _story(txn: Txn, prefix: str) -> Story:
    message_id = only(sent.find(txn, *id_range(prefix)), prefix)
    message = sent.message(txn, message_id)
    if message is None:
        raise Refused("NOT_FOUND", f"no message {prefix}", field="id")
    return message, sent.standings(txn, message_id), events.of_message(txn, message_id)


def _stories(txn: Txn, ids: list[MessageId]) -> tuple[list[Story], list[MessageId]]:
    """Some of these messages without their words, which no list shows; and the ids that are left."""
    stories: list[Story] = []
    rows = 0
    for at, message_id in enumerate(ids):
        with suppress(RowDamaged):
            message = sent.message(txn, message_id)
            if message is None:
                continue
            bare = None if message.bundle is None else replace(message.bundle, body="", files=(), original=None)
            standings, log = sent.standings(txn, message_id), events.of_message(txn, message_id)
            stories.append((replace(message, bundle=bare), standings, log))
            rows += 1 + len(standings) + len(log)
        if rows >= LISTED_ROWS:
            return stories, ids[at + 1 :]
    return stories, []
