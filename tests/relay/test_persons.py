"""What becomes of messages and receipts that persons signed: where they arrive, and when a person is revoked later."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from keys.primitives import SigningKey
from keys.roster.directory import Directory
from keys.roster.persons import revoke_person
from keys.signing import APPROVAL, RECEIPT, SIGNED_FOR, UnverifiedRecord, sign_record
from protocol.approval import encode_approval
from protocol.content import Content
from protocol.errors import RemoteError
from protocol.receipt import Receipt, encode_receipt
from protocol.signing_for import encode_signing_for
from relay.examine import Finding, Message, Rejected
from relay.store import events, inbox
from relay.store.database import Txn
from relay.store.events import Event
from tests import world
from tests.inline_store import InlineStore
from tests.relay.office_store import office_store, tried
from tests.relay.test_revoked_office import aftermath, come, flags_of
from tests.relay.test_settlement import answer_of, make_copy, settled

HOUR = world.HOUR_US
SINCE = world.NOW_US
ARRIVES = SINCE + 5 * HOUR
NEEDS_BOTH = replace(
    world.DIRECTORY.rules, require_reviewer=frozenset({"incident_first"}), require_issuer=frozenset({"incident_first"})
)


@pytest.fixture(scope="module")
def store() -> Iterator[InlineStore]:
    with office_store("persons") as opened:
        yield opened


def written(created_us: int = SINCE - HOUR, **changes: Any) -> Content:
    """The county's report of that time."""
    times = {"created_us": created_us, "expires_us": created_us + 3 * world.DAY_US, "deadline_us": None}
    return world.make_content(**{**times, **changes})


def approved(content: Content, *, reviewer: SigningKey = world.REVIEWER_KEY, **changes: Any) -> Content:
    """The content with the approvals of reviewer and issuer."""
    said = {"reviewer": reviewer, "issuer": world.ISSUER_KEY}
    records = [
        sign_record(key, APPROVAL, encode_approval(world.make_approval(content, role=role, **changes)))
        for role, key in said.items()
    ]
    return replace(content, approvals=tuple(records))


def copy_of(content: Content) -> bytes:
    """The copy of a content for the province."""
    return make_copy(**{name: getattr(content, name) for name in Content.__dataclass_fields__})


def under(rules: Any = NEEDS_BOTH, *, version: int = 7) -> Directory:
    """The directory with other rules, at a version."""
    return replace(world.DIRECTORY, rules=rules, version=version)


def found(content: Content, directory: Directory) -> Finding:
    """What the province makes of a report that arrives."""
    (finding,) = come(copy_of(content), directory, None, ARRIVES).findings
    return finding


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (approved(written()), None),
        (written(), "NO_REVIEWER"),
        (replace(written(), approvals=approved(written()).approvals[:1]), "NO_ISSUER"),
        (approved(written(), reviewer=world.ISSUER_KEY), "SAME_PERSON"),
        (approved(written(), reviewer=world.CLERK_KEY), "WRONG_ROLE"),
        (approved(written(), reviewer=world.PROVINCE_CLERK_KEY), "WRONG_ROLE"),
        (approved(written(), reviewer=world.STRANGER_KEY), "WRONG_ROLE"),
        (approved(written(), at_us=SINCE - 2 * world.DAY_US), "EXPIRED"),
        (replace(written(title="another"), approvals=approved(written()).approvals), "BAD_SIGNATURE"),
        (replace(written(), approvals=(b"junk", *approved(written()).approvals)), "BAD_SIGNATURE"),
    ],
)
def test_g10_the_destination_refuses_what_its_author_should_not_have_accepted(
    store: InlineStore, content: Content, code: str | None
) -> None:
    """Signed, sealed and final, as for NOT_LIAISON; what persons approved well is delivered."""
    finding = found(content, under())
    assert isinstance(finding, Message)
    assert finding.refusal == code

    def change(txn: Txn) -> None:
        settled(txn, world.PROVINCE, come(copy_of(content), under(), None, ARRIVES), now_us=ARRIVES)
        assert len(inbox.listed(txn, None, 10)) == (code is None)
        kept = inbox.plain_receipt(txn, world.COUNTY, world.MESSAGE, "delivered" if code is None else "refused")
        assert kept is not None

    tried(store, change)


