"""From a draft to a signed message: every check of acceptance, in numbered steps (CONTRACT sections 5 and 11).

Pure but for the entropy handed in. It runs off the event loop; `relay/accept.py` commits what it returns.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from config.schema import Messages
from keys.approvals import objection_to
from keys.roster.directory import BUILT_IN_GROUPS, Directory
from keys.roster.office_record import OfficeRecord
from keys.roster.policy import bypass_city, must_go_through_city
from keys.signing import CONTENT, sign_record
from protocol import limits
from protocol.content import (
    CLASSIFICATIONS,
    AttachmentRecord,
    Bundle,
    Content,
    body_digest,
    content_digest,
    encode_bundle,
    encode_content,
    file_digest,
    is_plain,
    salt_digest,
)
from protocol.errors import Refused
from protocol.ids import (
    Address,
    Digest,
    MessageId,
    OfficeId,
    digest_text,
    is_group,
    message_id_text,
    parse_address,
    parse_message_id,
)
from protocol.lanes import KINDS, LEVELS, Lane, entitlement_of, lane_for
from protocol.padding import pack
from relay.draft import Draft, fingerprint, recipients
from relay.identity import Identity
from relay.store.sent import Addressee, Prepared
from relay.times import parse_duration_us, parse_time_us, time_text

CLASSIFIED: Final = frozenset({"mimi", "jimi", "juemi", "秘密", "机密", "绝密"})
"""State secrets do not travel here (CONTRACT section 11)."""
_JSON: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Desk:
    """What composing needs to know of this moment."""

    identity: Identity
    me: OfficeRecord
    directory: Directory
    settings: Messages
    now_us: int
    suspended: frozenset[OfficeId] = frozenset()


@dataclass(frozen=True, slots=True)
class _Audience:
    """Expanded recipients: explicit ones, members of groups, the groups by name, and members that cannot be reached.

    `called` are the addresses under which offices were named explicitly, which may be former ones.
    """

    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    groups: tuple[str, ...]
    offices: tuple[OfficeRecord, ...]
    skipped: tuple[tuple[str, str], ...]
    called: dict[OfficeId, Address]

    def addressees(self) -> tuple[Addressee, ...]:
        """Each office once, as it is named."""
        return tuple(Addressee(office.id, self.called.get(office.id, office.address)) for office in self.offices)


def compose(draft: Draft, desk: Desk, salt: bytes, original: Bundle | None = None) -> tuple[Prepared, bytes]:
    """The signed message and its packed plaintext, under a fresh `salt` or the draft's own; raises `Refused`."""
    # (1) Nothing of a state secret is looked at further.
    if any(mark in draft.classification.lower() for mark in CLASSIFIED):
        raise Refused("CLASSIFIED", "state secrets do not travel over this network", field="classification")
    # (2) Every field by itself.
    message_id = parse_message_id(draft.id)
    _check_fields(draft)
    # (3) The lane that urgency, kind and level allow.
    entitlement = entitlement_of(draft.kind, draft.event_level)
    lane = lane_for(draft.urgency, bulk=draft.bulk, entitlement=entitlement)
    # (4) Who gets it: explicit names refuse the whole message, members of groups only themselves.
    audience = _expand(draft, desk)
    # (5) Times.
    expires_us, deadline_us = _life(draft, desk, lane)
    # (6) Commitments, what persons signed of them, and the office's signature.
    files = tuple(attachment.data for attachment in draft.attachments)
    carried = b"" if original is None else content_digest(original.record)
    content = Content(
        salt_digest=salt_digest(salt),
        network=desk.directory.network_id,
        sender=desk.identity.office,
        sender_address=desk.me.address,
        id=message_id,
        created_us=desk.now_us,
        expires_us=expires_us,
        kind=draft.kind,
        urgency=draft.urgency,
        bulk=draft.bulk,
        event_level=draft.event_level,
        to=audience.to,
        cc=audience.cc,
        groups=audience.groups,
        directory_version=desk.directory.version,
        title=draft.title,
        body_digest=body_digest(salt, draft.body),
        attachments=tuple(
            AttachmentRecord(attachment.name, len(attachment.data), file_digest(salt, index, attachment.data))
            for index, attachment in enumerate(draft.attachments)
        ),
        thread=_optional_id(draft.thread, "thread"),
        reply_to=_optional_id(draft.reply_to, "reply_to"),
        occurred_us=None if draft.occurred_at is None else parse_time_us(draft.occurred_at, field="occurred_at"),
        deadline_us=deadline_us,
        classification=draft.classification,
        drill=draft.drill,
        approvals=tuple(draft.signatures),
        original_digest=Digest(carried) if carried else None,
    )
    _check_persons(content, desk.directory)
    record = sign_record(desk.identity.key, CONTENT, encode_content(content))
    bundle = Bundle(record, salt, draft.body, files, None if original is None else encode_bundle(original))
    # (7) It fits into one copy; larger attachments have their own way (D6).
    packed = _pack(bundle, desk.settings)
    digest = content_digest(record)
    prepared = Prepared(
        message_id=message_id,
        fingerprint=fingerprint(draft, carried),
        lane=lane,
        entitlement=entitlement,
        created_us=desk.now_us,
        expires_us=expires_us,
        deadline_us=deadline_us,
        bundle=bundle,
        digest=digest,
        addressees=audience.addressees(),
        answer=_answer(message_id, lane, digest, audience, desk.now_us),
        sender=desk.identity.office,
    )
    return prepared, packed


