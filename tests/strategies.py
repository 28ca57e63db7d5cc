"""Hypothesis strategies for every object of the wire, and for bytes that almost are one."""

from typing import Any

from hypothesis import strategies as st

from protocol import limits
from protocol.content import CLASSIFICATIONS, AttachmentRecord, Bundle, Content, is_plain
from protocol.copy import CopyHeader
from protocol.frame import ITEM_KINDS, NACK_CODES, Frame, Item, Nack, make_item
from protocol.ids import Address, Digest, Epoch, KeyId, MessageId, NetworkId, OfficeId, StartId
from protocol.lanes import GROUPS, KINDS, LEVELS, ORDINARY, RECEIPT, URGENCIES, Lane, may_ride
from protocol.moment import Moment
from protocol.presence import Presence
from protocol.receipt import CLEAR_TYPES, CODE, DEAD, END_TO_END, TYPES, Place, Receipt, encode_place
from protocol.signing_for import OFFICE_ATTESTED


def fixed(size: int) -> st.SearchStrategy[bytes]:
    """Byte strings of one length."""
    return st.binary(min_size=size, max_size=size)


office_ids = fixed(limits.OFFICE_ID_BYTES).map(OfficeId)
network_ids = fixed(limits.NETWORK_ID_BYTES).map(NetworkId)
message_ids = fixed(limits.MESSAGE_ID_BYTES).map(MessageId)
key_ids = fixed(limits.KEY_ID_BYTES).map(KeyId)
epochs = fixed(limits.EPOCH_BYTES).map(Epoch)
start_ids = fixed(limits.START_BYTES).map(StartId)
digests = fixed(limits.DIGEST_BYTES).map(Digest)
uints = st.integers(0, limits.UINT_MAX)
times = st.integers(0, limits.TIME_MAX_US)
lanes = st.sampled_from(Lane)
addresses = st.from_regex(
    r"(?:[0-9]{6}|[0-9]{9})-[A-Z]{1,2}[0-9]{0,4}",
    fullmatch=True,
    alphabet=st.characters(min_codepoint=32, max_codepoint=126),
).map(Address)
group_names = st.from_regex(r"@[a-z][a-z0-9_-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
lines = texts.filter(lambda text: bool(text) and is_plain(text, one_line=True))
bodies = st.text(st.characters(exclude_categories=["Cs"]), max_size=200).filter(lambda t: is_plain(t, one_line=False))

# Any value that CBOR of ours may hold, and values that it may not.
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 40), inner, max_size=4),
    max_leaves=20,
)

attachments = st.builds(AttachmentRecord, name=lines, size=uints, digest=digests)


@st.composite
def lives(draw: st.DrawFn) -> tuple[int, int]:
    """(created, expires) within MAX_LIFE."""
    created = draw(st.integers(0, limits.TIME_MAX_US - 2 * limits.MAX_LIFE_US))
    return created, created + draw(st.integers(1, limits.MAX_LIFE_US))


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """Well-formed contents."""
    created, expires = draw(lives())
    return Content(
        salt_digest=Digest(draw(fixed(limits.DIGEST_BYTES))),
        network=draw(network_ids),
        sender=draw(office_ids),
        sender_address=draw(addresses),
        id=draw(message_ids),
        created_us=created,
        expires_us=expires,
        kind=draw(st.sampled_from(KINDS)),
        urgency=draw(st.sampled_from(URGENCIES)),
        bulk=draw(st.booleans()),
        event_level=draw(st.none() | st.sampled_from(LEVELS)),
        to=tuple(draw(st.lists(addresses, max_size=3))),
        cc=tuple(draw(st.lists(addresses, max_size=3))),
        groups=tuple(draw(st.lists(group_names, max_size=2))),
        directory_version=draw(uints),
        title=draw(lines),
        body_digest=draw(digests),
        attachments=tuple(draw(st.lists(attachments, max_size=3))),
        thread=draw(st.none() | message_ids),
        reply_to=draw(st.none() | message_ids),
        occurred_us=draw(st.none() | times),
        deadline_us=draw(st.none() | times),
        classification=draw(st.sampled_from(CLASSIFICATIONS)),
        drill=draw(st.booleans()),
        approvals=tuple(draw(st.lists(st.binary(max_size=40), max_size=3))),
        original_digest=draw(st.none() | digests),
    )


bundles = st.builds(
    Bundle,
    record=st.binary(max_size=80),
    salt=fixed(limits.SALT_BYTES),
    body=bodies,
    files=st.lists(st.binary(max_size=40), max_size=3).map(tuple),
    original=st.none() | st.binary(max_size=80),
)


