"""Presence: a signed, retained hint that an office is connected (D2, D9, SPEC section 8).

It is only a hint. It carries the epoch, the session counter and the commit counter, which a neighbour keeps at their
highest: a neighbour that knows more of us than we do tells us that we were restored (D11).
"""

from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import dumps, loads
from protocol.errors import RemoteError
from protocol.fields import Fields
from protocol.ids import Digest, Epoch, NetworkId, OfficeId
from protocol.lanes import GROUPS

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Presence:
    """`session` rises with every connection of the home's life in `epoch`; `commits` with every durable change.

    `trust_version` and `trust_digest` are of the roster in force, so that neighbours notice a fork.
    """

    network: NetworkId
    office: OfficeId
    group: str
    online: bool
    epoch: Epoch
    session: int
    commits: int
    at_us: int
    trust_version: int
    trust_digest: Digest


def encode_presence(presence: Presence) -> bytes:
    """The payload to be signed by the office."""
    return dumps(
        {
            0: VERSION,
            1: presence.network,
            2: presence.office,
            3: presence.group,
            4: presence.online,
            5: presence.epoch,
            6: presence.session,
            7: presence.commits,
            8: presence.at_us,
            9: presence.trust_version,
            10: presence.trust_digest,
        }
    )


def decode_presence(payload: bytes) -> Presence:
    """The fields of a presence payload; raises `RemoteError`."""
    f = Fields(loads(payload, max_bytes=limits.RECORD_BYTES), "presence")
    f.version(VERSION)
    presence = Presence(
        network=NetworkId(f.fixed(1, limits.NETWORK_ID_BYTES)),
        office=OfficeId(f.fixed(2, limits.OFFICE_ID_BYTES)),
        group=f.text(3, 8),
        online=f.flag(4),
        epoch=Epoch(f.fixed(5, limits.EPOCH_BYTES)),
        session=f.uint(6),
        commits=f.uint(7),
        at_us=f.uint(8),
        trust_version=f.uint(9),
        trust_digest=Digest(f.fixed(10, limits.DIGEST_BYTES)),
    )
    f.done()
    if presence.group not in GROUPS:
        raise RemoteError("MALFORMED", "unknown connection group")
    return presence


def is_newer(presence: Presence, known: Presence | None) -> bool:
    """Whether a presence replaces the known one: a new epoch, a higher session, or the end of the same session.

    A will was signed before its session said that it is online, so its time says nothing; only its word counts.
    """
    if known is None or presence.epoch != known.epoch:
        return known is None or presence.at_us > known.at_us
    if presence.session != known.session:
        return presence.session > known.session
    return (not presence.online, presence.at_us) > (not known.online, known.at_us)
