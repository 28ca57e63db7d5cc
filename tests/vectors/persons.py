"""Vectors for what persons sign: approvals of the report, signing for it, and requests to be known."""

from collections.abc import Iterator

from keys.enrol.person_request import REQUEST_LIFE_US, make_request
from keys.primitives import SigningKey
from keys.signing import APPROVAL, CONTENT, PERSON_REQUEST, RECEIPT, SIGNED_FOR, sign_record
from protocol import cbor
from protocol.approval import encode_approval
from protocol.limits import CLOCK_AHEAD_US
from protocol.receipt import encode_receipt
from protocol.signing_for import encode_signing_for
from tests.vectors.records import IDENTITY_POINT, OTHER_NETWORK, changed, without
from tests.vectors.vector import Vector
from tests.world import (
    CITY,
    CITY_ADDRESS,
    CLERK_KEY,
    COUNTY_ADDRESS,
    COUNTY_KEY,
    DAY_US,
    ISSUER_KEY,
    NOW_US,
    PROVINCE_ADDRESS,
    PROVINCE_CLERK,
    PROVINCE_CLERK_KEY,
    PROVINCE_KEY,
    REVIEWER_KEY,
    STRANGER_KEY,
    make_approval,
    make_receipt,
    make_signing_for,
    seed,
)


def vectors() -> Iterator[Vector]:
    """What persons sign."""
    yield from _approvals()
    yield from _signings_for()
    yield from _requests()


def _approvals() -> Iterator[Vector]:
    """Approvals of `make_content`; a role that is not held and a key of nobody are both UNKNOWN_KEY here."""

    def vector(
        name: str, comment: str, payload: bytes, expect: str, key: SigningKey = REVIEWER_KEY, purpose: str = APPROVAL
    ) -> Vector:
        return Vector(f"approval-{name}", comment, "approval", expect, sign_record(key, purpose, payload))

    good = encode_approval(make_approval())
    issued = encode_approval(make_approval(role="issuer", life_us=None))
    yield vector("ok-reviewer", "The reviewer approves the report.", good, "ok")
    yield vector("ok-issuer", "So does the issuer, without a word on its life.", issued, "ok", ISSUER_KEY)
    for name, comment, fields in (
        ("other-network", "Of another network.", {"f1": OTHER_NETWORK}),
        ("other-office", "For the city's report.", {"f2": CITY}),
        ("other-id", "For another message.", {"f3": seed("another id")[:16]}),
        ("other-subject", "One bit of the subject differs.", {"f10": seed("another subject")}),
        ("one-more-recipient", "The report goes to one office fewer.", {"f6": [PROVINCE_ADDRESS, "320700-GO"]}),
        ("no-copy", "The report goes to one office more than the copy to the city.", {"f6": [CITY_ADDRESS], "f7": []}),
        ("group-in-its-place", "A group was written, and the office wrote none.", {"f7": ["@cities"]}),
        ("other-life", "The report lives a day longer.", {"f8": 2 * DAY_US}),
        ("other-deadline", "The report has another deadline.", {"f9": DAY_US}),
        ("signed-later", "Signed six minutes after the office wrote.", {"f5": NOW_US + CLOCK_AHEAD_US + 1}),
        ("clerk-role", "In the role of a clerk.", {"f4": "clerk"}),
        ("nobody", "For no recipient.", {"f6": []}),
        ("version-2", "Version 2.", {"f0": 2}),
        ("unknown-field", "A field too many.", {"f11": None}),
    ):
        yield vector(name, comment, changed(good, **fields), "BAD_SIGNATURE")
    yield vector("missing-field", "No audience.", without(good, 7), "BAD_SIGNATURE")
    yield vector("purpose-content", "Signed as a content.", good, "BAD_SIGNATURE", purpose=CONTENT)
    yield vector("other-role", "A reviewer signs as issuer.", issued, "UNKNOWN_KEY")
    yield vector("clerk-key", "A clerk signs as reviewer.", good, "UNKNOWN_KEY", CLERK_KEY)
    yield vector("office-key", "Signed by the office's key.", good, "UNKNOWN_KEY", COUNTY_KEY)
    yield vector("other-office-person", "Signed by a person of the province.", good, "UNKNOWN_KEY", PROVINCE_CLERK_KEY)
    early = encode_approval(make_approval(at_us=NOW_US - 2 * DAY_US))
    yield vector("before-the-key", "Signed a day before the key was valid.", early, "KEY_NOT_VALID")


