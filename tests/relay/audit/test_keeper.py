"""The log of a running relay: what is noted, when it is durable, what the store and neighbours are told, and alarms."""

import asyncio
import errno
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pytest

from config.schema import Audit, Office, Settings
from keys.signing import PRESENCE, sign_record
from protocol.audit import START, Mark
from protocol.errors import Refused
from protocol.ids import Digest, Epoch, message_id_text
from protocol.lanes import Lane
from protocol.presence import Presence, encode_presence
from relay.alarms import Alarms
from relay.audit.check import Anchor
from relay.audit.folder import files_of
from relay.audit.keeper import Keeper, recall_mark
from relay.audit.notes import IDS, RELAY, Notes
from relay.ground import Ground
from relay.store.events import Event
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store
from tests.sim.virtual import OfficeClock, Time
from tests.world import CITY, CITY_KEY, COUNTY, COUNTY_KEY, DIRECTORY, EPOCH, MESSAGE, PROVINCE, make_presence

SETTINGS = Settings(
    home_version=1,
    office=Office(address="320924-GO", network="lab"),
    audit=Audit(write_s=0, sync_s=0.01, head_s=0.05, file_bytes=4_096),
)


@dataclass
class Place:
    """A keeper with everything that it stands on, and a store that may be full."""

    home: Path
    store: InlineStore
    ground: Ground
    full: bool = False
    tasks: list["asyncio.Future[Any]"] = field(default_factory=list)

    async def write(self, lane: Lane, change: Callable[[Any], Any]) -> Any:
        if self.full:
            raise Refused("STORE_FULL")
        return self.store.run(change)

    async def read(self, query: Callable[[Any], Any]) -> Any:
        return self.store.run(query)

    @property
    def notes(self) -> Notes:
        return self.ground.audit

    def lines(self) -> list[dict[str, Any]]:
        found = [path.read_text().splitlines() for path in files_of(self.home / "audit")]
        return [json.loads(line) for lines in found for line in lines]

    def words(self) -> list[str]:
        return [line["did"] for line in self.lines() if line["did"] != "head"]


def kept(home: Path, work: Callable[[Place, Keeper], Coroutine[Any, Any, None]], store: InlineStore) -> Place:
    """Run a keeper while `work` is done, then close it as the daemon does."""
    clock = OfficeClock(Time())
    place = Place(home, store, cast(Ground, None))
    place.ground = cast(
        Ground,
        SimpleNamespace(
            settings=SETTINGS,
            clock=SimpleNamespace(
                now_us=clock.now_us, monotonic_us=lambda: int(asyncio.get_running_loop().time() * 1e6)
            ),
            store=place,
            identity=SimpleNamespace(office=COUNTY, key=COUNTY_KEY, epoch=EPOCH),
            directory=DIRECTORY,
            alarms=Alarms(),
            commit=place.write,
            spawn=lambda work: place.tasks.append(asyncio.ensure_future(work)),
            address_of=lambda office: DIRECTORY.offices[office].address,
        ),
    )
    place.ground.audit = Notes(place.ground.clock, COUNTY)

    async def run() -> None:
        keeper = Keeper(place.ground, home)
        await keeper.prepare()
        task = asyncio.create_task(keeper.run())
        await keeper.opened.wait()
        try:
            await work(place, keeper)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await keeper.close()

    asyncio.run(run())
    return place


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


def test_g15_what_is_noted_is_durable_signed_and_remembered_by_itself(tmp_path: Path) -> None:
    async def work(place: Place, keeper: Keeper) -> None:
        place.notes.add("uid:7/gid:7", "send", id="x", code="OK")
        await until(lambda: place.lines()[-1]["did"] == "head" and "send" in place.words())
        mark = place.notes.mark
        assert mark.count == len(place.lines())
        assert place.store.run(recall_mark) == mark
        assert (await keeper.check()).ok

    with office_store() as store:
        place = kept(tmp_path, work, store)
        assert place.store.run(recall_mark) == place.notes.mark
        assert place.notes.mark.count == len(place.lines())
        assert kept(tmp_path, _nothing, store).words() == ["send"]


async def _nothing(place: Place, keeper: Keeper) -> None:
    report = await keeper.check()
    assert report.ok
    assert report.against == ("the store", "this relay")


