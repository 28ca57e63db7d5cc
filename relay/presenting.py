"""Messages as the JSON objects of CONTRACT sections 6, 7 and 11."""

from collections.abc import Sequence
from typing import Any

from keys.approvals import Approver, approvers_of
from keys.roster.directory import Directory
from keys.roster.revocation import is_doubted, revoked_since_us
from keys.signing import UnverifiedRecord
from keys.verify import verify_content
from protocol.content import Bundle, Content, content_digest, decode_bundle, decode_content
from protocol.delivery import State
from protocol.errors import RemoteError
from protocol.ids import Address, digest_text, message_id_text
from protocol.limits import CONTENT_BYTES, FORWARD_DEPTH
from relay.store.events import Event
from relay.store.inbox import FLAGS, Received
from relay.store.sent import Standing
from relay.times import time_text


def content_of(bundle: Bundle) -> Content:
    """The content of a bundle that was verified before it was stored."""
    return decode_content(UnverifiedRecord(bundle.record, max_bytes=CONTENT_BYTES).payload)


def inbox_line(message: Received) -> dict[str, Any]:
    """The fields of `inbox list`."""
    content = content_of(message.bundle)
    return {
        "id": message_id_text(message.message_id),
        "from": content.sender_address,
        "to": list(content.to),
        "cc": list(content.cc),
        "kind": content.kind,
        "urgency": content.urgency,
        "lane": message.lane.label,
        "title": content.title,
        "digest": digest_text(message.digest),
        "bytes": len(message.bundle.body.encode()) + sum(map(len, message.bundle.files)),
        "attachments": [{"name": a.name, "bytes": a.size} for a in content.attachments],
        "received_at": time_text(message.received_us),
        "state": message.state,
        "flags": [name for name, bit in FLAGS.items() if message.flags & bit],
    }


def inbox_object(message: Received, directory: Directory) -> dict[str, Any]:
    """The fields of `inbox show`."""
    content = content_of(message.bundle)
    shown = inbox_line(message)
    shown |= {
        "body": message.bundle.body,
        "created_at": time_text(content.created_us),
        "expires_at": time_text(content.expires_us),
        "deadline": _optional_time(content.deadline_us),
        "occurred_at": _optional_time(content.occurred_us),
        "event_level": content.event_level,
        "classification": content.classification,
        "thread": _optional_id(content.thread),
        "reply_to": _optional_id(content.reply_to),
        "signatures": signatures_of(content, directory),
    }
    if message.bundle.original is not None:
        witnessed_us = vouched_us(message.bundle, directory, message.witnessed_us)
        shown["original"] = original_object(message.bundle.original, directory, FORWARD_DEPTH, witnessed_us)
    return shown


def vouched_us(bundle: Bundle, directory: Directory, witnessed_us: int) -> int:
    """Since when somebody other than its author has had the original in a bundle: whoever forwards it is a witness,
    by the time that it signed, unless its own key was revoked (G14).
    """
    content = content_of(bundle)
    key_id = UnverifiedRecord(bundle.record, max_bytes=CONTENT_BYTES).key_id
    is_revoked = revoked_since_us(directory.by_id(content.sender), key_id) is not None
    return witnessed_us if is_revoked else min(witnessed_us, content.created_us)


def signatures_of(content: Content, directory: Directory, *, verified: bool = True) -> list[dict[str, Any]]:
    """The author office, whose signature was found good or not, and the persons who approved, each judged now."""
    return [
        {"by": content.sender_address, "role": "office", "verified": verified},
        *(approver_object(one) for one in approvers_of(content, directory)),
    ]


def approver_object(approver: Approver) -> dict[str, Any]:
    """A person who approved; `code` says why the approval does not count."""
    shown: dict[str, Any] = {
        "by": approver.name,
        "role": approver.role,
        "at": time_text(approver.at_us),
        "verified": approver.code is None,
    }
    return shown | ({} if approver.code is None else {"code": approver.code})


def original_object(data: bytes, directory: Directory, depth: int, witnessed_us: int) -> dict[str, Any]:
    """A forwarded original, with its own signature checked, nested as deep as it was forwarded.

    `doubted`: its author was revoked since, and nobody else is known to have had it before.
    """
    bundle = decode_bundle(data)
    content = content_of(bundle)
    doubted = False
    try:
        key_id = verify_content(bundle, directory).key_id
        verified = True
        doubted = is_doubted(directory.by_id(content.sender), key_id, witnessed_us)
    except RemoteError:
        verified = False
    shown: dict[str, Any] = {
        "id": message_id_text(content.id),
        "from": content.sender_address,
        "digest": digest_text(content_digest(bundle.record)),
        "title": content.title,
        "body": bundle.body,
        "verified": verified,
    }
    if doubted:
        shown["doubted"] = True
    if content.approvals:
        shown["signatures"] = signatures_of(content, directory, verified=verified)
    if bundle.original is not None and depth > 1:
        witnessed_us = vouched_us(bundle, directory, witnessed_us)
        shown["original"] = original_object(bundle.original, directory, depth - 1, witnessed_us)
    return shown


def forward_depth(bundle: Bundle) -> int:
    """How many times the content of a bundle was forwarded."""
    return 0 if bundle.original is None else 1 + forward_depth(decode_bundle(bundle.original))


def recipient_object(
    standing: Standing, events: Sequence[Event], directory: Directory, now_us: int, *, is_time_certain: bool
) -> dict[str, Any]:
    """How a message stands with one recipient, and its story: `events` are those of this recipient.

    While clocks differ (D12) a deadline is marked uncertain: whether it is met depends on whose clock is right.
    """
    arrived = min(
        (e.at_us for e in events if e.type in ("delivered", "opened", "signed_for", "returned")), default=None
    )
    deadline = standing.deadline_us
    late = deadline is not None and (now_us if arrived is None else arrived) > deadline
    shown: dict[str, Any] = {
        "to": standing.address,
        "state": standing.state.value,
        "final": standing.state.final,
        "deadline": _optional_time(deadline),
        "late": late,
        "number": standing.number,
        "events": [event_object(event, directory) for event in events],
    }
    if deadline is not None and not is_time_certain:
        shown["deadline_uncertain"] = True
    if standing.state is State.REFUSED:
        shown["code"] = next((event.code for event in events if event.type == "refused"), "")
        heir = _successor_of(standing, directory)
        if heir is not None:
            shown["successor"] = heir
    return shown


def _successor_of(standing: Standing, directory: Directory) -> Address | None:
    """Who follows an office that takes nothing any more: other people, to whom only people may decide to send."""
    office = directory.by_id(standing.office)
    heir = None if office is None or office.successor is None else directory.by_id(office.successor)
    return None if heir is None else heir.address


def event_object(event: Event, directory: Directory) -> dict[str, Any]:
    """One event of a story; who said it by address."""
    office = directory.by_id(event.by)
    shown: dict[str, Any] = {
        "type": event.type,
        "at": time_text(event.at_us),
        "by": event.by.hex() if office is None else office.address,
    }
    if event.verified:
        shown["verified"] = True
    if event.type == "signed_for":
        shown |= {"mode": event.code, "person": event.detail}
    elif event.type == "returned":
        shown["reason"] = event.detail
    elif event.code:
        shown["code"] = event.code
    return shown


def _optional_time(at_us: int | None) -> str | None:
    return None if at_us is None else time_text(at_us)


def _optional_id(value: bytes | None) -> str | None:
    return None if value is None else message_id_text(value)
