"""Lives of homes: any history of starts, commits, backups, restores, clones and neighbours, also with a broker that
replays old records (G12). What a home really lived through is remembered beside it, so that every finding is judged.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Drawn
from hypothesis.stateful import RuleBasedStateMachine, consumes, invariant, multiple, rule

from protocol.cbor import dumps, loads
from protocol.ids import Epoch, KeyId, OfficeId, StartId
from protocol.life import STARTS_MAX, Finding, Life, Start, life_fields, read_life
from protocol.limits import RECORD_BYTES, SECOND_US
from protocol.moment import Moment
from protocol.witness import AGAIN_US, TOLD_MAX, WRITE_US, Shown, Witness
from tests import strategies as some

HOME = OfficeId(b"h" * 16)
KEY = KeyId(b"k" * 16)
MINUTE = 60 * SECOND_US


@dataclass(frozen=True)
class Record:
    """Something that the home signed, by its number."""

    moment: Moment
    at_us: int
    number: int

    @property
    def shown(self) -> Shown:
        return Shown(self.moment, self.number.to_bytes(8, "big"), KEY)


@dataclass(frozen=True)
class State:
    """What is on a disk, and, beside it, how far each start on the way to it truly went."""

    life: Life
    commits: int
    lived: Mapping[StartId, int] = field(default_factory=dict)

    def went_through(self, moment: Moment) -> bool:
        return moment.commits <= self.lived.get(moment.start, -1)


class Province:
    """Homes of one office, the neighbours, and every record that was ever signed."""

    def __init__(self) -> None:
        self.now_us = 1_000 * SECOND_US
        self.names = 0
        self.records: list[Record] = []
        self.alarms = 0

    def name(self) -> bytes:
        self.names += 1
        return self.names.to_bytes(8, "big")

    def born(self) -> State:
        return self.start(State(Life(Epoch(self.name())), 0))

    def start(self, state: State) -> State:
        """A new process: it knows what is on the disk."""
        return self.begin(replace(state, life=replace(state.life, fresh=False)))

    def begin(self, state: State, above: int = 0) -> State:
        """What `relay.store.lives.begin` does."""
        start = Start(StartId(self.name()), max(state.commits, above) + 1, self.now_us)
        return State(state.life.started(start), start.began, {**state.lived, start.id: start.began})

    def commit(self, state: State, many: int) -> State:
        """Some more commits, in the start that goes on."""
        commits = state.commits + many
        return replace(state, commits=commits, lived={**state.lived, state.life.starts[-1].id: commits})

    def sign(self, state: State) -> Record:
        record = Record(state.life.moment(state.commits), self.now_us, len(self.records))
        self.records.append(record)
        return record

    def hear(self, state: State, record: Record) -> tuple[State, Finding]:
        """What `relay.home.Home` does; every finding is compared with the truth."""
        finding = state.life.judge(record.moment, record.at_us, state.commits)
        assert (finding is Finding.OURS) == state.went_through(record.moment)
        if finding.parts_lives:
            self.alarms += 1
            epoch = Epoch(self.name())
            life = state.life.parted(epoch, record.moment, record.at_us, self.now_us)
            state = self.begin(replace(state, life=life), record.moment.commits)
            assert life.doubt_us >= record.at_us
        elif finding is Finding.KNOWN and state.life.must_rise(record.moment, record.at_us):
            state = self.begin(state, record.moment.commits)
        elif finding is Finding.CLONE_SEEN:
            self.alarms += 1
            doubt_us = max(self.now_us, record.at_us) + MINUTE
            state = replace(state, life=replace(state.life, doubt_us=doubt_us))
        # Whatever it found: from now on no number is shared with the life that said this.
        assert state.went_through(record.moment) or record.moment.epoch != state.life.epoch
        # And the same record says nothing more.
        again = state.life.judge(record.moment, record.at_us, state.commits)
        assert again in (Finding.OURS, Finding.KNOWN)
        return state, finding


class Neighbour:
    """A neighbour's memory, on disk and in memory."""

    def __init__(self) -> None:
        self.witness = Witness()
        self.disk: Shown | None = None
        self.told: dict[StartId, int] = {}

    def known(self) -> Shown | None:
        memory = self.witness._known.get(HOME)
        return None if memory is None else memory.shown

    def write(self, now_us: int) -> None:
        for office, shown in self.witness.unwritten(now_us):
            self.disk = shown
            self.witness.wrote(office, shown, now_us)

    def restart(self) -> None:
        self.witness, self.told = Witness(), {}
        if self.disk is not None:
            self.witness.recall(HOME, self.disk)