def test_g15_a_disk_that_refuses_is_an_alarm_and_what_could_not_be_written_is_counted(tmp_path: Path) -> None:
    async def work(place: Place, keeper: Keeper) -> None:
        with patch("relay.audit.log.write_all", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            for number in range(30):
                place.notes.add(RELAY, f"n{number}")
            await until(lambda: "AUDIT_DAMAGED" in place.ground.alarms)
            assert "No space" in next(iter(place.ground.alarms)).detail
            with pytest.raises(Refused):
                await keeper.check()
            place.notes._waiting_max = 5
            for number in range(30, 50):
                place.notes.add(RELAY, f"n{number}")
        await until(lambda: "lost" in place.words())
        await until(lambda: "AUDIT_DAMAGED" not in place.ground.alarms)
        kept_words = [f"n{number}" for number in range(35)]
        assert place.words() == [*kept_words, "lost"]
        assert [line["count"] for line in place.lines() if line["did"] == "lost"] == [15]
        assert (await keeper.check()).ok

    with office_store() as store, patch("relay.audit.keeper.RETRY_S", 0.02):
        kept(tmp_path, work, store)


def test_g15_a_full_store_holds_up_no_line(tmp_path: Path) -> None:
    async def work(place: Place, keeper: Keeper) -> None:
        place.full = True
        place.notes.add(RELAY, "x")
        await until(lambda: place.words() == ["x"] and place.notes.mark.count == len(place.lines()))
        assert place.store.run(recall_mark).count < place.notes.mark.count
        place.full = False

    with office_store() as store:
        assert kept(tmp_path, work, store).words() == ["x"]


def test_g15_a_damaged_log_is_an_alarm_at_the_start_and_the_relay_writes_on(tmp_path: Path) -> None:
    async def write(place: Place, keeper: Keeper) -> None:
        for _ in range(60):
            place.notes.add(RELAY, "x")
            await asyncio.sleep(0.002)

    async def look(place: Place, keeper: Keeper) -> None:
        await until(lambda: "AUDIT_DAMAGED" in place.ground.alarms)
        place.notes.add(RELAY, "y")
        report = await keeper.check()
        assert not report.ok
        assert "y" in place.words()

    with office_store() as store:
        kept(tmp_path, write, store)
        files = files_of(tmp_path / "audit")
        assert len(files) > 2
        for path in (files[0], files[-1]):
            data = path.read_bytes()
            path.write_bytes(data.replace(b'"by":"relay"', b'"by":"uid:0"', 1))
            kept(tmp_path, look, store)
            path.write_bytes(data)


def test_g15_damage_that_an_operator_accepts_stays_damage_and_only_new_damage_sounds(tmp_path: Path) -> None:
    async def write(place: Place, keeper: Keeper) -> None:
        for _ in range(60):
            place.notes.add(RELAY, "x")
            await asyncio.sleep(0.002)

    async def accept(place: Place, keeper: Keeper) -> None:
        await until(lambda: "AUDIT_DAMAGED" in place.ground.alarms)
        found = await keeper.accept()
        assert (len(found["problems"]), found["left"]) == (1, [])
        assert "AUDIT_DAMAGED" not in place.ground.alarms
        assert not (await keeper.check()).ok
        # What was accepted is in the log, and a signed head stands behind it.
        assert (place.words()[-1], place.lines()[-1]["did"]) == ("damage_accepted", "head")

    async def look(place: Place, keeper: Keeper) -> None:
        assert not (await keeper.check()).ok
        assert "AUDIT_DAMAGED" not in place.ground.alarms
        spoil(files_of(tmp_path / "audit")[1])
        assert len((await keeper.check()).problems) > 1
        assert len(keeper.alarming) == len(keeper.problems) - 1
        assert "AUDIT_DAMAGED" in place.ground.alarms

    with office_store() as store:
        kept(tmp_path, write, store)
        spoil(files_of(tmp_path / "audit")[0])
        kept(tmp_path, accept, store)
        kept(tmp_path, look, store)


def spoil(path: Path) -> None:
    """Somebody puts other words into a line."""
    path.write_bytes(path.read_bytes().replace(b'"by":"relay"', b'"by":"uid:0"', 1))


def test_g15_a_head_from_outside_is_found_in_the_log_or_not(tmp_path: Path) -> None:
    async def work(place: Place, keeper: Keeper) -> None:
        place.notes.add(RELAY, "x")
        report = await keeper.check()
        known = Anchor("paper", report.mark)
        by_hash = Anchor("paper", Mark(0, report.mark.head))
        assert (await keeper.check((known,))).ok
        assert (await keeper.check((by_hash,))).ok
        unknown = Mark(0, report.mark.head[::-1])
        assert not (await keeper.check((Anchor("paper", unknown),))).ok
        # What somebody brings that does not fit is no damage of ours.
        assert "AUDIT_DAMAGED" not in place.ground.alarms

    with office_store() as store:
        kept(tmp_path, work, store)


def test_g15_a_cut_of_log_and_store_together_is_found_by_what_brokers_and_neighbours_kept(tmp_path: Path) -> None:
    def shown(place: Place, count: int, head: bytes, **changes: Any) -> None:
        fields = {"office": COUNTY, "audit_count": count, "audit_head": Digest(head), **changes}
        place.notes.hear(make_presence(**fields), b"", "broker yancheng")

    async def work(place: Place, keeper: Keeper) -> None:
        place.notes.add(RELAY, "x")
        mark = (await keeper.check()).mark
        shown(place, mark.count, mark.head)
        assert (await keeper.check()).ok
        other = replace(make_presence().moment, epoch=Epoch(bytes(8)))
        shown(place, mark.count + 50, bytes(32), moment=other)
        assert "AUDIT_DAMAGED" not in place.ground.alarms
        shown(place, mark.count + 50, bytes(32))
        assert "AUDIT_DAMAGED" in place.ground.alarms
        report = await keeper.check()
        assert [problem.split(" ")[0] for problem in report.problems] == ["CUT:"]
        assert keeper.problems == report.problems

    with office_store() as store:
        kept(tmp_path, work, store)


def test_g15_the_furthest_head_of_a_neighbour_is_remembered_also_when_brokers_show_old_ones(tmp_path: Path) -> None:
    def record(count: int) -> tuple[Presence, bytes]:
        presence = make_presence(audit_count=count)
        return presence, sign_record(CITY_KEY, PRESENCE, encode_presence(presence))

    async def work(place: Place, keeper: Keeper) -> None:
        for count in (3, 9, 5):
            place.notes.hear(*record(count), "broker yancheng")
            await asyncio.gather(*place.tasks)
        (head,) = await keeper.heard.heads()
        assert (head["office"], head["count"], head["record"]) == ("320900-GO", 9, record(9)[1].hex())

    async def later(place: Place, keeper: Keeper) -> None:
        place.notes.hear(*record(4), "broker yancheng")
        await asyncio.gather(*place.tasks)
        assert [head["count"] for head in await keeper.heard.heads()] == [9]

    with office_store() as store:
        kept(tmp_path, work, store)
        kept(tmp_path, later, store)


def test_g13_notes_in_memory_are_bounded_by_the_messages_that_they_name() -> None:
    notes = Notes(OfficeClock(Time()), COUNTY)
    notes.begin(START, 1_000)
    for _ in range(3):
        for _ in range(200):
            notes.add_ids("uid:1/gid:1", "ack", ["x"] * IDS, code="OK")
        assert len(notes) == 1_000 // IDS + 1
        taken = notes.take(10_000)
        assert taken[-1].details == {"count": 200 - len(taken) + 1}
    assert not len(notes)


def test_acts_and_verdicts_are_noted_once_and_without_words_of_people() -> None:
    notes = Notes(OfficeClock(Time()), COUNTY)
    notes.begin(START)
    notes.add_events(
        [
            Event(MESSAGE, PROVINCE, "custody", 1, PROVINCE),
            Event(MESSAGE, PROVINCE, "delivered", 1, PROVINCE),
            Event(MESSAGE, PROVINCE, "returned", 1, PROVINCE, True, "", "the reason"),
            Event(MESSAGE, PROVINCE, "signed_for", 1, COUNTY, True, "office_attested", "王芳"),
            Event(MESSAGE, PROVINCE, "refused", 1, PROVINCE, True, "NOT_LIAISON", "some words"),
        ]
    )
    notes.add_ids("uid:1/gid:1", "ack", [f"{number}" for number in range(IDS + 1)], code="OK")
    found = notes.take(100)
    assert [note.did for note in found] == ["delivered", "returned", "refused", "ack", "ack"]
    assert "the reason" not in str(found)
    assert "some words" not in str(found)
    assert found[2].details["code"] == "NOT_LIAISON"
    assert not len(notes)
    assert not notes.came.is_set()


def test_g15_what_befell_messages_alike_is_one_line_that_names_each() -> None:
    notes = Notes(OfficeClock(Time()), COUNTY)
    notes.begin(START)
    ids = [bytes((number,)) * 16 for number in range(IDS + 2)]
    notes.add_events(
        [
            *(Event(one, PROVINCE, "delivered", 1, PROVINCE) for one in ids),
            Event(ids[0], CITY, "delivered", 1, CITY),
            *(
                Event(one, PROVINCE, "refused", 1, PROVINCE, True, code)
                for one, code in zip(ids, ("A", "B", "A"), strict=False)
            ),
        ]
    )
    found = [(note.did, note.details) for note in notes.take(100)]
    texts, office = [message_id_text(one) for one in ids], PROVINCE.hex()
    assert found == [
        ("delivered", {"ids": texts[:IDS], "office": office}),
        ("delivered", {"ids": texts[IDS:], "office": office}),
        ("delivered", {"id": texts[0], "office": CITY.hex()}),
        ("refused", {"ids": [texts[0], texts[2]], "office": office, "code": "A"}),
        ("refused", {"id": texts[1], "office": office, "code": "B"}),
    ]
