"""The parts of SPEC.md that code decides: limits, codes, the worked example, and the fields of every map."""

from keys.enrol.person_request import make_request as make_person_request
from keys.enrol.response import make_response
from keys.primitives import key_id, prekey_public, sha256
from keys.roster.changes import Change
from keys.roster.suspensions import Suspension, encode_suspensions
from keys.signing import CONTENT, RECEIPT, sign_record
from protocol import cbor, limits
from protocol.approval import encode_approval
from protocol.audit import START, AuditHead, encode_head
from protocol.content import encode_bundle, encode_content
from protocol.copy import encode_header
from protocol.errors import REMOTE_CODES
from protocol.frame import encode_frame_payload, encode_items, make_item
from protocol.padding import pack
from protocol.presence import encode_presence
from protocol.receipt import encode_receipt
from protocol.signing_for import encode_signing_for
from relay.evidence import Evidence, encode_evidence
from tests import enrolling, world
from tests.vectors.vector import FOLDER, read_vector

WIDTH_BYTES = 56


def limits_table() -> str:
    """Rows of two limits each, in the order of limits.py."""
    found = [(name, value) for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)]
    found += [("", 0)] * (len(found) % 2)
    pairs = zip(found[::2], found[1::2], strict=True)
    return "\n".join(f"| {a} | {x} | {b} | {y or ''} |" for (a, x), (b, y) in pairs)


def codes_list() -> str:
    """Every code, sorted."""
    names = [f"`{code}`" for code in sorted(REMOTE_CODES)]
    return "\n".join(" ".join(names[at : at + 8]) for at in range(0, len(names), 8))


def example() -> dict[str, bytes]:
    """The worked example, by name."""
    content = world.make_content()
    record = sign_record(world.COUNTY_KEY, CONTENT, encode_content(content))
    bundle = encode_bundle(world.make_bundle(record))
    header = encode_header(world.make_header())
    recipient = cbor.dumps({1: -70001, 4: world.PREKEY_IDS[1]})
    receipt = world.make_receipt(digest=sha256(record))
    receipt_record = sign_record(world.PROVINCE_KEY, RECEIPT, encode_receipt(receipt))
    items = encode_items((make_item(1, receipt_record, (world.PROVINCE, world.CITY), 1),))
    return {
        "seed of the county's signing key": world.COUNTY_KEY.seed(),
        "its public key": world.COUNTY_KEY.public(),
        "its key id": world.COUNTY_KEY.key_id(),
        "content": encode_content(content),
        "what is signed": cbor.dumps(
            [
                "Signature1",
                cbor.dumps({1: -19, 4: world.COUNTY_KEY.key_id()}),
                CONTENT.encode(),
                encode_content(content),
            ]
        ),
        "content record": record,
        "content digest": sha256(record),
        "SHA-256 of the bundle": sha256(bundle),
        "length of the packed bundle": len(pack(bundle)).to_bytes(2, "big"),
        "seed of the province's prekey": world.PREKEY_SEED,
        "SHA-256 of its suite 1 public key": sha256(prekey_public(1, world.PREKEY_SEED)),
        "its suite 1 key id": key_id(1, prekey_public(1, world.PREKEY_SEED)),
        "header": header,
        "additional data of the body": cbor.dumps(["Encrypt", cbor.dumps({1: 3}), header]),
        "HPKE info": cbor.dumps(["HPKE Recipient", 3, recipient, cbor.dumps([1, sha256(header)])]),
        "copy digest of the vector": sha256(read_vector(FOLDER / "open-ok-suite-1.txt").data),
        "receipt record": receipt_record,
        "items": items,
        "frame payload": encode_frame_payload(world.make_frame(items)),
    }


def example_text() -> str:
    """The example as SPEC.md shows it."""
    lines = []
    for name, data in example().items():
        lines.append(f"    {name}:")
        lines += [f"      {data[at : at + WIDTH_BYTES].hex()}" for at in range(0, len(data), WIDTH_BYTES)]
    return "\n".join(lines)


def make_evidence() -> Evidence:
    """A small evidence file's parts; its files are unsorted here and some bytes each."""
    record = sign_record(world.COUNTY_KEY, CONTENT, encode_content(world.make_content()))
    receipt = sign_record(world.PROVINCE_KEY, RECEIPT, encode_receipt(world.make_receipt(digest=sha256(record))))
    files = {"timestamp.json": b"{}", "1.root.json": b"{}"}
    return Evidence(files, record, encode_bundle(world.make_bundle(record)), (receipt,))


def maps() -> dict[str, bytes]:
    """One encoded map for every rule of the CDDL that is one."""
    roster = cbor.loads(world.DIRECTORY.encode(), max_bytes=10_000)
    county = next(office for office in roster[5] if office[1] == world.COUNTY_ADDRESS)
    suspended = encode_suspensions([Suspension(world.COUNTY, 0, 1, "stolen")])
    suspensions = cbor.loads(suspended, max_bytes=1_000)
    request = cbor.loads(enrolling.request().data, max_bytes=100_000)[0]
    first = cbor.loads(read_vector(FOLDER / "prekey-ok-suite-2.txt").data, max_bytes=10_000)[0]
    prekey = cbor.loads(first, max_bytes=10_000)[2]
    return {
        "content": encode_content(world.make_content()),
        "header": encode_header(world.make_header()),
        "frame-payload": encode_frame_payload(world.make_frame(b"")),
        "receipt": encode_receipt(world.make_receipt()),
        "presence": encode_presence(world.make_presence()),
        "prekey": prekey,
        "roster": world.DIRECTORY.encode(),
        "office": cbor.dumps(county),
        "change": cbor.dumps(Change(0, world.COUNTY, world.COUNTY_ADDRESS, "name", "county", None, None).encode()),
        "office-key": cbor.dumps(county[7][0]),
        "person": cbor.dumps(county[8][0]),
        "rules": cbor.dumps(roster[6]),
        "suspension": cbor.dumps(suspensions[1][0]),
        "evidence": encode_evidence(make_evidence()),
        "approval": encode_approval(world.make_approval()),
        "signing-for": encode_signing_for(world.make_signing_for()),
        "person-request": cbor.loads(
            make_person_request(world.CLERK_KEY, "王芳", world.COUNTY_ADDRESS, 0), max_bytes=999
        )[2],
        "enrolment": cbor.loads(request, max_bytes=100_000)[2],
        "response": cbor.loads(make_response(enrolling.answer(), world.PROVINCE_KEY), max_bytes=100_000)[2],
        "audit-head": encode_head(AuditHead(world.NETWORK, world.COUNTY, world.EPOCH, START, world.NOW_US)),
    }