def _signings_for() -> Iterator[Vector]:
    """Receipts that carry a person's signature as proof."""

    def vector(
        name: str,
        comment: str,
        payload: bytes,
        expect: str,
        *,
        key: SigningKey = PROVINCE_CLERK_KEY,
        purpose: str = SIGNED_FOR,
        **fields: object,
    ) -> Vector:
        said = {"detail": PROVINCE_CLERK, "proof": sign_record(key, purpose, payload), **fields}
        receipt = make_receipt(**{"type": "signed_for", "code": "person_signed", **said})
        record = sign_record(PROVINCE_KEY, RECEIPT, encode_receipt(receipt))
        return Vector(f"signed-for-{name}", comment, "receipt", expect, record)

    good = encode_signing_for(make_signing_for())
    yield vector("ok", "The province's clerk signed for the report.", good, "ok")
    for name, comment, fields in (
        ("other-network", "Of another network.", {"f1": OTHER_NETWORK}),
        ("other-office", "For the city.", {"f2": CITY}),
        ("other-id", "For another message.", {"f3": seed("another id")[:16]}),
        ("other-digest", "For another content.", {"f4": seed("another digest")}),
        ("later", "Signed six minutes after the receipt.", {"f5": NOW_US + 2 * CLOCK_AHEAD_US}),
    ):
        yield vector(name, comment, changed(good, **fields), "BAD_DIGEST")
    yield vector("version-2", "Version 2.", changed(good, f0=2), "BAD_VERSION")
    yield vector("unknown-field", "A field too many.", changed(good, f6=1), "MALFORMED")
    yield vector("before-the-key", "Before the key was valid.", changed(good, f5=NOW_US - 2 * DAY_US), "KEY_NOT_VALID")
    yield vector("other-name", "The receipt names somebody else.", good, "UNKNOWN_KEY", detail="王芳")
    yield vector("stranger", "By a key of nobody.", good, "UNKNOWN_KEY", key=STRANGER_KEY)
    yield vector("author-person", "By a person of the author.", good, "UNKNOWN_KEY", key=CLERK_KEY)
    yield vector("purpose", "Signed as an approval.", good, "BAD_SIGNATURE", purpose=APPROVAL)
    yield vector("no-proof", "No record of the person.", good, "MALFORMED", proof=b"")
    yield vector("attested-with-proof", "Attested, and yet signed.", good, "MALFORMED", code="office_attested")
    yield vector("no-code", "Neither signed nor attested.", good, "MALFORMED", code="", proof=b"")


def _requests() -> Iterator[Vector]:
    def vector(name: str, comment: str, data: bytes, expect: str, **context: str) -> Vector:
        return Vector(f"person-request-{name}", comment, "person-request", expect, data, context)

    key = SigningKey.from_seed(seed("somebody new"))
    good = make_request(key, "孙梅", COUNTY_ADDRESS, NOW_US)
    payload = {0: 1, 1: "孙梅", 2: COUNTY_ADDRESS, 3: key.public(), 4: NOW_US}
    yield vector("ok", "Somebody new at the county.", good, "ok")
    yield vector("expired", "Read 45 days later.", good, "EXPIRED", now=str(NOW_US + REQUEST_LIFE_US))
    yield vector("ahead", "Read ten minutes before it was made.", good, "NOT_YET", now=str(NOW_US - 2 * CLOCK_AHEAD_US))

    def signed(signer: SigningKey = key, purpose: str = PERSON_REQUEST, **fields: object) -> bytes:
        return sign_record(signer, purpose, changed(cbor.dumps(payload), **fields))

    yield vector("other-key", "Signed by another key.", signed(STRANGER_KEY), "BAD_SIGNATURE")
    yield vector("purpose", "Signed as an approval.", signed(purpose=APPROVAL), "BAD_SIGNATURE")
    yield vector("identity-point", "The key is of small order.", signed(f3=IDENTITY_POINT), "BAD_SIGNATURE")
    yield vector("address", "No address.", signed(f2="320924"), "MALFORMED")
    yield vector("name", "A name that turns the writing around.", signed(f1="孙\u202e梅"), "MALFORMED")
    yield vector("version-2", "Version 2.", signed(f0=2), "BAD_VERSION")
    yield vector("unknown-field", "A field too many.", signed(f5=0), "MALFORMED")
    yield vector(
        "other-key-id",
        "Under the id of another key.",
        sign_record(_Misnamed(key), PERSON_REQUEST, cbor.dumps(payload)),
        "UNKNOWN_KEY",
    )


class _Misnamed:
    """A key that signs under the id of another."""

    suite = 0

    def __init__(self, key: SigningKey) -> None:
        self.public = key.public
        self.sign = key.sign
        self.key_id = STRANGER_KEY.key_id