def _check_fields(draft: Draft) -> None:
    """Each field of a draft by itself."""
    for field, text in (("title", draft.title), ("body", draft.body), *(("attach", a.name) for a in draft.attachments)):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refused("BAD_FIELD", "not UTF-8", field=field) from None
    if draft.classification not in CLASSIFICATIONS:
        raise Refused("BAD_FIELD", f"unknown classification {draft.classification[:40]!r}", field="classification")
    if draft.kind not in KINDS:
        raise Refused("BAD_FIELD", f"unknown kind {draft.kind[:40]!r}", field="kind")
    if draft.event_level is not None and draft.event_level not in LEVELS:
        raise Refused("BAD_FIELD", f"unknown event level {draft.event_level[:40]!r}", field="event_level")
    if not 1 <= len(draft.title) <= limits.TITLE_CHARS:
        raise Refused("BAD_FIELD", f"a title has 1 to {limits.TITLE_CHARS} characters", field="title")
    if not is_plain(draft.title, one_line=True) or not draft.title.strip():
        raise Refused("BAD_FIELD", "a title is one line without control characters", field="title")
    if not is_plain(draft.body, one_line=False):
        raise Refused("BAD_FIELD", "control characters other than tab, LF and CR", field="body")
    if len(draft.attachments) > limits.ATTACHMENTS:
        raise Refused("TOO_LARGE", f"at most {limits.ATTACHMENTS} attachments", field="attach")
    for attachment in draft.attachments:
        name = attachment.name
        if not name or len(name.encode()) > limits.NAME_BYTES or not is_plain(name, one_line=True):
            raise Refused("BAD_FIELD", f"attachment name {name[:40]!r}", field="attach")
    _check_signatures(draft)


def _check_signatures(draft: Draft) -> None:
    """The form of persons' signatures, and the salt that they cover."""
    if len(draft.signatures) > limits.PERSON_SIGNATURES:
        raise Refused("BAD_FIELD", f"at most {limits.PERSON_SIGNATURES} signatures", field="signatures")
    if (draft.salt is not None) != bool(draft.signatures):
        raise Refused("BAD_FIELD", "a salt goes with signatures, and they with the salt they cover", field="salt")
    if draft.salt is not None and len(draft.salt) != limits.SALT_BYTES:
        raise Refused("BAD_FIELD", f"a salt has {limits.SALT_BYTES} bytes", field="salt")


