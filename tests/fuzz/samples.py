"""Good bytes to begin with, for the targets whose layers have no vectors of their own."""

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from keys.ceremony.act import Act
from keys.ceremony.carried import encode_carried
from keys.enrol.response import encode_response
from keys.prekeys import make_prekey
from keys.primitives import sha256
from keys.roster.suspensions import Suspension, encode_suspensions
from keys.signing import CONTENT, UnverifiedRecord, sign_record
from protocol import cbor
from protocol.approval import encode_approval
from protocol.audit import AuditHead, Mark, encode_head, make_line
from protocol.content import encode_bundle, encode_content
from protocol.copy import encode_header
from protocol.frame import COPY_ITEM, encode_frame_payload, encode_items, make_item
from protocol.ids import Digest
from protocol.presence import encode_presence
from protocol.receipt import encode_receipt
from protocol.signing_for import encode_signing_for
from relay.evidence import encode_evidence
from tests import enrolling, world
from tests.fuzz import sm
from tests.keys.networks import Administrator
from tests.protocol.spec_example import make_evidence

TOP: Final = Path(__file__).resolve().parent.parent.parent
HEAD: Final = AuditHead(world.NETWORK, world.COUNTY, world.EPOCH, Mark(7, Digest(bytes(32))), world.NOW_US)
DRAFT: Final = (
    '{"id":"019b76da-0000-7c3e-8f0a-5b6c7d8e9f01","to":["320000-GO"],"cc":"320900-GO","title":"关于地震情况的报告","body":"text",'
    '"urgency":"flash","kind":"incident_first","event_level":"II","attachments":[{"name":"map.txt","data":"aW50"}],'
    '"expires_in":"3d","bulk":false,"signatures":[]}'
)
FORM: Final = (
    '--b\r\ncontent-disposition: form-data; name="message"\r\n\r\n{"to":"320000-GO","title":"t"}\r\n'
    '--b\r\ncontent-disposition: form-data; name="file"; filename="map.txt"\r\n\r\nbytes\r\n--b--\r\n'
)


def _receipts() -> Iterator[bytes]:
    yield encode_receipt(world.make_receipt())
    yield encode_receipt(world.make_receipt(type="custody", by=world.COUNTY))
    yield encode_receipt(world.make_receipt(type="refused", code="NOT_ACCEPTED", detail="reason", proof=b"proof"))


def _own_receipts() -> Iterator[bytes]:
    """What the county may say."""
    yield encode_receipt(world.make_receipt(by=world.COUNTY, recipient=world.COUNTY, to=world.PROVINCE))
    yield encode_receipt(world.make_receipt(type="custody", by=world.COUNTY))


def _outers() -> Iterator[bytes]:
    """Payloads of outer records around a ciphertext of no bytes."""
    for header in (world.make_header(), world.make_header(lane=1, deadline_us=None, number=7)):
        yield cbor.dumps([encode_header(header), sha256(b"")])


def _prekeys() -> Iterator[bytes]:
    made = make_prekey(
        world.COUNTY_KEY, network_id=world.NETWORK, office_id=world.COUNTY, suite=2, seed=bytes(32),
        now_us=world.NOW_US,
    )  # fmt: skip
    yield UnverifiedRecord(cbor.loads(made.data, max_bytes=4_096)[0], max_bytes=4_096).payload


def _frames() -> Iterator[bytes]:
    yield encode_frame_payload(world.make_frame(b"\x80"))


def _items() -> Iterator[bytes]:
    yield encode_items(())
    yield encode_items((make_item(COPY_ITEM, b"copy", (world.COUNTY, world.CITY), 1),))


def _bundle() -> bytes:
    return encode_bundle(
        world.make_bundle(sign_record(world.COUNTY_KEY, CONTENT, encode_content(world.make_content())))
    )


def _knocks() -> Iterator[bytes]:
    """For each way of the door something that it lets in."""
    yield from (b"\x01" + items for items in _items())
    yield b"\x02\x80" + _bundle()
    yield from (b"\x03" + receipt for receipt in _receipts())


@cache
def _trust() -> dict[str, bytes]:
    """The files of a small network."""
    with tempfile.TemporaryDirectory() as place:
        return dict(Administrator(Path(place)).files)


def _trust_files(word: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (data for name, data in sorted(_trust().items()) if word in name)


SAMPLES: Final[dict[str, Callable[[], Iterator[bytes]]]] = {
    "content": lambda: iter((encode_content(world.make_content()),)),
    "header": lambda: iter((encode_header(world.make_header()),)),
    "outer": _outers,
    "signed-copy": _outers,
    "frame-payload": _frames,
    "items": _items,
    "receipt": _receipts,
    "signed-receipt": _own_receipts,
    "presence": lambda: iter((encode_presence(world.make_presence()),)),
    "signed-prekey": _prekeys,
    "approval": lambda: iter((encode_approval(world.make_approval()),)),
    "signing-for": lambda: iter((encode_signing_for(world.make_signing_for()),)),
    "signed-person": lambda: iter(
        (encode_approval(world.make_approval()), encode_signing_for(world.make_signing_for()))
    ),
    "response": lambda: iter((encode_response(enrolling.answer()), encode_response(enrolling.refusal()))),
    "act": lambda: iter(
        (Act("revoke 320924-GO", 7, bytes(32), {"roster.cbor": b"r", "targets.json": b"{}"}).encode(),)
    ),
    "carried": lambda: iter((encode_carried(_trust()),)),
    "suspensions": lambda: iter(
        (encode_suspensions((Suspension(world.COUNTY, world.NOW_US, world.NOW_US + world.DAY_US, "stolen"),)),)
    ),
    "trust-root": _trust_files("root"),
    "trust-targets": _trust_files("targets"),
    "trust-snapshot": _trust_files("snapshot"),
    "trust-timestamp": _trust_files("timestamp"),
    "evidence": lambda: iter((encode_evidence(make_evidence()),)),
    "settings": lambda: iter(((TOP / "config" / "example.toml").read_bytes(),)),
    "audit-head": lambda: iter((encode_head(HEAD),)),
    "audit-line": lambda: iter((make_line(HEAD.mark.head, b'{"n":8,"did":"send","at":"2026-01-01T00:00:00Z"')[0],)),
    "draft": lambda: iter((DRAFT.encode(), b'{"to":"320000-GO","title":"t"}')),
    "form": lambda: iter((FORM.encode(),)),
    "row": lambda: iter((bytes(40), bytes(200))),
    "door": _knocks,
    **sm.SAMPLES,
}
