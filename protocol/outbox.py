"""What this relay holds for others, and what it sends next: the hop machine (D1-D4).

Pure: time is an argument, bytes stay outside, decisions come back as `Shipment` values. It keeps only what can be
known again after a restart: a restarted relay holds its parcels and believes nothing about its links.

    WAITING --plan--> SENT --custody--> gone (transit, receipts) or KEPT (copies that began here)
       ^               |  nack, silence, link down      |  no verdict within patience
       +---------------+--------------------------------+
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import partial

from protocol.debts import Debts
from protocol.entry import Entry, Stage
from protocol.frame import FRAME_OVERHEAD_BYTES, item_size
from protocol.ids import Digest, OfficeId
from protocol.lanes import Lane
from protocol.limits import FRAME_ITEMS, TRAIL_OFFICES, UINT_MAX
from protocol.pace import Pace
from protocol.parcel import Parcel, Rerouted, Shipment, Timing
from protocol.progress import Progress
from protocol.queues import Queues
from protocol.retry import back_off_us
from protocol.routing import Graph, Routes
from protocol.scheduler import LaneScheduler
from protocol.timers import Timers

ABSENT_BACK_OFF = 10
"""How much longer than a present neighbour an absent one is left alone between tries: its broker keeps what it got."""
PATIENCE_DOUBLINGS = 6
"""From then on a kept copy is sent again every 64 patiences."""
BUSY_SHARE = 4
"""A slow neighbour delays a resend by at most this part of the lane's patience: there is still time for another way.

