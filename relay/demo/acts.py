"""The acts of the story. Every sentence that is told has been checked on the running network just before."""

import base64
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.console.client import path_of
from relay.console.drafting import new_id
from relay.console.failure import Failure
from relay.console.output import size
from relay.demo.cast import (
    CITY,
    CITY_BROKER,
    CLERK,
    ISSUER,
    LIAISON,
    OFFICES,
    PROVINCE,
    PROVINCE_BROKER,
    REVIEWER,
    SCREENED,
)
from relay.demo.papers import Papers, flash_draft, gather_papers, report_draft, routine_draft
from relay.demo.search import files_of, marks_in
from relay.demo.stage import Stage
from relay.demo.telling import Telling

UNDER_WAY: Final = 100
"""Routine reports that set out just before the broker is killed."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
BACKLOG: Final = 200
"""Routine reports that are accepted while it is down."""


Object = dict[str, Any]


@dataclass(slots=True)
class Scenes:
    """What one act leaves to those after it."""

    stage: Stage
    telling: Telling
    report_id: str = ""
    digest: str = ""
    sent: int = 0
    delivered: int = 0
    refused: int = 0
    duplicated: int = 0
    times_ms: dict[str, int] = field(default_factory=dict)
    rss_bytes: int = 0
    evidence: Path = Path()

    def send(self, office: str, draft: Object) -> Object:
        """What `relay send` does."""
        answer = self.stage.office(office).change(path_of("messages"), draft, key=draft["id"]).one()
        self.sent += len(answer["to"])
        return answer

    def event(self, office: str, message_id: str, type_: str) -> Object:
        """The event of a message with one recipient, as soon as its office knows of it."""
        path = path_of("messages", message_id, "timeline")

        def look() -> list[Object]:
            (recipient,) = self.stage.office(office).read(path).one()["recipients"]
            return [event for event in recipient["events"] if event["type"] == type_]

        return self.stage.until(look, f"{type_} of {message_id}")[0]

    def inbox(self, office: str) -> list[Object]:
        """The inbox of an office, in the order of arrival."""
        return list(self.stage.office(office).read("/v1/messages", box="inbox", limit=10_000).many())


def act_report(scenes: Scenes) -> None:
    """A report from county to province through a city that cannot read it, with custody, delivery and signature."""
    telling, province = scenes.telling, scenes.stage.office(PROVINCE)
    telling.act("report")
    papers = gather_papers()
    draft = report_draft(papers, PROVINCE)
    persons = {"reviewer": REVIEWER, "issuer": ISSUER}
    files = {role: scenes.stage.key_file(LIAISON, name) for role, name in persons.items()}
    scenes.stage.signing(LIAISON).approve(draft, files)
    answer = scenes.send(LIAISON, draft)
    scenes.report_id, scenes.digest = answer["id"], answer["digest"]
    telling.check(
        "report_accepted",
        answer["state"] == "accepted",
        by=LIAISON,
        title=papers.title,
        source=papers.source,
        attachment_bytes=len(papers.attachment),
        id=scenes.report_id,
    )
    for type_, by in (("custody", CITY), ("delivered", PROVINCE)):
        event = scenes.event(LIAISON, scenes.report_id, type_)
        ms = scenes.times_ms[type_] = _ms_between(answer["accepted_at"], event["at"])
        telling.check(type_, event["by"] == by, event.get("verified") is True, by=event["by"], ms=ms)
    scenes.delivered += 1
    found = province.read(path_of("messages", scenes.report_id, "files")).one()
    (attachment,) = found["attachments"]
    data = base64.b64decode(attachment["data"])
    telling.check("same_bytes", found["body"] == papers.body, data == papers.attachment)
    approved = {one["role"]: one["by"] for one in found["meta"]["signatures"] if one["verified"]}
    telling.check("approved", persons.items() <= approved.items(), reviewer=REVIEWER, issuer=ISSUER)
    telling.check("city_inbox_empty", scenes.inbox(CITY) == [])
    _search(scenes, papers, found["body"].encode(), data)
    signature = scenes.stage.signing(PROVINCE).sign_for(scenes.report_id, scenes.stage.key_file(PROVINCE, CLERK))
    province.change(path_of("messages", scenes.report_id, "sign-for"), {"by": CLERK, "signature": signature})
    event = scenes.event(LIAISON, scenes.report_id, "signed_for")
    telling.check(
        "signed_for",
        event["by"] == PROVINCE,
        event.get("verified") is True,
        (event["person"], event["mode"]) == (CLERK, "person_signed"),
        person=event["person"],
        mode=event["mode"],
    )


def _search(scenes: Scenes, papers: Papers, body: bytes, attachment: bytes) -> None:
    """No mark in what the city and the brokers keep; the same search finds all of them where they may be."""
    stage = scenes.stage
    saved = stage.directory / "saved-at-the-province"
    saved.mkdir(mode=0o700)
    (saved / "body.txt").write_bytes(body)
    (saved / "attachment").write_bytes(attachment)
    places = (stage.home(CITY), stage.broker_directory(PROVINCE_BROKER), stage.broker_directory(CITY_BROKER))
    hidden = [path for place in places for path in files_of(place)]
    seen = marks_in(files_of(saved), papers.marks)
    scenes.telling.check(
        "city_cannot_read",
        marks_in(hidden, papers.marks) == 0,
        seen == len(papers.marks),
        marks=len(papers.marks),
        files=len(hidden),
        found=seen,
    )


def act_screening(scenes: Scenes) -> None:
    """A county that is not a liaison is refused, and reports through its city instead."""
    telling = scenes.telling
    telling.act("screening")
    draft = {"id": new_id(), "to": PROVINCE, "title": "关于秋粮收购进度的信息", "body": "截至昨日，已入库过半。\n"}
    code = ""
    try:
        scenes.send(SCREENED, draft)
    except Failure as failure:
        code = failure.code
    telling.check("not_liaison", code == "NOT_LIAISON", by=SCREENED, code=code or "accepted")
    scenes.refused += 1
    original = scenes.send(SCREENED, draft | {"id": new_id(), "to": CITY})
    event = scenes.event(SCREENED, original["id"], "delivered")
    telling.check("screened_to_city", event["by"] == CITY, event.get("verified") is True, by=SCREENED)
    path = path_of("messages", original["id"], "forward")
    forwarded = scenes.stage.office(CITY).change(path, {"id": new_id(), "to": PROVINCE}).one()
    scenes.sent += 1
    event = scenes.event(CITY, forwarded["id"], "delivered")
    telling.check("forwarded", event["by"] == PROVINCE, event.get("verified") is True)
    scenes.delivered += 2
    inside = scenes.stage.office(PROVINCE).read(path_of("messages", forwarded["id"])).one()["original"]
    telling.check(
        "original_inside",
        inside["verified"] is True,
        inside["from"] == SCREENED,
        inside["digest"] == original["digest"],
        inside["body"] == draft["body"],
        by=inside["from"],
    )


def act_broker_killed(scenes: Scenes) -> None:
    """The broker dies in the middle of traffic; routine reports queue up; a later flash report arrives before them."""
    stage, telling = scenes.stage, scenes.telling
    telling.act("broker_killed")
    before = len(scenes.inbox(PROVINCE))
    first = _send_lines(scenes, [routine_draft(number, PROVINCE) for number in range(1, UNDER_WAY + 1)])
    stage.until(lambda: len(scenes.inbox(PROVINCE)) > before, "the first of them arrives")
    pid = stage.kill_broker(CITY_BROKER)
    stage.until(lambda: not stage.connected(LIAISON), "the county notices that its broker is gone")
    arrived = len(scenes.inbox(PROVINCE)) - before
    telling.check("killed", arrived > 0, under_way=UNDER_WAY, pid=pid, arrived=arrived)
    backlog = _send_lines(
        scenes, [routine_draft(number, PROVINCE) for number in range(UNDER_WAY + 1, UNDER_WAY + BACKLOG + 1)]
    )
    flash = scenes.send(LIAISON, flash_draft(PROVINCE))
    waiting = partial(_waiting, scenes)
    stage.until(lambda: waiting("routine") >= BACKLOG and waiting("flash") == 1, "all of it is sealed and waits")
    telling.check("queued", waiting("routine") >= BACKLOG, waiting("flash") == 1, count=BACKLOG)
    stage.start_broker(CITY_BROKER)
    back_us = time.time_ns() // 1000
    telling.check("broker_back", stage.connected(PROVINCE))
    _arrival(scenes, before, [*first, *backlog, flash["id"]], backlog, flash["id"], back_us)


def _waiting(scenes: Scenes, lane: str) -> int:
    """Copies of a lane in the liaison county's queue, without custody of anybody else."""
    shape = scenes.stage.status(LIAISON)["lanes"][lane]
    return int(shape["queued"] + shape["inflight"])


