"""Drafts that persons signed: what they saw is what is sent (CONTRACT sections 5 and 11)."""

from typing import Any, Final

import msgspec
import pytest

from config.schema import Messages
from keys.signing import APPROVAL, sign_record
from protocol.approval import encode_approval
from protocol.content import body_digest, salt_digest
from protocol.errors import Refused
from protocol.ids import parse_message_id
from relay.composing import Desk, compose
from relay.draft import Attachment, Draft, fingerprint
from relay.evidence import Evidence, encode_evidence
from relay.identity import Identity
from relay.presenting import content_of
from tests.world import (
    CITY_ADDRESS,
    COUNTY,
    COUNTY_KEY,
    DAY_US,
    DIRECTORY,
    EPOCH,
    ISSUER_KEY,
    NOW_US,
    PROVINCE_ADDRESS,
    REVIEWER_KEY,
    make_approval,
    make_content,
)

ID: Final = "0198f000-0000-7000-8000-000000000001"
DESK: Final = Desk(Identity(COUNTY, COUNTY_KEY, EPOCH, 1), DIRECTORY.offices[COUNTY], DIRECTORY, Messages(), NOW_US)


def signed(under: bytes, **more: Any) -> Draft:
    """A draft that reviewer and issuer approved, as clients make them, and what else is wrong with it."""
    draft = Draft(id=ID, to=PROVINCE_ADDRESS, title="t", body="文", kind="special", expires_in="48h")
    content = make_content(
        salt_digest=salt_digest(under), id=parse_message_id(ID), kind="special", urgency="routine", title="t",
        to=(PROVINCE_ADDRESS,), cc=(), body_digest=body_digest(under, "文"), attachments=(), occurred_us=None,
        event_level=None,
    )  # fmt: skip
    keys = {"reviewer": REVIEWER_KEY, "issuer": ISSUER_KEY}
    records = [
        sign_record(key, APPROVAL, encode_approval(make_approval(content, role=role, life_us=2 * DAY_US)))
        for role, key in keys.items()
    ]
    return msgspec.structs.replace(draft, **{"salt": under, "signatures": records, **more})


def test_g10_what_persons_signed_is_what_is_sent_and_anything_else_is_refused() -> None:
    prepared, _ = compose(signed(b"s" * 32), DESK, b"s" * 32)
    content = content_of(prepared.bundle)
    assert (prepared.bundle.salt, len(content.approvals)) == (b"s" * 32, 2)
    for field, value in (
        ("title", "u"), ("body", "文 "), ("kind", "letter"), ("urgency", "urgent"), ("drill", True), ("bulk", True),
        ("to", CITY_ADDRESS), ("cc", CITY_ADDRESS), ("expires_in", "49h"), ("thread", ID), ("reply_to", ID),
        ("occurred_at", "2026-01-01T00:00:00Z"), ("event_level", "I"), ("classification", "work_secret"),
        ("attachments", [Attachment("a", b"b")]), ("id", ID.replace("0", "1", 1)),
    ):  # fmt: skip
        with pytest.raises(Refused, match="BAD_SIGNATURE"):
            compose(signed(b"s" * 32, **{field: value}), DESK, b"s" * 32)
    for changes in ({"salt": None}, {"salt": b"s" * 31}, {"signatures": []}, {"signatures": [b"x"] * 9}):
        with pytest.raises(Refused, match="BAD_FIELD"):
            compose(signed(b"s" * 32, **changes), DESK, b"s" * 32)


def test_signing_again_is_the_same_content_and_other_persons_are_not() -> None:
    once, again = signed(b"1" * 32), signed(b"2" * 32)
    assert fingerprint(once) == fingerprint(again)
    fewer = msgspec.structs.replace(again, signatures=again.signatures[:1])
    assert len({fingerprint(once), fingerprint(fewer), fingerprint(msgspec.structs.replace(once, signatures=[]))}) == 3


def test_g11_evidence_without_the_body_does_not_help_to_guess_it() -> None:
    """A short body is one of few: whoever has the digests could try them all, were the salt not withheld with it."""
    prepared, _ = compose(signed(b"s" * 32), DESK, b"s" * 32)
    redacted = encode_evidence(Evidence({}, prepared.bundle.record, None, ()))
    assert prepared.bundle.salt not in redacted
    assert body_digest(prepared.bundle.salt, "文") in redacted
    assert salt_digest(prepared.bundle.salt) in redacted
