"""The daemon looks at itself."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from config.schema import Settings
from keys.prekeys import PrekeyRecord
from keys.roster.directory import Directory
from protocol.errors import Refused
from protocol.ids import KeyId
from protocol.lanes import Lane
from relay.audit.keeper import Keeper
from relay.doctor.files import look_at_files
from relay.doctor.finding import Finding, Result, judge_end
from relay.ground import Ground
from relay.memory import what_is_open
from relay.opening import require_suites
from relay.status import Status
from relay.tracking import Tracking

KEY_WARN_DAYS: Final = 30
"""A new key takes a visit to the network's administrator."""
PREKEY_WARN_DAYS: Final = 14
DUE_TOLD: Final = 5
"""Most of what must be renewed that one line tells; `keys needs-renewal` tells all."""
CHECKED_BYTES: Final = 64 * 1024 * 1024
"""Largest audit log that is checked anew while somebody waits, about 3 s; of a larger one the daily check counts."""
LESSER_ALARMS: Final = frozenset({"CLOCK_SKEW"})
"""Alarms that only warn: everything goes on as it should."""


class Doctor:
    """Examines one running relay."""

    def __init__(self, ground: Ground, status: Status, tracking: Tracking, keeper: Keeper) -> None:
        self._ground = ground
        self._status = status
        self._tracking = tracking
        self._keeper = keeper

    async def examine(self) -> list[Finding]:
        """Everything, in the order in which things depend on each other."""
        ground = self._ground
        status = await self._status.report()
        overdue = await self._tracking.overdue()
        now_us = ground.clock.now_us()
        files = await asyncio.to_thread(lambda: list(look_at_files(self._keeper.home, ground.settings)))
        key = judge_key(ground.directory, ground.identity.office, ground.identity.key.key_id(), now_us)
        return [
            Finding("daemon", "PASS", "DAEMON_UP"),
            *files,
            judge_store(status["store"]),
            key,
            judge_office(ground.directory, ground.identity.office, ground.settings.office.address),
            judge_trust(status["trust"]["state"], status["trust"]["age_s"], ground.trust.damaged),
            judge_prekey(ground.keyring.own_record, now_us),
            judge_validity(status["renewal"]),
            judge_memory(what_is_open()),
            judge_clock(status["clock"]),
            judge_links(status["links"]),
            judge_queue(status["lanes"], ground.settings),
            judge_overdue(overdue),
            await self._audit(),
            *judge_alarms(status["alarms"]),
        ]

    async def _audit(self) -> Finding:
        keeper = self._keeper
        if not keeper.was_checked or await asyncio.to_thread(keeper.size_bytes) <= CHECKED_BYTES:
            try:
                await keeper.check()
            except Refused as refused:
                return Finding("audit", "FAIL", "AUDIT_UNWRITABLE", refused.detail)
        return judge_audit(keeper.problems, keeper.alarming)


def judge_store(store: Mapping[str, Any]) -> Finding:
    """The store of `status`."""
    if store["problems"]:
        return Finding("store", "FAIL", "STORE_PAGES", str(store["problems"][0]))
    percent = 100 * store["bytes"] // max(1, store["quota_bytes"])
    if store["state"] != "ok":
        word: Result = "FAIL" if store["state"] == "full" else "WARN"
        return Finding("store", word, f"STORE_{str(store['state']).upper()}", f"{percent} % of the quota used")
    if store["damaged_rows"]:
        return Finding("store", "WARN", "STORE_ROWS", f"{store['damaged_rows']} rows")
    return Finding("store", "PASS", "STORE_OK", f"{percent} % of the quota used")


def judge_key(directory: Directory, office: bytes, key_id: KeyId, now_us: int) -> Finding:
    """The office and its signing key, as the directory has them, and the suites that it allows."""
    try:
        require_suites(directory)
    except Refused as refused:
        return Finding("keys", "FAIL", refused.code, refused.detail)
    record = directory.by_id(office)
    key = None if record is None else next((one for one in record.keys if one.key_id == key_id), None)
    if record is None or key is None or record.state != "active":
        state = "not there" if record is None or key is None else record.state
        return Finding("keys", "FAIL", "KEY_UNKNOWN", f"in the directory this office or its key is {state}")
    if not directory.allows(key.suite):
        return Finding("keys", "FAIL", "KEY_SUITE")
    if key.revoked_since_us is not None and key.revoked_since_us <= now_us:
        return Finding("keys", "FAIL", "KEY_REVOKED")
    return judge_end("keys", "KEY", key.not_after_us, now_us, KEY_WARN_DAYS)


def judge_office(directory: Directory, office: bytes, address: str) -> Finding:
    """Whether the settings still call the office what the directory calls it, and whether it has a successor."""
    record = directory.by_id(office)
    if record is None:
        return Finding("office", "FAIL", "KEY_UNKNOWN")
    heir = None if record.successor is None else directory.by_id(record.successor)
    if heir is not None:
        return Finding("office", "WARN", "OFFICE_SUCCEEDED", f"{record.address} has passed to {heir.address}")
    if record.address != address:
        return Finding("office", "WARN", "OFFICE_RENAMED", f"{address} is {record.address} now")
    return Finding("office", "PASS", "OFFICE_OK", record.address)


