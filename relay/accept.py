"""Acceptance: compose, commit, answer (G1). An answer `accepted` is given only after the commit."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from protocol.content import Bundle, content_digest
from protocol.errors import Refused
from protocol.ids import parse_message_id
from protocol.lanes import Lane
from protocol.limits import SALT_BYTES, SECOND_US
from relay.composing import Desk, compose
from relay.draft import Draft, fingerprint
from relay.ground import Ground
from relay.sealer import Sealer
from relay.sealing import SealAtOnce
from relay.store import sent
from relay.store.sent import Accepted, Prepared, Sealing

GROUP = 32
"""Most messages in one change: with sealing about 15 ms, so that a flash message waits no longer."""
AT_ONCE = 4
"""Most recipients of a message that is sealed within the change that accepts it; broadcasts hold up nobody."""

Composed = tuple[Prepared, bytes] | Refused


class Acceptor:
    """Takes drafts into this relay's custody."""

    def __init__(self, ground: Ground, sealer: Sealer) -> None:
        self._ground = ground
        self._sealer = sealer

    async def send(self, drafts: Sequence[Draft], original: Bundle | None = None) -> list[dict[str, Any] | Refused]:
        """One answer for each draft, in order. Raises `StoreFailed`: then the outcome is unknown."""
        answers: list[dict[str, Any] | Refused] = []
        for start in range(0, len(drafts), GROUP):
            # A caller who goes away between commit and sealing must not leave a message that nobody seals.
            answers += await self._ground.finish(self._accept_group(drafts[start : start + GROUP], original))
        return answers

    async def _accept_group(self, drafts: Sequence[Draft], original: Bundle | None) -> list[dict[str, Any] | Refused]:
        ground = self._ground
        now_us = ground.clock.now_us()
        stale = self._stale(now_us)
        if stale is not None:
            return [await self._known(draft, original) or stale for draft in drafts]
        if ground.me.state == "revoked":
            revoked = Refused("REVOKED", "this office itself is revoked")
            return [await self._known(draft, original) or revoked for draft in drafts]
        settings, suspended = ground.settings.messages, ground.suspended()
        desk = Desk(ground.identity, ground.me, ground.directory, settings, now_us, suspended)
        salts = [ground.entropy.bytes(SALT_BYTES) for _ in drafts]
        composed = await ground.offload.run(partial(_compose_all, drafts, desk, salts, original), len(drafts))
        ready = [one for one in composed if not isinstance(one, Refused)]
        prepared = [message for message, _ in ready]
        lane = min((one.lane for one in prepared), default=Lane.ROUTINE)
        results = await self._commit(lane, ready) if prepared else []
        for (message, packed), result in zip(ready, results, strict=True):
            if not isinstance(result, Refused):
                self._sealer.offer(result.to_seal, message.message_id, packed)
        committed = iter(results)
        answers: list[dict[str, Any] | Refused] = []
        for draft, one in zip(drafts, composed, strict=True):
            if isinstance(one, Refused):
                answers.append(await self._known(draft, original) or one)
                continue
            result = next(committed)
            if isinstance(result, Refused):
                answers.append(await self._known(draft, original) or result)
            else:
                answers.append(_answer_of(result))
        return answers

    def _stale(self, now_us: int) -> Refused | None:
        """Why the directory is not one to accept new messages by; what was accepted goes on all the same (G1)."""
        ground, trust = self._ground, self._ground.settings.trust
        if ground.trust.age_us(now_us) > trust.stop_s * SECOND_US:
            return Refused("TRUST_STALE", "the network directory is too old to send by")
        behind_us = ground.behind_since_us
        if behind_us is not None and now_us - behind_us > trust.behind_s * SECOND_US:
            return Refused("TRUST_STALE", "a newer network directory exists and is not here yet")
        return None

    async def _commit(self, lane: Lane, ready: Sequence[tuple[Prepared, bytes]]) -> Sequence[Accepted | Refused]:
        """One result each. A store without room refuses these; what went before in the same batch stays accepted."""
        ground = self._ground
        prepared = [message for message, _ in ready]
        sealing = Sealing(self._seal_at_once(ready), ground.connected)
        try:
            group = await ground.store.write(lane, partial(sent.accept, prepared=prepared, sealing=sealing))
        except Refused as refused:
            return [refused] * len(ready)
        ground.witnesses.made((one.parcel.digest for one in group.copies), ground.clock.monotonic_us())
        ground.hold(group.copies, begun=sealing.begun)
        ground.news.publish(group.events)
        ground.kick()
        return group.results

    def _seal_at_once(self, ready: Sequence[tuple[Prepared, bytes]]) -> SealAtOnce:
        """For messages to a few offices, with the prekeys that are at hand."""
        ground = self._ground
        few = [(message, packed) for message, packed in ready if len(message.addressees) <= AT_ONCE]
        now_us, suites = ground.clock.now_us(), ground.directory.rules.suites
        prekeys = {}
        for office in {one.office for message, _ in few for one in message.addressees}:
            current = ground.keyring.current(office, suites, now_us)
            if current is not None:
                prekeys[office] = current[0].prekey_id, current[1]
        packed_of = {message.message_id: packed for message, packed in few}
        return SealAtOnce(ground.identity, ground.directory.network_id, prekeys, packed_of, ground.entropy)

    async def _known(self, draft: Draft, original: Bundle | None) -> dict[str, Any] | None:
        """The first answer, when a draft that would be refused today was accepted before (CONTRACT section 5)."""
        try:
            message_id = parse_message_id(draft.id)
        except Refused:
            return None
        content = fingerprint(draft, b"" if original is None else content_digest(original.record))
        known = await self._ground.store.read(partial(sent.repeated, message_id=message_id, fingerprint=content))
        return _answer_of(known) if isinstance(known, Accepted) else None


def _answer_of(result: Accepted) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.json.decode(result.answer)
    if result.repeated:
        answer["repeated"] = True
    return answer


def _compose_all(
    drafts: Sequence[Draft], desk: Desk, salts: Sequence[bytes], original: Bundle | None
) -> list[Composed]:
    composed: list[Composed] = []
    for draft, salt in zip(drafts, salts, strict=True):
        try:
            composed.append(compose(draft, desk, salt if draft.salt is None else draft.salt, original))
        except Refused as refused:
            composed.append(refused)
    return composed
