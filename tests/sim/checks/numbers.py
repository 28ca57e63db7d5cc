"""G4: the numbers of a stream, against what arrived. Judged at the end."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from relay.store import streams
from relay.store.tables import STREAMS
from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History


def check_streams(history: "History") -> None:
    """For every stream at every recipient: its highest number is that of a message that arrived or of a tombstone, and
    the numbers it calls missing are exactly those below that did neither: all gaps, and no false one.
    """
    numbers: dict[tuple[bytes, bytes], tuple[int, bytes, int]] = {}
    for copy in history.copies.values():
        if not copy.is_receipt:
            numbers[copy.sender, copy.message_id + copy.recipient] = (copy.lane, copy.epoch, copy.number)
    for address, office in history.offices.items():
        arrived: defaultdict[tuple[bytes, int, bytes], set[int]] = defaultdict(set)
        for sender, message_id, digest in office.look(_inbox):
            # The copy that was taken, where an id was used twice; what is dead has none.
            place = history.copies.get(digest) or history.places.get((sender, message_id, office.seat.office))
            key = (sender, message_id + office.seat.office)
            lane, epoch, number = numbers[key] if place is None else (place.lane, place.epoch, place.number)
            arrived[sender, lane, epoch].add(number)
        for stream, there in arrived.items():
            known = office.look(lambda txn, key=stream: streams.stream_of(STREAMS.get(txn, *key)))
            missing = {number for hole in known.holes for number in range(hole.first, hole.last + 1)}
            if known.highest != max(there) or missing != set(range(1, known.highest)) - there:
                raise Broken("G4", f"{address} misses {missing} of {known.highest}, and has {sorted(there)}")


def _inbox(txn: Any) -> Any:
    return txn.connection.execute(
        "SELECT sender, message_id, copy_digest FROM inbox WHERE state != 'refused'"
    ).fetchall()
