"""Whether the persons behind a message count: reviewers and issuers of a content, and who signed for it.

Judged where a message is accepted and again where it arrives, since a source may not judge (CONTRACT section 5). Pure:
the directory says who a key belongs to, in which roles, and when. A person's word counts if the key was valid both when
the person says to have signed and when the office says to have written: the office is the witness of its persons, so
a stolen personal key cannot sign into the time before its revocation (G14).
"""

from dataclasses import dataclass
from typing import Final

from keys.roster.directory import Directory
from keys.roster.office_record import OfficeRecord, Person
from keys.signing import APPROVAL, SIGNED_FOR, UnverifiedRecord
from protocol.approval import APPROVERS, Approval, decode_approval, differs
from protocol.content import Content
from protocol.errors import RemoteError
from protocol.limits import APPROVAL_BYTES, CLOCK_AHEAD_US, RECORD_BYTES
from protocol.receipt import Receipt
from protocol.signing_for import OFFICE_ATTESTED, PERSON_SIGNED, decode_signing_for

MISSING: Final = {"reviewer": "NO_REVIEWER", "issuer": "NO_ISSUER"}
"""The code with which a kind that needs a role is refused without one."""


@dataclass(frozen=True, slots=True)
class Approver:
    """One approval of a content. `name` is "" where the directory has no such key for the office.

    `code` says why it does not count, None when it does: BAD_SIGNATURE, WRONG_ROLE, EXPIRED, REVOKED, or SUITE_MISSING
    where nothing is known of it, since SM2 cannot be verified here.
    """

    name: str
    role: str
    at_us: int
    code: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a message is refused for its persons; `field` is the role that it is about."""

    code: str
    field: str
    detail: str


def standing_of(person: Person, at_us: int) -> str | None:
    """The code with which a signature that this person made at this time is refused, or None."""
    if person.revoked_since_us is not None and at_us >= person.revoked_since_us:
        return "REVOKED"
    return None if person.not_before_us <= at_us < person.not_after_us else "EXPIRED"


def approvers_of(content: Content, directory: Directory) -> tuple[Approver, ...]:
    """Who approved a verified content, each judged for itself, in the order in which it carries them."""
    return tuple(_approver(record, content, directory) for record in content.approvals)


def objection_to(content: Content, directory: Directory) -> Objection | None:
    """The first reason to refuse a verified content for its persons, or None:

    1. No person approved twice, in whatever roles (SAME_PERSON).
    2. Every approval counts: it is of this very message, by a person of the office in that role, valid (BAD_SIGNATURE,
       WRONG_ROLE, EXPIRED, REVOKED).
    3. Who is needed for this kind by the rules of the network is there (NO_REVIEWER, NO_ISSUER).
    """
    found = approvers_of(content, directory)
    names = [one.name for one in found]
    for at, one in enumerate(found):
        if one.name and one.name in names[:at]:
            return Objection("SAME_PERSON", one.role, f"{one.name} signed twice")
    for one in found:
        if one.code is not None:
            return Objection(one.code, one.role, one.detail)
    for role, kinds in zip(APPROVERS, (directory.rules.require_reviewer, directory.rules.require_issuer), strict=True):
        if content.kind in kinds and all(one.role != role for one in found):
            return Objection(MISSING[role], role, f"a message of kind {content.kind} needs one")
    return None


def check_signed_for(receipt: Receipt, directory: Directory) -> None:
    """The person's own signature in a verified receipt of type signed_for, where it claims one.

    Raises `RemoteError` MALFORMED, BAD_DIGEST for a record about something else, UNKNOWN_KEY for a key that is not the
    named person's, KEY_NOT_VALID, BAD_SIGNATURE.
    """
    if receipt.type != "signed_for":
        return
    if receipt.code != PERSON_SIGNED:
        if receipt.code != OFFICE_ATTESTED or receipt.proof:
            raise RemoteError("MALFORMED", "either a person signed for it, or the office says who did")
        return
    record = UnverifiedRecord(receipt.proof, max_bytes=RECORD_BYTES)
    said = decode_signing_for(record.payload)
    if (said.network, said.office, said.id, said.digest) != (receipt.network, receipt.by, receipt.id, receipt.digest):
        raise RemoteError("BAD_DIGEST", "a person signed for something else")
    if said.at_us > receipt.at_us + CLOCK_AHEAD_US:
        raise RemoteError("BAD_DIGEST", "a person signed after the receipt was made")
    person = directory.person_by_key(receipt.by, record.key_id)
    if person is None or person.name != receipt.detail:
        raise RemoteError("UNKNOWN_KEY", f"key {record.key_id.hex()} is not that of the person who is named")
    if not directory.allows(person.suite):
        raise RemoteError("BAD_SUITE", f"key {record.key_id.hex()} of a person")
    for at_us in (said.at_us, receipt.at_us):
        if not person.valid_at(at_us):
            raise RemoteError("KEY_NOT_VALID", f"key {record.key_id.hex()} of a person")
    record.verify(SIGNED_FOR, person.public)


def rests_on_revoked(content: Content, office: OfficeRecord) -> bool:
    """Whether a person of its author approved a content that was taken in, and is revoked since before that by now."""
    for data in content.approvals:
        record = UnverifiedRecord(data, max_bytes=APPROVAL_BYTES)
        person = office.person_by_key(record.key_id)
        times = (decode_approval(record.payload).at_us, content.created_us)
        if person is not None and any(standing_of(person, at_us) == "REVOKED" for at_us in times):
            return True
    return False


def signed_by_revoked(receipt: Receipt, office: OfficeRecord) -> bool:
    """Whether the person who signed a receipt that was taken in is revoked since before that by now."""
    if receipt.type != "signed_for" or receipt.code != PERSON_SIGNED:
        return False
    record = UnverifiedRecord(receipt.proof, max_bytes=RECORD_BYTES)
    person = office.person_by_key(record.key_id)
    times = (decode_signing_for(record.payload).at_us, receipt.at_us)
    return person is not None and any(standing_of(person, at_us) == "REVOKED" for at_us in times)


def _approver(data: bytes, content: Content, directory: Directory) -> Approver:
    try:
        record = UnverifiedRecord(data, max_bytes=APPROVAL_BYTES)
        approval = decode_approval(record.payload)
    except RemoteError as error:
        return Approver("", "signatures", 0, "BAD_SIGNATURE", f"not a person's approval ({error.code})")
    person = directory.person_by_key(content.sender, record.key_id)
    if person is None:
        office = directory.by_id(content.sender)
        where = "this office" if office is None else office.address
        return Approver(
            "", approval.role, approval.at_us, "WRONG_ROLE", f"key {record.key_id.hex()} is of no person of {where}"
        )
    if directory.allows(person.suite):
        code, detail = _fault(record, approval, person, content, directory)
    else:
        code, detail = "BAD_SIGNATURE", f"the key of {person.name} is of a suite that is not allowed"
    return Approver(person.name, approval.role, approval.at_us, code, detail)


def _fault(
    record: UnverifiedRecord, approval: Approval, person: Person, content: Content, directory: Directory
) -> tuple[str | None, str]:
    """(code, detail) of the first step that fails for a known person; (None, "") when the approval counts."""
    # (1) The key made this record for this purpose.
    try:
        record.verify(APPROVAL, person.public)
    except RemoteError as error:
        if error.code == "BAD_SUITE":
            return "SUITE_MISSING", f"the key of {person.name}: {error.detail}"
        return "BAD_SIGNATURE", f"not by the key of {person.name}"
    # (2) It is of this very message.
    part = differs(approval, content, directory.office_of)
    if part is not None:
        return "BAD_SIGNATURE", f"{person.name} signed for another {part}"
    # (3) The role, and the key's validity, when the person signed and when the office wrote.
    if approval.role not in person.roles:
        return "WRONG_ROLE", f"{person.name} is no {approval.role}"
    for at_us in (approval.at_us, content.created_us):
        code = standing_of(person, at_us)
        if code is not None:
            return code, f"the key of {person.name}"
    return None, ""