Else whoever falls behind is sent everything again: five offices with `retry_max_s = 0.5` settled in 20-56 s, not 5."""


class Outbox:
    """The hop machine of one relay. Methods that take a time take microseconds that never fall."""

    def __init__(self, me: OfficeId, timing: Timing) -> None:
        self._me = me
        self._timing = timing
        self._shared: Mapping[OfficeId, tuple[str, ...]] = {}
        self._present: set[OfficeId] = set()
        self._routes = Routes(me, Graph({}, {}), self._present)
        self._up: set[tuple[str, str]] = set()
        self._entries: dict[Digest, Entry] = {}
        self._queues = Queues()
        self._in_flight: dict[tuple[Lane, OfficeId], int] = {}
        self._timers = Timers()
        self.debts = Debts()
        """What is owed after a commit is said here, and goes with the next frame."""
        self._progress: defaultdict[tuple[OfficeId, str], Progress] = defaultdict(Progress)
        self._schedulers = {"fast": LaneScheduler(), "slow": LaneScheduler()}
        self._turn: dict[Lane, OfficeId] = {}
        self._counts: Counter[tuple[Lane, OfficeId]] = Counter()
        self.paces: defaultdict[tuple[str, str], Pace] = defaultdict(Pace)
        """How much each connection carries; whoever publishes says here what began and ended."""

    # What is known of the world.

    def set_graph(self, graph: Graph, shared: Mapping[OfficeId, tuple[str, ...]], now_us: int) -> None:
        """A new directory: who neighbours whom, and the brokers that we share with each neighbour."""
        self._routes, self._shared = Routes(self._me, graph, self._present), shared
        self._queue_again(now_us)

    def set_link(self, broker: str, group: str, up: bool, now_us: int) -> None:
        """A connection came up or went down."""
        (self._up.add if up else self._up.discard)((broker, group))
        if up:
            self._queue_again(now_us)

    def set_present(self, office: OfficeId, present: bool, now_us: int) -> bool:
        """A neighbour's presence: a hint. One that came back is tried at once. Whether it is news."""
        if (office in self._present) == present:
            return False
        (self._present.add if present else self._present.discard)(office)
        self._routes.forget()
        if present:
            for entry in self._entries.values():
                entry.avoid -= {office}
                if entry.stage is Stage.SENT and entry.hop == office:
                    # It was sent while nobody listened, and a broker that broke down has forgotten it (D1).
                    self._leave_flight(entry)
                    entry.stage = Stage.WAITING
        self._queue_again(now_us)
        return True

    # What is held.

    def hold(self, parcel: Parcel, now_us: int) -> None:
        """Take a parcel that is durable; holding it twice changes nothing."""
        if parcel.digest not in self._entries:
            entry = Entry(parcel, since_us=now_us, attempt=parcel.attempt)
            self._entries[parcel.digest] = entry
            self._counts[parcel.lane, parcel.recipient] += 1
            self._enqueue(entry, now_us)

    def holds(self, digest: Digest) -> bool:
        """Whether a parcel is active here."""
        return digest in self._entries

    def offered(self, digest: Digest, to: OfficeId) -> bool:
        """Whether a parcel held here was sent to this neighbour, which may therefore have custody already.

        Custody is not given to such a neighbour: two relays that gave it to each other would both forget.
        """
        entry = self._entries.get(digest)
        return entry is not None and to in entry.offered

    def awaited(self, digest: Digest, by: OfficeId) -> Parcel | None:
        """The parcel of which this neighbour's custody counts: it was sent there in the present attempt (SPEC M35)."""
        entry = self._entries.get(digest)
        return None if entry is None or by not in entry.asked else entry.parcel

    def release(self, digest: Digest) -> bool:
        """Forget a parcel (verdict, expiry, onward custody); whether it was held."""
        entry = self._entries.pop(digest, None)
        if entry is None:
            return False
        way = entry.parcel.lane, entry.parcel.recipient
        self._counts[way] -= 1
        if not self._counts[way]:
            del self._counts[way]
        self._timers.disarm(digest)
        self._leave_flight(entry)
        return True

    def custody(self, digest: Digest, by: OfficeId, now_us: int) -> bool:
        """A neighbour has custody. A copy that began here is kept and watched; anything else is released.

        Whether the parcel was held.
        """
        entry = self._entries.get(digest)
        if entry is None:
            return False
        if entry.stage is Stage.SENT and entry.hop == by:
            self._progress[by, entry.parcel.lane.group].answer(entry.sent_us, now_us, once=entry.tries == 1)
        if not entry.parcel.kept_after_custody:
            return self.release(digest)
        if by not in entry.asked:
            # Said again, by itself or by a broker that kept the frame: no reason to wait any longer.
            return True
        self._leave_flight(entry)
        entry.stage, entry.hop, entry.since_us, entry.tries, entry.asked = Stage.KEPT, by, now_us, 0, frozenset()
        # A recipient may be away for weeks: each way that brought custody and no verdict is given twice the time.
        self._arm(
            entry, now_us + (self._timing.patience_us[entry.parcel.lane] << min(entry.attempt - 1, PATIENCE_DOUBLINGS))
        )
        return True

    def lost(self, digest: Digest, by: OfficeId, now_us: int) -> None:
        """A custodian can no longer forward: go round it, or ask again if it is the recipient; repeated, no effect."""
        entry = self._entries.get(digest)
        if entry is None:
            return
        if by == entry.parcel.recipient:
            # Nobody else can say what became of it there.
            if entry.stage is not Stage.WAITING:
                self._put_back(entry, now_us)
        elif by not in entry.avoid or (by == entry.hop and entry.stage is not Stage.WAITING):
            self._go_round(entry, by, now_us)

    def nack(self, digest: Digest, code: str, by: OfficeId, now_us: int) -> None:
        """A neighbour did not take a parcel: for FULL and UNVERIFIED back off, for LOOP and NO_ROUTE go round."""
        entry = self._entries.get(digest)
        if entry is None or entry.hop != by or entry.stage is not Stage.SENT:
            return
        self._progress[by, entry.parcel.lane.group].answer(entry.sent_us, now_us, once=entry.tries == 1)
        if code in ("LOOP", "NO_ROUTE"):
            entry.avoid |= {by}
        self._put_back(entry, now_us)

    # What happens next.

    def plan(self, group: str, now_us: int) -> Shipment | None:
        """The next frame for one connection group, or None when nothing may be sent now."""
        ready = self._ready(group)
        while ready:
            lane = self._schedulers[group].pick(ready.keys())
            hop = self._next_hop_in_turn(lane, ready[lane])
            owed = self.debts.pay(hop, group)
            # A witness may be large, and is rare: the parcels follow in the next frame.
            digests = () if owed.witness else self._take(lane, hop, now_us, owed.size)
            if digests or any(owed):
                # Debts are small and go in any case.
                brokers = self._open_brokers(hop, lane) or self._brokers(hop, group)
                tries = max((self._entries[digest].tries for digest in digests), default=1)
                return Shipment(hop, lane, brokers[(tries - 1) % len(brokers)], digests, *owed)
            ready[lane].discard(hop)
            if not ready[lane]:
                del ready[lane]
        return None

    def unsent(self, shipment: Shipment, now_us: int) -> None:
        """The broker did not take the frame: its parcels wait again."""
        for digest in shipment.digests:
            entry = self._entries.get(digest)
            if entry is not None and entry.stage is Stage.SENT and entry.hop == shipment.receiver:
                self._put_back(entry, now_us)
        for digest in shipment.custody:
            self.debts.owe_custody(shipment.receiver, shipment.lane, digest)
        if shipment.witness is not None:
            self.debts.owe_witness(shipment.receiver, shipment.lane, shipment.witness)

    def expire_timers(self, now_us: int) -> list[Rerouted]:
        """Act on every time-out up to now; the ways given up, for the record."""
        rerouted = []
        for digest in self._timers.due(now_us):
            entry = self._entries[digest]
            if entry.stage is Stage.WAITING:
                self._enqueue(entry, now_us)
            elif entry.stage is Stage.KEPT or self._out_of_patience(entry, now_us):
                avoided = entry.hop
                if avoided is not None:
                    self._go_round(entry, avoided, now_us)
                    if entry.hop != avoided:
                        rerouted.append(Rerouted(digest, avoided))
            elif (late_us := self._late_us(entry, now_us)) > now_us:
                self._arm(entry, late_us)
            else:
                if entry.neighbour in self._present:
                    self._progress[entry.neighbour, entry.parcel.lane.group].wait_in_vain(entry.sent_us, now_us)
                self._put_back(entry, now_us, at_once=True)
        return rerouted

    def next_due_us(self) -> int | None:
        """When `expire_timers` has work next."""
        return self._timers.next_us()

    def trail_of(self, digest: Digest) -> tuple[tuple[OfficeId, ...], int]:
        """The trail that a parcel leaves with, and its attempt number."""
        entry = self._entries[digest]
        return (*entry.parcel.trail, self._me), entry.attempt

    def get(self, digest: Digest) -> Parcel | None:
        """The parcel with this digest, if it is active."""
        return None if (entry := self._entries.get(digest)) is None else entry.parcel

    def count(self, lane: Lane, recipient: OfficeId) -> int:
        """How many parcels to a recipient are active on a lane."""
        return self._counts[lane, recipient]

    @property
    def ways(self) -> int:
        """To how many recipients parcels are active, counted on each lane."""
        return len(self._counts)

    def describe(self) -> Iterator[tuple[Parcel, str, OfficeId | None, int]]:
        """Every active parcel with its stage, its next hop and its number of tries."""
        for entry in self._entries.values():
            yield entry.parcel, entry.stage.value, entry.hop, entry.tries

    def __len__(self) -> int:
        return len(self._entries)

    def _ready(self, group: str) -> dict[Lane, set[OfficeId]]:
        """Per lane the neighbours that something may be sent to: parcels within the window, or a debt."""
        ready: dict[Lane, set[OfficeId]] = {}
        for lane, hop in self._queues.ways(group):
            if self._may_send(lane, hop):
                ready.setdefault(lane, set()).add(hop)
        for to, lane in self.debts.creditors(group):
            # A debt rides along with a frame that goes there anyway, unless it is the more urgent of the two.
            if self._brokers(to, group) and not any(to in hops for at, hops in ready.items() if at <= lane):
                ready.setdefault(lane, set()).add(to)
        return ready

    def _out_of_patience(self, entry: Entry, now_us: int) -> bool:
        return now_us - entry.since_us >= self._timing.patience_us[entry.parcel.lane]

    def _late_us(self, entry: Entry, now_us: int) -> int:
        """When something that was sent is late: by now, or the time to look again, within the lane's patience."""
        lane = entry.parcel.lane
        progress = self._progress[entry.neighbour, lane.group]
        late_us = progress.late_us(entry.sent_us, self._pause_us(entry), self._back_off_us(entry), now_us)
        return min(late_us, entry.since_us + self._timing.patience_us[lane])

    def _go_round(self, entry: Entry, avoided: OfficeId, now_us: int) -> None:
        """A new attempt that tries other ways first; where there is no other, the old back-off goes on."""
        self._leave_flight(entry)
        entry.avoid |= {avoided}
        entry.attempt, entry.asked = min(entry.attempt + 1, UINT_MAX), frozenset()
        entry.stage, entry.since_us = Stage.WAITING, now_us
        self._enqueue(entry, now_us)

    def _put_back(self, entry: Entry, now_us: int, *, at_once: bool = False) -> None:
        """From SENT to WAITING: at once, or after the back-off of its tries."""
        self._leave_flight(entry)
        entry.stage = Stage.WAITING
        if at_once:
            self._enqueue(entry, now_us)
        else:
            self._arm(entry, now_us + self._back_off_us(entry))

    def _pause_us(self, entry: Entry) -> int:
        """The least time between two tries."""
        away = entry.hop is not None and entry.hop not in self._present
        maximum_us = self._timing.retry_max_us * (ABSENT_BACK_OFF if away else 1)
        return back_off_us(entry.tries, self._timing.retry_min_us, maximum_us)

    def _back_off_us(self, entry: Entry) -> int:
        """How long silence may last: four usual round trips, or a neighbour that is merely busy is sent all twice."""
        usual_us = 0 if entry.hop is None else self._progress[entry.hop, entry.parcel.lane.group].trip_us or 0
        busy_us = max(self._timing.retry_max_us, self._timing.patience_us[entry.parcel.lane] // BUSY_SHARE)
        return max(self._pause_us(entry), min(4 * usual_us, busy_us))

    def _arm(self, entry: Entry, due_us: int) -> None:
        self._timers.arm(entry.parcel.digest, due_us)

    def _leave_flight(self, entry: Entry) -> None:
        if entry.stage is Stage.SENT and entry.hop is not None:
            self._in_flight[entry.parcel.lane, entry.hop] -= 1

    def _enqueue(self, entry: Entry, now_us: int) -> None:
        """Put a waiting entry into the queue of its best next hop; with no way at all, look again later."""
        parcel = entry.parcel
        ways = self._ways(entry)
        if len(ways) > 1 and entry.avoid.issuperset(ways):
            # Every way has failed once: begin again with all but the last, or the best would be tried for ever.
            entry.avoid = frozenset(ways) & {entry.hop}
            ways = self._ways(entry)
        if not ways:
            entry.hop = None
            entry.tries += 1
            self._arm(entry, now_us + self._back_off_us(entry))
            return
        if entry.hop != ways[0]:
            entry.hop, entry.since_us, entry.tries = ways[0], now_us, 0
        self._timers.disarm(parcel.digest)
        self._queues.put(parcel, ways[0])

    def _ways(self, entry: Entry) -> list[OfficeId]:
        """The next hops of a parcel, best first; none when its trail is full."""
        parcel = entry.parcel
        if len(parcel.trail) >= TRAIL_OFFICES:
            return []
        return self._routes.rank(parcel.recipient, parcel.trail, entry.avoid)

    def _queue_again(self, now_us: int) -> None:
        """The world changed: choose the way again for all that waits."""
        self._queues.clear()
        for entry in self._entries.values():
            if entry.stage is Stage.WAITING:
                self._enqueue(entry, now_us)

    def _brokers(self, hop: OfficeId, group: str) -> list[str]:
        return [broker for broker in self._shared.get(hop, ()) if (broker, group) in self._up]

    def _open_brokers(self, hop: OfficeId, lane: Lane) -> list[str]:
        """Brokers by which a parcel may go: flash always, below it what the pace of the connection has room for."""
        brokers = self._brokers(hop, lane.group)
        return brokers if lane is Lane.FLASH else [one for one in brokers if self.paces[one, lane.group].has_room]

    def _may_send(self, lane: Lane, hop: OfficeId) -> bool:
        """A link is up and has room, and the window has: for an absent neighbour one frame, as a trial (D2)."""
        window = self._timing.window_items if hop in self._present else 1
        return self._in_flight.get((lane, hop), 0) < window and bool(self._open_brokers(hop, lane))

    def _next_hop_in_turn(self, lane: Lane, hops: Collection[OfficeId]) -> OfficeId:
        """Neighbours take turns within a lane."""
        last = self._turn.get(lane, OfficeId(b""))
        hop = min(hops, key=lambda office: (office <= last, office))
        self._turn[lane] = hop
        return hop

    def _take(self, lane: Lane, hop: OfficeId, now_us: int, owed_bytes: int) -> tuple[Digest, ...]:
        """Parcels for one frame: messages first, origins in turn, within the limits of a frame and the window."""
        if not self._may_send(lane, hop):
            return ()
        taken: list[Digest] = []
        room = min(self.paces[broker, lane.group].frame for broker in self._open_brokers(hop, lane))
        room -= FRAME_OVERHEAD_BYTES + owed_bytes
        for digest in self._queues.in_turn(lane, hop, partial(self._waits, hop=hop)):
            entry = self._entries[digest]
            room -= item_size(entry.parcel.size, len(entry.parcel.trail) + 1)
            if len(taken) == FRAME_ITEMS or (room < 0 and taken):
                break
            taken.append(digest)
            self._mark_sent(entry, now_us)
        return tuple(taken)

    def _waits(self, digest: Digest, hop: OfficeId) -> bool:
        """Whether a parcel may go to this neighbour now."""
        entry = self._entries.get(digest)
        waits = entry is not None and entry.stage is Stage.WAITING and not self._timers.armed(digest)
        return entry is not None and waits and entry.hop == hop

    def _mark_sent(self, entry: Entry, now_us: int) -> None:
        lane, hop = entry.parcel.lane, entry.neighbour
        entry.tries += 1
        if entry.tries == 1:
            entry.since_us = now_us
        entry.stage, entry.sent_us = Stage.SENT, now_us
        entry.offered, entry.asked = entry.offered | {hop}, entry.asked | {hop}
        self._in_flight[lane, hop] = self._in_flight.get((lane, hop), 0) + 1
        self._arm(entry, now_us + self._pause_us(entry))