def _send_lines(scenes: Scenes, drafts: Iterable[Object]) -> list[str]:
    """What `relay send --jsonl` does; the ids. Raises `Failure` CHECK_FAILED where a line was refused."""
    lines = b"".join(msgspec.json.encode(draft) + b"\n" for draft in drafts)
    answers = list(scenes.stage.office(LIAISON).stream(path_of("messages"), lines).many())
    for answer in answers:
        if answer.get("state") != "accepted":
            raise Failure("CHECK_FAILED", f"a routine report was not accepted: {answer.get('code')}")
    scenes.sent += len(answers)
    return [answer["id"] for answer in answers]


def _arrival(scenes: Scenes, before: int, sent: list[str], backlog: list[str], flash: str, back_us: int) -> None:
    """Everything that was sent is there, once; flash came before the backlog; every receipt is verified."""
    stage, telling = scenes.stage, scenes.telling
    stage.until(lambda: _delivered(scenes) >= 1 + len(sent), "everything is delivered")
    received = scenes.inbox(PROVINCE)[before:]
    order = [message["id"] for message in received]
    at_us = {message["id"]: _us(message["received_at"]) for message in received}
    overtaken = len(set(order[order.index(flash) + 1 :]) & set(backlog))
    times = scenes.times_ms
    times["flash"] = (at_us[flash] - back_us) // 1000
    times["backlog"] = (max(at_us.values()) - back_us) // 1000
    telling.check(
        "flash_first",
        # Usually all of them; on a busy machine one frame of the other connection may be a moment ahead.
        overtaken > BACKLOG // 2,
        flash_ms=times["flash"],
        overtaken=overtaken,
        backlog=BACKLOG,
        last_ms=times["backlog"],
    )
    scenes.duplicated = len(order) - len(at_us)
    telling.check("nothing_lost", sorted(order) == sorted(sent), sent=len(sent), received=len(order))
    told = {each["id"]: each["recipients"] for each in _sent_list(scenes, LIAISON)}
    verified = sum(_is_delivered(told.get(message_id, [])) for message_id in sent)
    telling.check("all_delivered", verified == len(sent), count=verified)
    scenes.delivered += verified
    status = {office: stage.status(office) for office in OFFICES}
    scenes.rss_bytes = max(each["rss_bytes"] for each in status.values())
    telling.check("no_quarantine", all(each["counters"]["quarantined"] == 0 for each in status.values()))


