"""Moments in the life of a home, by which its neighbours notice that it was restored or cloned (D11, SPEC M58).

A life is a row of starts. Each has a random name and begins at a count of commits that is higher than all that was
said before it; within a start the count only rises. A home that goes on from an older state cannot help to say
something that does not fit: the record that a neighbour kept proves it.
"""

from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import Value
from protocol.errors import RemoteError
from protocol.fields import as_bytes, as_uint, elements
from protocol.ids import Epoch, StartId

NO_EPOCH: Final = Epoch(bytes(limits.EPOCH_BYTES))
"""In the place of the epoch before the first one."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When in its home's life a record was signed.

    `previous` is the epoch before `epoch`. `began` is the count of commits with which `start` was recorded, `commits`
    the count when the record was signed; both count since the home began, and never fall.
    """

    epoch: Epoch
    previous: Epoch
    start: StartId
    began: int
    commits: int


def moment_fields(moment: Moment) -> list[Value]:
    """The array that frames and presence carry."""
    return [moment.epoch, moment.previous, moment.start, moment.began, moment.commits]


def read_moment(value: Value) -> Moment:
    """The moment in a decoded record; raises `RemoteError`."""
    epoch, previous, start, began, commits = elements(value, 5, "moment")
    moment = Moment(
        epoch=Epoch(as_bytes(epoch, "epoch", limits.EPOCH_BYTES)),
        previous=Epoch(as_bytes(previous, "previous epoch", limits.EPOCH_BYTES)),
        start=StartId(as_bytes(start, "start", limits.START_BYTES)),
        began=as_uint(began, "began"),
        commits=as_uint(commits, "commits"),
    )
    if moment.commits < moment.began:
        raise RemoteError("MALFORMED", "fewer commits than when the start began")
    return moment
