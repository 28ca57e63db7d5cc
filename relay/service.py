"""Every operation of one office, as the API offers them (CONTRACT section 10). It delegates and presents."""

from base64 import b64encode
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from keys.trust.store import TrustStore
from protocol.audit import Mark
from protocol.errors import Refused
from protocol.frame import COPY_ITEM
from protocol.ids import Digest, MessageId, OfficeId, message_id_text, parse_message_id
from protocol.lanes import Lane
from relay.accept import Acceptor
from relay.audit.check import given
from relay.audit.keeper import Keeper
from relay.doctor.running import Doctor
from relay.draft import Draft
from relay.ending import Cancelled, Ended, Ending, Terms
from relay.evidence import write_evidence
from relay.ground import Ground
from relay.home import Home
from relay.inbox import Inbox
from relay.janitor import act_on, terms_of
from relay.naming import id_range, only
from relay.presenting import content_of
from relay.renewal import Renewal
from relay.spreading import Spreading
from relay.status import Status
from relay.store import held, quarantine, statistics
from relay.store.counters import blob, number
from relay.store.database import Txn
from relay.store.fsck import Report, begin_check, check_slice
from relay.store.quarantine import Suspect
from relay.store.sealed_table import SealedTable
from relay.store.tables import ALL
from relay.timekeeper import Timekeeper
from relay.times import day_text, time_text
from relay.tracking import Tracking

Object = dict[str, Any]


