"""Presence: a signed, retained hint that an office is connected (D2, D9, SPEC section 8).

It is only a hint. It carries the moment of the home and the head of its audit log, which neighbours remember: they tell
us when we were restored or cloned (D11), and bear witness of what our log held (G15).
"""

from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import dumps, loads
from protocol.errors import RemoteError
from protocol.fields import Fields
from protocol.ids import Digest, NetworkId, OfficeId
from protocol.lanes import GROUPS
from protocol.moment import Moment, moment_fields, read_moment

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Presence:
    """`session` rises with every connection of a start.

    `trust_version` and `trust_digest` are of the roster in force, so that neighbours notice a fork. `audit_count` is
    the number of entries in the audit log and `audit_head` the digest of the last one, zeros when there is none.
    """

    network: NetworkId
    office: OfficeId
    group: str
    online: bool
    moment: Moment
    session: int
    at_us: int
    trust_version: int
    trust_digest: Digest
    audit_count: int
    audit_head: Digest


def encode_presence(presence: Presence) -> bytes:
    """The payload to be signed by the office."""
    return dumps(
        {
            0: VERSION,
            1: presence.network,
            2: presence.office,
            3: presence.group,
            4: presence.online,
            5: moment_fields(presence.moment),
            6: presence.session,
            7: presence.at_us,
            8: presence.trust_version,
            9: presence.trust_digest,
            10: presence.audit_count,
            11: presence.audit_head,
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
        moment=read_moment(f.value(5)),
        session=f.uint(6),
        at_us=f.uint(7),
        trust_version=f.uint(8),
        trust_digest=Digest(f.fixed(9, limits.DIGEST_BYTES)),
        audit_count=f.uint(10),
        audit_head=Digest(f.fixed(11, limits.DIGEST_BYTES)),
    )
    f.done()
    if presence.group not in GROUPS:
        raise RemoteError("MALFORMED", "unknown connection group")
    return presence


def is_newer(presence: Presence, known: Presence | None) -> bool:
    """Whether a presence replaces the known one: a later start, a higher session, or the end of the same session.

    A will was signed before its session said that it is online, so its time says nothing; only its word counts. Starts
    are ordered by the counts of commits at which they began; a home that was restored begins above all that it is told
    of (SPEC M61), so that its old presence cannot mask the new one.
    """
    if known is None:
        return True
    if presence.moment.start != known.moment.start:
        return (presence.moment.began, presence.at_us) > (known.moment.began, known.at_us)
    if presence.session != known.session:
        return presence.session > known.session
    return (not presence.online, presence.at_us) > (not known.online, known.at_us)