def test_g10_what_a_newer_directory_may_allow_is_asked_for_again(store: InlineStore) -> None:
    """A person added a minute ago, a rule lifted: the recipient that has not heard of it ends nothing."""
    newer = written(directory_version=8)

    def change(txn: Txn) -> None:
        outcome = settled(txn, world.PROVINCE, come(copy_of(newer), under(), None, ARRIVES), now_us=ARRIVES)
        assert answer_of(outcome, world.CITY) == "UNVERIFIED"
        assert inbox.listed(txn, None, 10) == []

    tried(store, change)
    assert isinstance(found(newer, under()), Rejected)
    late = found(newer, under(version=8))
    assert isinstance(late, Message)
    assert late.refusal == "NO_REVIEWER"


def test_g10_what_cannot_be_verified_here_is_not_refused_for_good(
    store: InlineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that runs without SM2 while its directory comes to allow it: the sender keeps the message."""
    verify = UnverifiedRecord.verify

    def without_sm2(record: UnverifiedRecord, purpose: str, public: bytes) -> None:
        if purpose == APPROVAL:
            raise RemoteError("BAD_SUITE", "SM2 signatures are not verified here")
        verify(record, purpose, public)

    monkeypatch.setattr(UnverifiedRecord, "verify", without_sm2)

    def change(txn: Txn) -> None:
        outcome = settled(
            txn, world.PROVINCE, come(copy_of(approved(written())), under(), None, ARRIVES), now_us=ARRIVES
        )
        assert answer_of(outcome, world.CITY) == "UNVERIFIED"
        assert inbox.plain_receipt(txn, world.COUNTY, world.MESSAGE, "refused") is None

    tried(store, change)


@pytest.mark.parametrize(("created_us", "doubted"), [(SINCE - HOUR, False), (SINCE, True), (SINCE + HOUR, True)])
def test_g14_what_a_revoked_person_approved_later_is_marked_when_that_is_known(
    store: InlineStore, created_us: int, doubted: bool
) -> None:
    """Before it stands: the office wrote it then, and is another than the person. Marked once, never deleted."""
    revoked = revoke_person(world.DIRECTORY, world.COUNTY_ADDRESS, "陈静", SINCE, ARRIVES)

    def change(txn: Txn) -> None:
        content = approved(written(created_us))
        settled(txn, world.PROVINCE, come(copy_of(content), world.DIRECTORY, None, ARRIVES), now_us=ARRIVES)
        assert "doubted" not in flags_of(txn)
        record = revoked.offices[world.COUNTY]
        for told in ([Event] if doubted else [], []):
            swept = aftermath(txn, revoked).doubt_messages_of(b"", record, SINCE)
            assert [type(event) for event in swept.events] == told
        assert ("doubted" in flags_of(txn)) is doubted

    tried(store, change)
    after = found(approved(written(created_us)), revoked)
    assert isinstance(after, Message)
    assert after.refusal == ("REVOKED" if doubted else None)


def signed_for(at_us: int, **changes: Any) -> bytes:
    """The province's receipt with its clerk's own signature."""
    proof = sign_record(world.PROVINCE_CLERK_KEY, SIGNED_FOR, encode_signing_for(world.make_signing_for(at_us=at_us)))
    said = {"type": "signed_for", "code": "person_signed", "detail": world.PROVINCE_CLERK, "at_us": at_us}
    receipt: Receipt = world.make_receipt(**{**said, "proof": proof, **changes})
    return sign_record(world.PROVINCE_KEY, RECEIPT, encode_receipt(receipt))


@pytest.mark.parametrize(("at_us", "doubted"), [(SINCE - 1, False), (SINCE, True)])
def test_g14_what_a_revoked_person_signed_for_later_is_corrected(store: InlineStore, at_us: int, doubted: bool) -> None:
    revoked = revoke_person(world.DIRECTORY, world.PROVINCE_ADDRESS, world.PROVINCE_CLERK, SINCE, ARRIVES)

    def change(txn: Txn) -> None:
        record = signed_for(at_us)
        person = world.PROVINCE_CLERK
        events.append(
            txn,
            [
                Event(
                    world.MESSAGE, world.PROVINCE, "signed_for", at_us, world.PROVINCE, True, "person_signed", person,
                    record,
                )
            ],
        )  # fmt: skip
        offices = {world.PROVINCE: revoked.offices[world.PROVINCE]}
        for _ in range(2):
            aftermath(txn, revoked, world.COUNTY).doubt_answers_of(0, offices)
        corrections = [one for one in events.of_message(txn, world.MESSAGE) if one.type == "correction"]
        assert [one.code for one in corrections] == (["DOUBTED"] if doubted else [])

    tried(store, change)