def judge_trust(state: str, age_s: int, damaged: Iterable[str]) -> Finding:
    """The network directory: `ok`, `stale` or `expired`, and files on disk that do not verify any more."""
    age = f"signed {age_s // 86_400} days ago"
    if state == "expired":
        return Finding("trust", "FAIL", "TRUST_EXPIRED", age)
    if state == "stale":
        return Finding("trust", "WARN", "TRUST_STALE", age)
    lost = list(damaged)
    if lost:
        return Finding("trust", "WARN", "TRUST_FILES", ", ".join(lost[:3]))
    return Finding("trust", "PASS", "TRUST_OK", age)


def judge_prekey(record: PrekeyRecord | None, now_us: int) -> Finding:
    """Our own prekey, to which others seal."""
    if record is None:
        return Finding("prekey", "FAIL", "PREKEY_MISSING")
    return judge_end("prekey", "PREKEY", record.not_after_us, now_us, PREKEY_WARN_DAYS)


def judge_validity(renewal: Iterable[Mapping[str, Any]]) -> Finding:
    """What ends, by the `renewal` of `status`: certificates, persons, the network's signed files and keys."""
    due = [one for one in renewal if one["due"]]
    told = "; ".join(
        f"{' '.join(filter(None, (one['what'], one['name'])))} until {one['until'][:10]}"
        + (f": {one['next']}" if one["next"] else "")
        for one in due[:DUE_TOLD]
    )
    if any(one["past"] for one in due):
        return Finding("validity", "FAIL", "VALIDITY_ENDED", told)
    if due:
        return Finding("validity", "WARN", "VALIDITY_ENDS_SOON", told)
    return Finding("validity", "PASS", "VALIDITY_OK")


def judge_clock(clock: Mapping[str, Any]) -> Finding:
    """The clock of `status`: whether the believed time follows the wall clock."""
    if clock["state"] != "following":
        return Finding("clock", "FAIL", "CLOCK_HELD", f"the wall clock is off by {clock['offset_s']} s")
    return Finding("clock", "PASS", "CLOCK_OK")


def judge_memory(open_ways: list[str]) -> Finding:
    """Whether keys can leave memory for a disk (relay/memory.py)."""
    if open_ways:
        return Finding("memory", "WARN", "MEMORY_OPEN", ", ".join(open_ways))
    return Finding("memory", "PASS", "MEMORY_OK")


def judge_links(links: list[Mapping[str, Any]]) -> Finding:
    """The brokers."""
    down = [
        f"{link['broker']}: {link['last_error'] or link['state']}" for link in links if link["state"] != "connected"
    ]
    if not links:
        return Finding("links", "WARN", "LINKS_NONE")
    if len(down) == len(links):
        return Finding("links", "FAIL", "LINKS_DOWN", "; ".join(down))
    if down:
        return Finding("links", "WARN", "LINKS_SOME_DOWN", "; ".join(down))
    peers = {peer for link in links for peer in link["peers"]}
    return Finding("links", "PASS", "LINKS_OK", f"{len(links)} connected, {len(peers)} neighbours there")


def judge_queue(lanes: Mapping[str, Mapping[str, int]], settings: Settings) -> Finding:
    """What waits longer than it may take to be delivered."""
    old = [
        f"{lane.label}: {lanes[lane.label]['queued']} waiting, the oldest for {lanes[lane.label]['oldest_s']} s"
        for lane in Lane
        if lanes[lane.label]["queued"]
        and lanes[lane.label]["oldest_s"] > getattr(settings.messages.deadline_s, lane.label)
    ]
    if old:
        return Finding("queue", "WARN", "QUEUE_OLD", "; ".join(old))
    return Finding("queue", "PASS", "QUEUE_OK", f"{sum(lane['queued'] for lane in lanes.values())} waiting")


def judge_overdue(overdue: list[dict[str, Any]]) -> Finding:
    """Messages past their deadline."""
    if overdue:
        return Finding("overdue", "WARN", "OVERDUE_SOME", f"{len(overdue)} messages")
    return Finding("overdue", "PASS", "OVERDUE_NONE")


def judge_audit(problems: tuple[str, ...], alarming: tuple[str, ...]) -> Finding:
    """The audit log, by what its check found; `alarming` is what no operator has accepted."""
    if alarming:
        return Finding("audit", "FAIL", "AUDIT_CHANGED", f"{len(alarming)} problems, the first: {alarming[0]}")
    if problems:
        return Finding("audit", "WARN", "AUDIT_ACCEPTED", f"{len(problems)} problems, the first: {problems[0]}")
    return Finding("audit", "PASS", "AUDIT_OK")


def judge_alarms(alarms: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """One finding for each alarm that sounds; its code is the alarm's."""
    for alarm in alarms:
        result: Result = "WARN" if alarm["code"] in LESSER_ALARMS else "FAIL"
        yield Finding("alarm", result, alarm["code"], f"since {alarm['since']}: {alarm['detail']}")
    if not alarms:
        yield Finding("alarm", "PASS", "ALARMS_NONE")