@st.composite
def headers(draw: st.DrawFn) -> CopyHeader:
    """Well-formed clear headers, of messages and of sealed receipts."""
    created, expires = draw(lives())
    lane, entitlement = draw(st.tuples(lanes, st.integers(ORDINARY, RECEIPT)).filter(lambda pair: may_ride(*pair)))
    is_receipt = entitlement == RECEIPT
    return CopyHeader(
        network=draw(network_ids),
        suite=draw(st.integers(0, 255)),
        id=draw(message_ids),
        sender=draw(office_ids),
        recipient=draw(office_ids),
        lane=lane,
        entitlement=entitlement,
        created_us=created,
        expires_us=expires + (limits.RECEIPT_EXTRA_LIFE_US if is_receipt else 0),
        deadline_us=draw(st.none() | uints),
        number=0 if is_receipt else draw(st.integers(1, limits.UINT_MAX)),
        epoch=draw(epochs),
        prekey_id=draw(key_ids),
    )


items: st.SearchStrategy[Item] = st.builds(
    make_item,
    st.sampled_from(ITEM_KINDS),
    st.binary(max_size=60),
    st.lists(office_ids, max_size=limits.TRAIL_OFFICES).map(tuple),
    uints,
    st.none() | uints,
)
nacks = st.builds(Nack, digest=digests, code=st.sampled_from(NACK_CODES))


@st.composite
def moments(draw: st.DrawFn) -> Moment:
    """Well-formed moments of any home."""
    began, commits = sorted((draw(uints), draw(uints)))
    return Moment(draw(epochs), draw(epochs), draw(start_ids), began, commits)


frames = st.builds(
    Frame,
    network=network_ids,
    sender=office_ids,
    receiver=office_ids,
    lane=lanes,
    moment=moments(),
    counter=uints,
    at_us=uints,
    items_digest=digests,
    custody=st.lists(digests, max_size=4).map(tuple),
    nacks=st.lists(nacks, max_size=4).map(tuple),
    witness=st.none() | st.binary(max_size=80),
)


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """Well-formed receipts of every type."""
    kind = draw(st.sampled_from(sorted(TYPES)))
    by, to, other = draw(st.tuples(office_ids, office_ids, office_ids).filter(lambda three: three[0] != three[1]))
    at, expires = draw(lives())
    if kind == "tombstone":
        recipient = draw(st.sampled_from([by, to]))
        place = Place(draw(lanes), draw(epochs), draw(st.integers(1, limits.UINT_MAX)))
        code, detail, proof = draw(st.sampled_from(sorted(DEAD))), "", encode_place(place)
    else:
        recipient = by if kind in END_TO_END else other
        code, proof = draw(st.from_regex(CODE, fullmatch=True)), draw(st.binary(max_size=80))
        detail = "" if kind in CLEAR_TYPES else draw(texts)
        if kind == "signed_for":
            code, proof = OFFICE_ATTESTED, b""
    return Receipt(
        network=draw(network_ids),
        type=kind,
        id=draw(message_ids),
        by=by,
        recipient=recipient,
        to=to,
        digest=draw(digests),
        at_us=at,
        lane=draw(lanes),
        expires_us=expires + draw(st.sampled_from([0, limits.RECEIPT_EXTRA_LIFE_US])),
        code=code,
        detail=detail,
        proof=proof,
    )


presences = st.builds(
    Presence,
    network=network_ids,
    office=office_ids,
    group=st.sampled_from(GROUPS),
    online=st.booleans(),
    moment=moments(),
    session=uints,
    at_us=uints,
    trust_version=uints,
    trust_digest=digests,
    audit_count=uints,
    audit_head=digests,
)


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes that differ from `data`: one byte changed, cut, grown, doubled, or a length byte made huge."""
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    change = draw(st.sampled_from(["flip", "set", "cut", "grow", "insert", "repeat", "long"]))
    if change == "flip":
        return data[:at] + bytes((data[at] ^ (1 << draw(st.integers(0, 7))),)) + data[at + 1 :]
    if change == "set":
        other = draw(st.integers(0, 255).filter(lambda value: value != data[at]))
        return data[:at] + bytes((other,)) + data[at + 1 :]
    if change == "cut":
        return data[:at]
    if change == "grow":
        return data + draw(st.binary(min_size=1, max_size=9))
    if change == "insert":
        return data[:at] + draw(st.binary(min_size=1, max_size=9)) + data[at:]
    if change == "repeat":
        return data[: at + 1] + data[at:] + data[at : at + 1]
    return data[:at] + b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff" + data[at:]