class HomesMachine_g12(RuleBasedStateMachine):  # noqa: N801 - the guarantee is in the name of the test
    """Homes are drawn by bundle: a backup is a state that is kept, a clone a second home from the same state."""

    homes: Any = Drawn("homes")
    backups: Any = Drawn("backups")

    def __init__(self) -> None:
        super().__init__()
        self.province = Province()
        self.neighbours = [Neighbour(), Neighbour()]
        self.states: list[State] = []

    @rule(target=homes)
    def begin(self) -> Any:
        """The office has a home; more of them are homes made anew by somebody who lost the first."""
        if self.states:
            return multiple()
        return self._add(self.province.born())

    @rule(home=homes, many=st.integers(1, 30))
    def commit(self, home: int, many: int) -> None:
        self.states[home] = self.province.commit(self.states[home], many)

    @rule(home=homes)
    def restart(self, home: int) -> None:
        self.states[home] = self.province.start(self.states[home])

    @rule(seconds=st.sampled_from([1, 10, 100, 10_000]))
    def pass_time(self, seconds: int) -> None:
        self.province.now_us += seconds * SECOND_US

    @rule(target=backups, home=homes)
    def back_up(self, home: int) -> State:
        return self.states[home]

    @rule(home=homes, backup=backups)
    def restore(self, home: int, backup: State) -> None:
        self.states[home] = self.province.start(backup)

    @rule(target=homes, backup=consumes(backups))
    def clone(self, backup: State) -> int:
        return self._add(self.province.start(backup))

    @rule(home=homes, number=st.integers(0, 1))
    def greet(self, home: int, number: int) -> None:
        """A home says something to a neighbour: if that knew more than the home, the home knows it then."""
        neighbour = self.neighbours[number]
        self.province.now_us += SECOND_US
        before = neighbour.known()
        record = self.province.sign(self.states[home])
        noted = neighbour.witness.note(HOME, record.shown, self.province.now_us)
        knew_more = before is not None and not self.states[home].went_through(before.moment)
        lately = {start for start, at_us in neighbour.told.items() if self.province.now_us - at_us < AGAIN_US}
        if knew_more and record.moment.start not in lately and len(lately) < TOLD_MAX:
            assert noted.owed is not None
        if noted.owed is None:
            return
        assert before is not None
        assert noted.owed == before.record
        neighbour.told[record.moment.start] = self.province.now_us
        proof = self.province.records[int.from_bytes(noted.owed, "big")]
        self.states[home], finding = self.province.hear(self.states[home], proof)
        assert (finding is not Finding.OURS) == knew_more

    @rule(home=homes, data=st.data())
    def meet_a_retained_record(self, home: int, data: st.DataObject) -> None:
        """A broker shows whatever was once signed, as presence or in another's name: it cannot make any of it up."""
        if self.province.records:
            record = data.draw(st.sampled_from(self.province.records))
            self.states[home], _ = self.province.hear(self.states[home], record)

    @rule(number=st.integers(0, 1), data=st.data())
    def replay(self, number: int, data: st.DataObject) -> None:
        """A broker shows a neighbour what the home once signed."""
        if self.province.records:
            record = data.draw(st.sampled_from(self.province.records))
            noted = self.neighbours[number].witness.note(HOME, record.shown, self.province.now_us)
            if noted.owed is not None:
                self.neighbours[number].told[record.moment.start] = self.province.now_us

    @rule(number=st.integers(0, 1), late=st.booleans())
    def write(self, number: int, late: bool) -> None:
        self.neighbours[number].write(self.province.now_us + (WRITE_US if late else 0))

    @rule(number=st.integers(0, 1))
    def restart_neighbour(self, number: int) -> None:
        self.neighbours[number].restart()

    @invariant()
    def what_is_remembered_never_falls(self) -> None:
        for neighbour in self.neighbours:
            known = neighbour.known()
            if known is not None and neighbour.disk is not None:
                assert (known.moment.began, known.moment.commits) >= (
                    neighbour.disk.moment.began, neighbour.disk.moment.commits
                )  # fmt: skip

    def _add(self, state: State) -> int:
        self.states.append(state)
        return len(self.states) - 1


TestHomesMachine_g12 = HomesMachine_g12.TestCase


def test_g12_a_home_that_nobody_restores_is_never_alarmed() -> None:
    """Thousands of starts and greetings, with everything ever said replayed to it and to its neighbours."""
    dice = random.Random(12)
    province, neighbours = Province(), [Neighbour(), Neighbour()]
    state = province.born()
    for _ in range(20_000):
        province.now_us += dice.randrange(100) * SECOND_US
        match dice.randrange(5):
            case 0 if dice.random() < 0.2:
                state = province.start(state)
            case 1:
                state = province.commit(state, dice.randrange(50))
            case 2 if province.records:
                state, finding = province.hear(state, dice.choice(province.records))
                assert finding is Finding.OURS
            case 3 if province.records:
                dice.choice(neighbours).witness.note(HOME, dice.choice(province.records).shown, province.now_us)
            case _:
                record = province.sign(state)
                noted = dice.choice(neighbours).witness.note(HOME, record.shown, province.now_us)
                if noted.owed is not None:
                    state, finding = province.hear(state, province.records[int.from_bytes(noted.owed, "big")])
                    assert finding is Finding.OURS
    assert len(state.life.starts) == STARTS_MAX
    assert province.alarms == 0


