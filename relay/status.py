"""The relay on one page: `status`, `/readyz`, `/metrics` (CONTRACT section 8)."""

import asyncio
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from keys.enrol.expiry import Expiry
from keys.files.private_files import KeyFileError
from keys.trust.metadata import TrustError
from protocol.errors import Refused
from protocol.ids import digest_text, message_id_text
from protocol.lanes import Lane
from protocol.limits import SECOND_US
from relay.beacon import Beacon
from relay.ground import Ground
from relay.home import home_object
from relay.mqtt_link import LinkState
from relay.store import counters, held, inbox, shares, streams
from relay.store.damage import count_damaged
from relay.store.database import Txn
from relay.store.streams import Gap
from relay.timekeeper import clock_object
from relay.times import time_text
from relay.validity import WITHIN_US, objects
from relay.version import program_version

GAPS_SHOWN: Final = 100
"""Most gaps in one report, the oldest: whoever has more has one cause, not a hundred."""
PAGE_BYTES: Final = resource.getpagesize()


_log = structlog.get_logger()


class LinkStates(Protocol):
    """Whoever knows the connections."""

    def links(self) -> list[LinkState]:
        """All of them."""
        ...


class Status:
    """Gathers what operators look at."""

    def __init__(
        self, ground: Ground, beacon: Beacon, links: LinkStates, problems: tuple[str, ...],
        validity: Callable[[], Callable[[], list[Expiry]]] | None = None,
    ) -> None:  # fmt: skip
        """`validity` gives what gathers, in a thread, what ends when: it reads files of the home."""
        self._ground = ground
        self._beacon = beacon
        self._links = links
        self._problems = problems
        self._validity = validity
        self._started_us = ground.clock.monotonic_us()
        self._version = program_version()

    async def report(self) -> dict[str, Any]:
        """The object of `relay status`."""
        ground = self._ground
        found = await ground.store.read(_read)
        now_us = ground.clock.now_us()
        return {
            "office": ground.me.address,
            "name": ground.me.name,
            "network": ground.directory.network,
            "version": self._version,
            "pid": os.getpid(),
            "uptime_s": (ground.clock.monotonic_us() - self._started_us) // SECOND_US,
            "rss_bytes": rss_bytes(),
            "links": self._link_objects(),
            "lanes": self._lanes(found["held"], now_us),
            "inbox": found["inbox"],
            "gaps": [self._gap(gap) for gap in found["gaps"]],
            "store": {
                "bytes": found["space"].used_bytes,
                "quota_bytes": found["space"].quota_bytes,
                "state": found["state"],
                "damaged_rows": found["damaged"],
                "problems": list(self._problems),
            },
            "alarms": [
                {"code": alarm.code, "since": time_text(alarm.since_us), "detail": alarm.detail}
                for alarm in ground.alarms
            ],
            "renewal": await self._renewal(now_us),
            "home": home_object(ground),
            "clock": clock_object(ground),
            "counters": found["counters"],
            "audit": {"count": ground.audit.mark.count, "head": digest_text(ground.audit.mark.head)},
            "trust": {
                "version": ground.trust.version,
                "age_s": ground.trust.age_us(now_us) // SECOND_US,
                "state": _trust_state(ground, now_us),
                "root_fingerprint": ground.trust.root_fingerprint,
            },
        }

    async def _renewal(self, now_us: int) -> list[dict[str, Any]]:
        """What ends when, the first end first; what cannot be read is a matter for `doctor`."""
        if self._validity is None:
            return []
        try:
            found = await asyncio.to_thread(self._validity())
        except (KeyFileError, TrustError, Refused) as error:
            _log.warning("validity_not_read", error=str(error))
            return []
        return objects(found, WITHIN_US, now_us)

    def ready(self) -> dict[str, Any]:
        """Ready once it answers; without a broker degraded, since it still accepts and keeps."""
        down = [link["broker"] for link in self._link_objects() if link["state"] != "connected"]
        return {"ready": True, "degraded": bool(down), "brokers_down": down}

    async def metrics(self) -> bytes:
        """Counters and gauges in Prometheus's text format."""
        report = await self.report()
        registry = CollectorRegistry()
        for name, value in report["counters"].items():
            Counter(f"relay_{name}", f"Recipient copies {name} since the home began", registry=registry).inc(value)
        queued = Gauge("relay_queue_depth", "Parcels waiting for a next hop", ["lane"], registry=registry)
        oldest = Gauge("relay_queue_oldest_age_seconds", "Age of the oldest parcel", ["lane"], registry=registry)
        for lane, shape in report["lanes"].items():
            queued.labels(lane).set(shape["queued"])
            oldest.labels(lane).set(shape["oldest_s"])
        connected = Gauge("relay_broker_connected", "Whether both connections are up", ["broker"], registry=registry)
        for link in report["links"]:
            connected.labels(link["broker"]).set(int(link["state"] == "connected"))
        Gauge("relay_store_bytes", "Bytes used in the store", registry=registry).set(report["store"]["bytes"])
        Gauge("relay_rss_bytes", "Resident memory", registry=registry).set(report["rss_bytes"])
        missing = Gauge("relay_numbers_missing", "Numbers missing in gaps, by sender", ["sender"], registry=registry)
        for gap in report["gaps"]:
            missing.labels(gap["from"]).inc(gap["missing"])
        sounding = Gauge("relay_alarm", "Alarms that sound", ["code"], registry=registry)
        for alarm in report["alarms"]:
            sounding.labels(alarm["code"]).set(1)
        Gauge("relay_trust_age_seconds", "Age of the network directory", registry=registry).set(
            report["trust"]["age_s"]
        )
        return generate_latest(registry)

    def _link_objects(self) -> list[dict[str, Any]]:
        """One per broker: as good as the worse of its two connections."""
        peers = self._beacon.peers()
        by_broker: dict[str, list[LinkState]] = {}
        for link in self._links.links():
            by_broker.setdefault(link.broker, []).append(link)
        return [
            {
                "broker": broker,
                "state": next((link.state for link in links if link.state != "connected"), "connected"),
                "since": time_text(max(link.since_us for link in links)),
                "last_error": next((link.last_error for link in links if link.last_error), None),
                "peers": peers.get(broker, []),
                "groups": {link.group: link.state for link in links},
            }
            for broker, links in by_broker.items()
        ]

    def _gap(self, gap: Gap) -> dict[str, Any]:
        """Numbers that somebody gave and that did not come (G4)."""
        return {
            "from": self._ground.address_of(gap.sender),
            "lane": gap.lane.label,
            "numbers": streams.numbers_text(gap.hole),
            "missing": gap.hole.count,
            "after": message_id_text(gap.hole.after),
            "since": time_text(gap.hole.since_us),
        }

    def _lanes(self, shape: dict[Lane, tuple[int, int]], now_us: int) -> dict[str, dict[str, int]]:
        """Per lane: waiting, sent without custody yet, and the age of the oldest parcel."""
        sent = dict.fromkeys(Lane, 0)
        kept = dict.fromkeys(Lane, 0)
        for parcel, stage, _, _ in self._ground.outbox.describe():
            if stage == "sent":
                sent[parcel.lane] += 1
            elif stage == "kept":
                kept[parcel.lane] += 1
        lanes = {}
        for lane in Lane:
            count, since_us = shape.get(lane, (0, now_us))
            lanes[lane.label] = {
                "queued": max(0, count - sent[lane] - kept[lane]),
                "inflight": sent[lane],
                "in_custody": kept[lane],
                "oldest_s": max(0, now_us - since_us) // SECOND_US,
            }
        return lanes


def _read(txn: Txn) -> dict[str, Any]:
    return {
        "held": held.shape(txn),
        "inbox": inbox.counts(txn),
        "gaps": streams.gaps(txn, GAPS_SHOWN),
        "counters": counters.counters(txn),
        "space": txn.space,
        "state": shares.state(txn),
        "damaged": count_damaged(txn),
    }


def _trust_state(ground: Ground, now_us: int) -> str:
    """`ok`, `stale`, or `expired` (nothing is accepted any more), by the metadata's own terms and by the settings."""
    by_metadata = ground.trust.state(now_us)
    age_s = ground.trust.age_us(now_us) / SECOND_US
    if by_metadata == "expired" or age_s > ground.settings.trust.stop_s:
        return "expired"
    return "stale" if by_metadata == "stale" or age_s > ground.settings.trust.stale_s else "ok"


def rss_bytes() -> int:
    """Resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE_BYTES