def _delivered(scenes: Scenes) -> int:
    """Recipient copies of the liaison county with a verified delivery receipt."""
    return int(scenes.stage.status(LIAISON)["counters"]["delivered"])


def _sent_list(scenes: Scenes, office: str) -> list[Object]:
    return list(scenes.stage.office(office).read("/v1/messages", box="sent", limit=10_000).many())


def _is_delivered(recipients: list[Object]) -> bool:
    """Exactly one recipient, in the state delivered, with the recipient's own verified word for it, once."""
    if len(recipients) != 1 or recipients[0]["state"] != "delivered":
        return False
    events = [event for event in recipients[0]["events"] if event["type"] == "delivered"]
    return len(events) == 1 and events[0].get("verified") is True and events[0]["by"] == PROVINCE


def act_evidence(scenes: Scenes) -> None:
    """With every daemon and broker down, the evidence of the report holds against the lab's root."""
    stage, telling = scenes.stage, scenes.telling
    telling.act("evidence")
    data = stage.office(LIAISON).read(path_of("messages", scenes.report_id, "evidence")).body
    file, forged = stage.directory / "evidence.cbor", stage.directory / "evidence-forged.cbor"
    file.write_bytes(data)
    place = len(data) // 2
    forged.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    started_s = time.monotonic()
    statuses = stage.stop_offices()
    stopped_s = round(time.monotonic() - started_s, 2)
    stage.stop_brokers()
    telling.check("all_stopped", all(status == 0 for status in statuses.values()), seconds=stopped_s, exits=statuses)
    root = stage.lab.root_fingerprint
    status, found = stage.command("verify", str(file), "--root", root)
    types = {receipt["type"] for receipt in found.get("receipts", []) if receipt["ok"]}
    telling.check(
        "verified_offline",
        status == 0,
        found.get("ok") is True and found.get("anchored") is True,
        found.get("root_fingerprint") == root,
        (found.get("message") or {}).get("digest") == scenes.digest,
        types >= {"delivered", "signed_for"},
        bytes=len(data),
        receipts=len(found.get("receipts", [])),
        types=sorted(types),
    )
    status, found = stage.command("verify", str(forged), "--root", root)
    telling.check("forgery_found", status == 1, found.get("ok") is False, exit=status)


def act_closing(scenes: Scenes) -> Object:
    """The numbers of the story: as a table for people, and as fields of the result for programs."""
    telling, times = scenes.telling, scenes.times_ms
    telling.act("closing")
    counts = {"sent": scenes.sent, "delivered": scenes.delivered, "refused": scenes.refused}
    lost = scenes.sent - scenes.delivered
    telling.table(
        [
            ("row_sent", f"{scenes.sent} / {scenes.delivered}"),
            ("row_lost", f"{lost} / {scenes.duplicated}"),
            ("row_refused", str(scenes.refused)),
            ("row_report", f"{times['delivered']} ms"),
            ("row_flash", f"{times['flash']} ms"),
            ("row_backlog", f"{times['backlog']} ms"),
            ("row_memory", size(scenes.rss_bytes)),
        ]
    )
    if lost:
        raise Failure("CHECK_FAILED", f"{scenes.sent} sent, {scenes.delivered} delivered")
    telling.end_act(ok=True)
    return {
        "counts": {**counts, "lost": lost, "duplicated": scenes.duplicated},
        "times_ms": times,
        "rss_bytes": scenes.rss_bytes,
    }


def _us(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def _ms_between(earlier: str, later: str) -> int:
    return (_us(later) - _us(earlier)) // 1000
