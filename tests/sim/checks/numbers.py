"""G4: the numbers of a stream, against what arrived. Judged at the end."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from relay.store.inbox import Streams
from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.history import History


def check_streams(history: "History") -> None:
    """For every stream at every recipient: its highest number is that of a message that arrived, and the numbers it
    calls missing are exactly those below that did not arrive: all gaps, and no false one.
    """
    numbers: dict[tuple[bytes, bytes], tuple[int, bytes, int]] = {}
    for copy in history.copies.values():
        if not copy.is_receipt:
            numbers[copy.sender, copy.message_id + copy.recipient] = (copy.lane, copy.epoch, copy.number)
    for address, office in history.offices.items():
        arrived: defaultdict[tuple[bytes, int, bytes], set[int]] = defaultdict(set)
        for sender, message_id in office.look(_inbox):
            lane, epoch, number = numbers[sender, message_id + office.seat.office]
            arrived[sender, lane, epoch].add(number)
        for stream, there in arrived.items():
            highest, missing = office.look(lambda txn, key=stream: Streams(txn)._read(key))
            if highest != max(there) or set(missing) != set(range(1, highest)) - there:
                raise Broken("G4", f"{address} misses {missing} of {highest}, and has {sorted(there)}")


def _inbox(txn: Any) -> Any:
    return txn.connection.execute("SELECT sender, message_id FROM inbox WHERE state != 'refused'").fetchall()