class OfficeService:
    """The office behind the API; see `relay.api.service.OfficeOperations` for what each operation promises."""

    def __init__(
        self,
        ground: Ground,
        acceptor: Acceptor,
        trust_store: TrustStore,
        status: Status,
        timekeeper: Timekeeper,
        keeper: Keeper | None,
        home: Home,
        spreading: Spreading,
        renewal: Renewal,
    ) -> None:
        self._ground = ground
        self._keeper = keeper
        self._acceptor = acceptor
        self._trust_store = trust_store
        self._status = status
        self._timekeeper = timekeeper
        self._home = home
        self._spreading = spreading
        self._renewal = renewal
        self._inbox = Inbox(ground)
        self._tracking = Tracking(ground)

    async def send(self, drafts: Sequence[Draft], /) -> list[Object | Refused]:
        """Accept drafts."""
        return await self._acceptor.send(drafts)

    async def inbox_list(self, state: str | None, limit: int, /) -> list[Object]:
        """Messages that arrived."""
        return await self._inbox.listed(state, limit)

    async def inbox_show(self, id_prefix: str, /) -> Object:
        """One message."""
        return await self._inbox.show(id_prefix)

    async def inbox_head(self, id_prefix: str, /) -> Object:
        """The line of one message."""
        return await self._inbox.head(id_prefix)

    async def inbox_files(self, id_prefix: str, /) -> Object:
        """One message with attachments."""
        return await self._inbox.files(id_prefix)

    async def inbox_take(self, limit: int, /) -> list[Object]:
        """Hand out messages."""
        return await self._inbox.take(limit)

    async def inbox_ack(self, ids: Sequence[str], /) -> list[Object | Refused]:
        """Confirm messages that were handed out."""
        return await self._inbox.acknowledge(ids)

    async def sign_for(self, message_id: str, by: str, signature: bytes | None, /) -> Object:
        """签收."""
        return await self._inbox.sign_for(message_id, by, signature)

    async def return_message(self, message_id: str, reason: str, /) -> Object:
        """退回."""
        return await self._inbox.give_back(message_id, reason)

    async def forward(self, message_id: str, draft: Draft, /) -> Object:
        """转报: a new message that carries the original with its own signature."""
        message, original = await self._inbox.original(message_id)
        title = draft.title or content_of(message.bundle).title
        (answer,) = await self._acceptor.send([msgspec.structs.replace(draft, title=title)], original)
        if isinstance(answer, Refused):
            raise answer
        return answer

    async def track(self, id_prefix: str, /) -> Object:
        """The story of a message."""
        return await self._tracking.track(id_prefix)

    async def wait_for(self, id_prefix: str, state: str, timeout_s: float, /) -> Object:
        """The story when every recipient is there."""
        return await self._tracking.wait_for(id_prefix, state, timeout_s)

    async def sent_list(self, state: str | None, limit: int, /) -> list[Object]:
        """What this office sent."""
        return await self._tracking.sent_list(state, limit)

    async def evidence(self, id_prefix: str, redact_body: bool, boxes: Collection[str], /) -> bytes:
        """The evidence file of a message in one of the boxes, `sent` or `inbox`."""
        files = self._trust_store.publishable_files()
        return await write_evidence(self._ground, files, id_prefix, boxes, redact_body=redact_body)

    async def cancel(self, message_id: str, /) -> Object:
        """End what was never sent; of what was, its recipients are asked by a signed tombstone."""
        return await self._ground.finish(self._cancel(message_id, parse_message_id(message_id)))

    async def _cancel(self, message_id: str, wanted: MessageId) -> Object:
        ground = self._ground
        cancel = partial(_cancel, terms=terms_of(ground), message_id=wanted)
        ended, result = await ground.store.write(Lane.URGENT, cancel)
        act_on(ground, ended)
        return {
            "id": message_id,
            "cancelled": result.ended,
            "requested": result.requested,
            "not_cancelled": result.too_late,
        }

    async def office(self) -> Object:
        """Who we are."""
        directory, me = self._ground.directory, self._ground.me
        return {
            "address": me.address,
            "name": me.name,
            "office_id": me.id.hex(),
            "network": directory.network,
            "network_id": directory.network_id.hex(),
            "directory_version": directory.version,
        }

    async def status(self) -> Object:
        """The relay on one page."""
        return await self._status.report()

    async def clock_accept(self) -> Object:
        """The wall clock is right, says an operator."""
        return await self._ground.finish(self._timekeeper.accept())

    async def home_accept(self) -> Object:
        """An operator knows why this home was restored or cloned."""
        return await self._ground.finish(self._home.accept())

    async def prekey_renew(self) -> Object:
        """A new prekey at once, says an operator: the next message is sealed to it."""
        made = await self._ground.finish(self._renewal.renew())
        if made is None:
            raise Refused("BAD_KEYS", "the directory in force lets no prekey of this office's keys count")
        return {"epoch": made.epoch, "from": time_text(made.not_before_us), "until": time_text(made.not_after_us)}

    async def queue_list(self, limit: int, /) -> list[Object]:
        """What waits, in the order it will go."""
        rows = await self._ground.store.read(partial(held.listed, limit=limit))
        stages = self._stages()
        return [self._queue_line(row, stages) for row in rows]

    async def queue_show(self, id_prefix: str, /) -> Object:
        """What waits of one message; envelope only."""
        low, high = id_range(id_prefix)
        rows = await self._ground.store.read(partial(held.of_message, low=low, high=high))
        message_id = only(sorted({blob(row["message_id"]) for row in rows}), id_prefix)
        stages = self._stages()
        return {"id": message_id_text(message_id), "copies": [self._queue_line(row, stages) for row in rows]}

    def _stages(self) -> dict[Digest, tuple[str, OfficeId | None, int]]:
        """Stage, next hop and tries of every parcel in the outbox; what else is held waits in the store."""
        return {parcel.digest: (stage, hop, tries) for parcel, stage, hop, tries in self._ground.outbox.describe()}

    def _queue_line(self, row: Object, stages: Mapping[Digest, tuple[str, OfficeId | None, int]]) -> Object:
        ground = self._ground
        message_id, origin = blob(row["message_id"]), blob(row["origin"])
        # A sealed receipt travels as a copy: others' name no message, and our own are not kept as the origin's.
        is_copy = row["kind"] == COPY_ITEM and message_id and (row["own"] or origin != ground.identity.office)
        stage, hop, tries = stages.get(row["digest"], ("waiting", None, 0))
        return {
            "id": message_id_text(message_id) if message_id else None,
            "what": "copy" if is_copy else "receipt",
            "from": ground.address_of(origin),
            "to": ground.address_of(blob(row["recipient"])),
            "lane": Lane(number(row["lane"])).label,
            "bytes": row["size"],
            "since": time_text(number(row["since_us"])),
            "expires_at": time_text(number(row["expires_us"])),
            "stage": stage,
            "next_hop": None if hop is None else ground.address_of(hop),
            "tries": tries,
        }

    async def quarantine_list(self) -> list[Object]:
        """Samples of what could not be verified, the newest first."""
        found = await self._ground.store.read(partial(quarantine.latest, limit=1_000))
        return [_suspect_object(suspect) for suspect in found]

    async def quarantine_show(self, key: str, /) -> Object:
        """One sample with its first bytes."""
        if not key.isdecimal() or len(key) > 18:
            raise Refused("BAD_FIELD", "a quarantine key is a number", field="key")
        suspect = await self._ground.store.read(partial(quarantine.get, seq=int(key)))
        if suspect is None:
            raise Refused("NOT_FOUND", f"no {key} in quarantine", field="key")
        return _suspect_object(suspect) | {"sample": suspect.sample.hex()}

    async def overdue(self) -> list[Object]:
        """What is late."""
        return await self._tracking.overdue()

    async def fsck(self) -> Object:
        """Open every row, in slices between commits."""
        store = self._ground.store
        report = await store.read(_begin_check)
        for table in ALL:
            while not report.tables[table.name].complete:
                await store.read(partial(_check_slice, table=table, report=report))
        return report.as_json()

    async def doctor(self) -> list[Object]:
        """Examine this relay."""
        doctor = Doctor(self._ground, self._status, self._tracking, self._kept())
        return [finding.as_json() for finding in await doctor.examine()]

    async def statistics(self, limit: int, /) -> list[Object]:
        """What was counted on each of the latest days, the newest first."""
        found = await self._ground.store.read(partial(statistics.latest, limit=limit))
        return [{"day": day_text(day), **counted} for day, counted in found]

    async def audit_lines(self, limit: int, after: int, /) -> list[Object]:
        """The last lines of the audit log."""
        return await self._kept().lines(limit, after)

    async def audit_heads(self) -> list[Object]:
        """How far the audit logs of neighbours are."""
        return await self._kept().heard.heads()

    async def audit_verify(self, heads: Sequence[Mark], /) -> Object:
        """Check the audit log."""
        return (await self._kept().check(given(heads))).as_json()

    async def audit_accept(self) -> Object:
        """The damage of the audit log is known, says an operator."""
        return await self._ground.finish(self._kept().accept())

    async def trust_take(self, files: Mapping[str, bytes], /) -> Object:
        """The administrator's newer directory: verified, taken, published."""
        result, brokers = await self._spreading.give(files)
        if result.code is not None:
            raise Refused("BAD_TRUST", f"{result.code}: {result.detail}")
        return {"version": result.trust.version, "changed": result.changed, "brokers": brokers}

    async def trust_files(self) -> Object:
        """What is verified here."""
        files = self._trust_store.publishable_files()
        encoded = {name: b64encode(data).decode() for name, data in sorted(files.items())}
        return {"version": self._ground.trust.version, "files": encoded}

    async def audit_export(self) -> Iterator[bytes]:
        """The audit log as an archive."""
        return await self._kept().export(self._trust_store.publishable_files())

    def _kept(self) -> Keeper:
        if self._keeper is None:
            raise Refused("NOT_FOUND", "this relay keeps no audit log")
        return self._keeper

    async def metrics(self) -> bytes:
        """For Prometheus."""
        return await self._status.metrics()

    async def ready(self) -> Object:
        """Store, keys and API are up; a missing broker only degrades (CONTRACT section 1)."""
        return self._status.ready()

    def events(self, after_seq: int, /) -> AsyncIterator[Object]:
        """The event stream."""
        return self._tracking.stream(after_seq)


def _begin_check(txn: Txn) -> Report:
    return begin_check(txn.connection, ALL)


def _check_slice(txn: Txn, table: SealedTable, report: Report) -> None:
    check_slice(txn.connection, txn.cipher, table, report)


def _suspect_object(suspect: Suspect) -> Object:
    return {
        "key": str(suspect.seq),
        "at": time_text(suspect.at_us),
        "code": suspect.code,
        "detail": suspect.detail,
        "source": suspect.source,
        "bytes": suspect.size,
    }


def _cancel(txn: Txn, terms: Terms, message_id: bytes) -> tuple[Ended, Cancelled]:
    return Ending(txn, terms).by_will(message_id)