def test_g12_a_thousand_restores_are_all_noticed_at_the_first_greeting() -> None:
    dice = random.Random(1_000)
    province, neighbour = Province(), Neighbour()
    state = province.born()
    backups = [state]
    noticed = 0
    for _ in range(1_000):
        for _ in range(dice.randrange(1, 4)):
            province.now_us += MINUTE
            state = province.commit(state, dice.randrange(1, 9))
            state = province.start(state) if dice.random() < 0.3 else state
            state, _ = _greet(province, neighbour, state)
            backups.append(state)
        state = province.start(dice.choice(backups[-6:-1]))
        for _ in range(dice.randrange(3)):
            # It goes on alone for a while, past what the neighbour knows, and is started again.
            state = province.commit(state, dice.randrange(200))
            state = province.start(state) if dice.random() < 0.5 else state
        province.now_us += MINUTE
        before = state.life.epoch
        state, finding = _greet(province, neighbour, state)
        assert finding is Finding.RESTORED
        noticed += state.life.epoch != before
    assert noticed == 1_000


def _greet(province: Province, neighbour: Neighbour, state: State) -> tuple[State, Finding]:
    """The neighbour hears from the home and answers with what it knows."""
    noted = neighbour.witness.note(HOME, province.sign(state).shown, province.now_us)
    if noted.owed is None:
        return state, Finding.OURS
    return province.hear(state, province.records[int.from_bytes(noted.owed, "big")])


def test_g12_two_clones_part_once_and_know_of_each_other_ever_after() -> None:
    province = Province()
    one = province.born()
    two = province.start(one)
    one = province.commit(one, 5)
    epochs = set()
    for turn in range(50):
        province.now_us += 2 * MINUTE
        two, seen_by_two = province.hear(two, province.sign(one))
        one, seen_by_one = province.hear(one, province.sign(two))
        epochs |= {one.life.epoch, two.life.epoch}
        if turn > 1:
            assert seen_by_one is seen_by_two is Finding.CLONE_SEEN
    assert len(epochs) == 2
    assert one.life.epoch != two.life.epoch


def test_g12_a_clone_that_was_stopped_is_no_news_after_a_restart() -> None:
    province = Province()
    one = province.born()
    two = province.start(one)
    for _ in range(2):
        province.now_us += SECOND_US
        two, _ = province.hear(two, province.sign(one))
        province.now_us += SECOND_US
        last = province.sign(two)
        one, _ = province.hear(one, last)
    province.now_us += 100 * MINUTE
    one, finding = province.hear(province.start(one), last)
    assert finding is Finding.KNOWN


def test_g12_an_epoch_is_not_gone_on_in_after_two_restores_that_hide_each_other() -> None:
    """The neighbour's memory of the second life is gone, for it knows more of the third; the second comes back."""
    province, neighbour = Province(), Neighbour()
    first = province.born()
    more, _ = _greet(province, neighbour, province.commit(first, 9))
    province.now_us += MINUTE
    second, finding = _greet(province, neighbour, province.start(first))
    assert finding is Finding.RESTORED
    _greet(province, neighbour, province.commit(second, 50))
    province.now_us += MINUTE
    third, finding = _greet(province, neighbour, province.start(more))
    assert finding is Finding.RESTORED
    _greet(province, neighbour, province.commit(third, 90))
    province.now_us += MINUTE
    back, finding = _greet(province, neighbour, province.start(second))
    assert finding is Finding.RESTORED
    assert back.life.epoch not in (first.life.epoch, second.life.epoch, third.life.epoch)


def test_g12_a_home_that_was_lost_and_made_anew_learns_of_the_old_one() -> None:
    province, neighbour = Province(), Neighbour()
    _greet(province, neighbour, province.commit(province.born(), 500))
    province.now_us += MINUTE
    new, finding = _greet(province, neighbour, province.born())
    assert finding is Finding.RESTORED
    # It stands above the old one now, so that its presence is not taken for the older one.
    record = province.sign(new)
    assert neighbour.witness.note(HOME, record.shown, province.now_us).new_epoch
    assert record.moment.began > 500


def test_g12_what_the_disk_lost_though_it_was_confirmed_shows_as_a_restore() -> None:
    """A disk that ignores FLUSH: the same home, its last commits gone after a power cut."""
    province = Province()
    state = province.commit(province.born(), 100)
    record = province.sign(province.commit(state, 20))
    _, finding = province.hear(province.start(state), record)
    assert finding is Finding.RESTORED


@given(st.lists(st.tuples(some.start_ids, some.uints, some.uints), min_size=1, max_size=300), some.epochs)
def test_a_life_is_kept_within_the_limit_of_a_fact(starts: list[tuple[StartId, int, int]], epoch: Epoch) -> None:
    life = Life(epoch, apart=(epoch,) * 64)
    for name, began, at_us in starts:
        life = life.started(Start(name, began, at_us))
    data = dumps(life_fields(life))
    assert read_life(loads(data, max_bytes=RECORD_BYTES)) == life
    assert len(life.starts) <= STARTS_MAX