def _check_persons(content: Content, directory: Directory) -> None:
    """What persons signed must count, and who is needed must have signed; raises `Refused`."""
    objection = objection_to(content, directory)
    if objection is not None:
        raise Refused(objection.code, objection.detail, field=objection.field)


def _expand(draft: Draft, desk: Desk) -> _Audience:
    """Recipients as offices, groups expanded against this directory; raises `Refused` for explicit ones."""
    seen: dict[str, OfficeRecord] = {}
    groups: list[str] = []
    skipped: list[tuple[str, str]] = []
    lists: list[tuple[Address, ...]] = []
    called: dict[OfficeId, Address] = {}
    for field, names in (("to", recipients(draft.to)), ("cc", recipients(draft.cc))):
        found: list[Address] = []
        for name in names:
            if is_group(name):
                groups.append(name)
                found += _members(name, desk, draft.kind, seen, skipped, field)
            else:
                office = _addressee(name, desk, field)
                if office.address in seen and not groups:
                    raise Refused("BAD_FIELD", f"{name} is named twice", field=field)
                if office.address not in seen:
                    # An office that was renamed stays named as its writer named it, so that it takes the message also
                    # before it has heard of its new name; a repeat says the same, and so does what persons signed.
                    seen[office.address], called[office.id] = office, Address(name)
                    found.append(Address(name))
        lists.append(tuple(found))
    if not lists[0] and skipped:
        address, code = skipped[0]
        raise Refused(code, f"no member of {' '.join(groups)} can be addressed; the first is {address}", field="to")
    if not lists[0]:
        raise Refused("BAD_FIELD", f"{' '.join(groups)} has no other member" if groups else "no recipient", field="to")
    if len(seen) > limits.RECIPIENTS:
        raise Refused("TOO_LARGE", f"at most {limits.RECIPIENTS} recipients", field="to")
    lists[1] += _copies_to_city(seen, desk, draft.kind)
    return _Audience(lists[0], lists[1], tuple(groups), tuple(seen.values()), tuple(skipped), called)


def _addressee(name: str, desk: Desk, field: str) -> OfficeRecord:
    """An office that is named explicitly; raises `Refused`."""
    office = desk.directory.by_address(parse_address(name, field=field))
    if office is None:
        raise Refused("UNKNOWN_RECIPIENT", f"{name} is not in the directory", field=field)
    problem = _unreachable(office, desk)
    if problem is not None:
        raise Refused(problem, _why_unreachable(office, desk), field=field)
    return office


def _why_unreachable(office: OfficeRecord, desk: Desk) -> str:
    """For people: what keeps an office from being a recipient."""
    if office.id == desk.identity.office:
        return "this office itself"
    if office.state == "revoked" or _is_merged(office):
        successor = None if office.successor is None else desk.directory.by_id(office.successor)
        return office.address if successor is None else f"{office.address}, which {successor.address} follows"
    return f"{office.address} is suspended"


def _unreachable(office: OfficeRecord, desk: Desk) -> str | None:
    """The code with which an office cannot be a recipient now."""
    if office.id == desk.identity.office:
        return "BAD_FIELD"
    if office.state != "active" or office.id in desk.suspended:
        return "REVOKED"
    # An office under another address is followed, since it is the same; a successor is another office, with other
    # people, and whether it is meant is for whoever writes to say.
    return "SUCCEEDED" if _is_merged(office) else None


def _is_merged(office: OfficeRecord) -> bool:
    """Whether another office has taken its tasks over."""
    return office.state == "active" and office.successor is not None


