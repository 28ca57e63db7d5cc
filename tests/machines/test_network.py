"""The whole network as a state machine: Hypothesis chooses every step, so that what breaks comes out small (G1-G16)."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.machines.play import LONG_LIFE_S, Play
from tests.sim.broken import Broken
from tests.sim.broker import Malice
from tests.sim.checks import bounds
from tests.sim.facts import CLERK
from tests.sim.network import PLAN
from tests.sim.office import OfficeProcess

OFFICES = st.integers(0, len(PLAN) - 1)
BROKERS = st.sampled_from(("p", "y"))
SECONDS = st.sampled_from((0.02, 0.3, 2.0, 11.0, 45.0, 200.0))
MALICES = st.sampled_from(
    (
        Malice(drop=1.0),
        Malice(drop=0.5),
        Malice(double=1.0),
        Malice(replay=1.0),
        Malice(damage=1.0),
        Malice(late=1.0, late_s=15.0),
        Malice(double=0.5, replay=0.5, late=0.5, late_s=5.0),
        Malice(swallow_publish=1.0),
        Malice(deaf=0.5),
    )
)
ROTTING = ("recipients", "numbers", "events", "held", "passed", "inbox", "receipts", "streams", "counters", "sent")
SMALL_BYTES = 4_000
ROT_MARK = 20
"""Random bytes at the beginning of every sealed row, by which it is known again."""


class NetworkMachine(RuleBasedStateMachine):
    """Six offices on two brokers. Each step is judged; at the end everything heals and must come to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.play: Any = None
        self.broken = False
        self.rotten: set[bytes] = set()

    @initialize(
        slow_s=st.sampled_from((0.0, 0.02, 0.5)),
        small=st.booleans(),
        letters=st.lists(st.tuples(OFFICES, OFFICES), min_size=1, max_size=6),
    )
    def begin(self, slow_s: float, small: bool, letters: list[tuple[int, int]]) -> None:
        self.play = Play("machine")
        for office in self.play.offices:
            office.slow_s = slow_s
            if small:
                # Another life: every other one has a window so small that most parcels wait in the store.
                self.play.do(office.crash())
                self.play.do(office.start())
        self.play.wait(1.0)
        for number, to in letters:
            self.send(number, {to}, "routine", 0, LONG_LIFE_S, None)

    def teardown(self) -> None:
        if self.play is None:
            return
        try:
            if not self.broken:
                self.play.heal()
                self.play.settle()
                self.play.judge()
        finally:
            self.play.close()

    @invariant()
    def books_are_true(self) -> None:
        if self.play is None:
            return
        try:
            self.play.history.check_processes()
            self.play.check_books()
            for office in self.play.offices:
                if office.running:
                    bounds.check_bounds(office)
        except Broken:
            self.broken = True
            raise

    def _running(self, number: int) -> OfficeProcess | None:
        office: OfficeProcess = self.play.offices[number]
        return office if office.running and not self._paused(office) else None

    def _paused(self, office: OfficeProcess) -> bool:
        return office in self.play.loop._frozen

    # Users.

    @rule(
        number=OFFICES,
        to=st.sets(OFFICES, min_size=2, max_size=5),
        urgency=st.sampled_from(("flash", "urgent", "priority", "routine")),
        size=st.sampled_from((0, 300, 20_000)),
        lives_s=st.sampled_from((20.0, LONG_LIFE_S, LONG_LIFE_S)),
        killed_after_s=st.sampled_from((None, None, 0.0, 0.01, 0.1)),
    )
    def send(
        self, number: int, to: set[int], urgency: str, size: int, lives_s: float, killed_after_s: float | None
    ) -> None:
        office, recipients = self._running(number), sorted(to - {number})
        if office is None or not recipients:
            return
        draft = self.play.draft([self.play.offices[one].seat.address for one in recipients], urgency, size, lives_s)
        if killed_after_s is None:
            self.play.send(office, draft, lives_s)
            return
        self.play.note_tried(office, draft, lives_s)
        self.play.do(self.play.kill_during(office, office.service.send([draft]), killed_after_s))

    @rule(number=OFFICES, limit=st.integers(1, 5), acknowledged=st.booleans())
    def take(self, number: int, limit: int, acknowledged: bool) -> None:
        office = self._running(number)
        if office is not None:
            taken = self.play.take(office, limit)
            if taken and acknowledged:
                self.play.ask(office, office.service.inbox_ack(taken))

    @rule(number=OFFICES, act=st.sampled_from(("show", "sign", "return")), at=st.integers(0, 3))
    def decide(self, number: int, act: str, at: int) -> None:
        office = self._running(number)
        if office is None:
            return
        lines = self.play.ask(office, office.service.inbox_list(None, 4)) or []
        if at >= len(lines):
            return
        message_id = lines[at]["id"]
        work = {
            "show": lambda: office.service.inbox_show(message_id),
            "sign": lambda: office.service.sign_for(message_id, CLERK, None),
            "return": lambda: office.service.return_message(message_id, "not ours"),
        }
        self.play.ask(office, work[act]())

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.play.wait(seconds)

    # Brokers and links.

    @rule(broker=BROKERS, malice=MALICES)
    def broker_turns_bad(self, broker: str, malice: Malice) -> None:
        self.play.network.brokers[broker].malice = malice

    @rule(broker=BROKERS)
    def broker_turns_good(self, broker: str) -> None:
        self.play.network.brokers[broker].malice = Malice()

    @rule(broker=BROKERS)
    def broker_is_wiped(self, broker: str) -> None:
        self.play.apply(self.play.network.brokers[broker].wipe)

    @rule(number=OFFICES, kind=st.sampled_from(("cut", "deaf", "mute")), value=st.booleans())
    def partition(self, number: int, kind: str, value: bool) -> None:
        office = self._running(number)
        if office is not None:
            for link in office.links.open.values():
                setattr(link, kind, value)
                if kind == "cut" and value:
                    self.play.apply(link.broken)

    @rule(one=OFFICES, other=OFFICES, broker=BROKERS)
    def sever(self, one: int, other: int, broker: str) -> None:
        pair = self.play.offices[one].seat.address, self.play.offices[other].seat.address
        self.play.network.brokers[broker].severed ^= {pair}

    # Processes and disks.

    @rule(number=OFFICES, power=st.booleans())
    def crash(self, number: int, power: bool) -> None:
        office = self.play.offices[number]
        self.play.do(office.lose_power() if power else office.crash())

    @rule(number=OFFICES)
    def start(self, number: int) -> None:
        self.play.do(self.play.offices[number].start())

    @rule(number=OFFICES)
    def pause(self, number: int) -> None:
        office = self._running(number)
        if office is not None:
            self.play.apply(office.pause)

    @rule(number=OFFICES)
    def resume(self, number: int) -> None:
        self.play.apply(self.play.offices[number].resume)

    @rule(number=OFFICES, full=st.booleans())
    def disk(self, number: int, full: bool) -> None:
        office = self._running(number)
        if office is not None:
            (office.store.fill_disk if full else office.store.free_disk)()

    @rule(number=OFFICES, off_s=st.sampled_from((-86_400.0, -40.0, 0.0, 40.0, 3_600.0, 50 * 86_400.0)))
    def clock_is_set(self, number: int, off_s: float) -> None:
        office = self.play.offices[number]
        self.play.apply(lambda: office.set_clock(off_s))

    @rule(number=OFFICES)
    def prekey_is_lost(self, number: int) -> None:
        office = self.play.offices[number]
        self.play.do(office.crash())
        office.lose_prekey()
        self.play.do(office.start())

    @precondition(lambda self: self.play is not None and self.play.messages > 0)
    @rule(number=OFFICES, table=st.sampled_from(ROTTING), row=st.integers(0, 3), bit=st.integers(0, 8 * 300 - 1))
    def a_bit_flips(self, number: int, table: str, row: int, bit: int) -> None:
        """In the sealed body of a row, of each one at most: memory and disks do that now and then."""
        office = self.play.offices[number]

        def flip(txn: Any) -> None:
            query = f"SELECT rowid, sealed FROM {table} WHERE length(sealed) < ? LIMIT 1 OFFSET ?"  # noqa: S608 - ours
            found = txn.connection.execute(query, (SMALL_BYTES, row)).fetchone()
            if found is not None and found[1][:ROT_MARK] not in self.rotten:
                body = bytearray(found[1])
                at = bit % (8 * len(body))
                body[at // 8] ^= 1 << at % 8
                self.rotten |= {found[1][:ROT_MARK], bytes(body[:ROT_MARK])}
                change = f"UPDATE {table} SET sealed = ? WHERE rowid = ?"  # noqa: S608 - ours
                txn.connection.execute(change, (bytes(body), found[0]))

        office.look(flip)


TestG01G16Network = pytest.mark.timeout(0)(NetworkMachine.TestCase)
"""Virtual time ends every wait; how long a run takes is for the profile to say."""
PROFILE = settings.get_profile(settings.get_current_profile_name())
TestG01G16Network.settings = settings(PROFILE, max_examples=max(PROFILE.max_examples // 2, 1), stateful_step_count=30)