def _members(
    group: str, desk: Desk, kind: str, seen: dict[str, OfficeRecord], skipped: list[tuple[str, str]], field: str
) -> list[Address]:
    """The members of a group that can be reached; the others are reported for themselves."""
    if group not in BUILT_IN_GROUPS and group not in desk.directory.groups:
        raise Refused("UNKNOWN_RECIPIENT", f"{group} is no group of this network", field=field)
    added = []
    for office in desk.directory.expand(group):
        if office.id == desk.identity.office or office.address in seen:
            continue
        problem = _unreachable(office, desk)
        if (
            problem is None
            and must_go_through_city(desk.me, office)
            and bypass_city(desk.directory, desk.me, kind) is None
        ):
            problem = "NOT_LIAISON"
        if problem is None:
            seen[office.address] = office
            added.append(office.address)
        else:
            skipped.append((office.address, problem))
    return added


def _copies_to_city(seen: dict[str, OfficeRecord], desk: Desk, kind: str) -> tuple[Address, ...]:
    """The rule of the city: NOT_LIAISON, or for an incident a copy to the city where the network allows it."""
    barred = next((office for office in seen.values() if must_go_through_city(desk.me, office)), None)
    if barred is None:
        return ()
    city = bypass_city(desk.directory, desk.me, kind)
    if city is None:
        raise Refused("NOT_LIAISON", f"reports to {barred.address} go through the city office", field="to")
    if city.address in seen:
        return ()
    seen[city.address] = city
    return (city.address,)


def _life(draft: Draft, desk: Desk, lane: Lane) -> tuple[int, int | None]:
    """(expires, deadline) in microseconds; raises `Refused` BAD_FIELD."""
    if draft.expires_in is None:
        life_us = round(desk.settings.expires_s * limits.SECOND_US)
    else:
        life_us = parse_duration_us(draft.expires_in, field="expires_in")
    if life_us > limits.MAX_LIFE_US:
        raise Refused("BAD_FIELD", "a message lives at most 45 days", field="expires_in")
    if draft.deliver_within is None:
        within_us = round(getattr(desk.settings.deadline_s, lane.label) * limits.SECOND_US)
        return desk.now_us + life_us, desk.now_us + min(within_us, life_us)
    within_us = parse_duration_us(draft.deliver_within, field="deliver_within")
    if within_us > limits.MAX_LIFE_US:
        raise Refused("BAD_FIELD", "a deadline is at most 45 days away", field="deliver_within")
    return desk.now_us + life_us, desk.now_us + within_us


def _pack(bundle: Bundle, settings: Messages) -> bytes:
    """The padded plaintext; raises `Refused` TOO_LARGE."""
    if sum(map(len, bundle.files)) > settings.attachment_bytes_max:
        raise Refused("TOO_LARGE", f"attachments over {settings.attachment_bytes_max} bytes", field="attach")
    encoded = encode_bundle(bundle)
    if len(encoded) <= limits.CONTENT_BYTES:
        packed = pack(encoded)
        if len(packed) <= limits.SEALED_BYTES:
            return packed
    field = "attach" if bundle.files else "body"
    raise Refused("TOO_LARGE", f"over {limits.SEALED_BYTES} bytes after compression and padding", field=field)


def _answer(message_id: MessageId, lane: Lane, digest: Digest, audience: _Audience, now_us: int) -> bytes:
    """The object of CONTRACT section 5, as it will be given again for a repeat."""
    answer: dict[str, object] = {
        "id": message_id_text(message_id),
        "state": "accepted",
        "lane": lane.label,
        "digest": digest_text(digest),
        "to": list(audience.to),
        "accepted_at": time_text(now_us),
    }
    if audience.cc:
        answer["cc"] = list(audience.cc)
    if audience.groups:
        answer["groups"] = list(audience.groups)
    if audience.skipped:
        answer["skipped"] = [{"to": address, "code": code} for address, code in audience.skipped]
    now = {audience.called[one.id]: one.address for one in audience.offices if one.id in audience.called}
    renamed = [{"to": name, "now": address} for name, address in now.items() if name != address]
    if renamed:
        answer["renamed"] = renamed
    return _JSON.encode(answer)


def _optional_id(text: str | None, field: str) -> MessageId | None:
    return None if text is None else parse_message_id(text, field=field)
