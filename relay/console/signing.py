"""What persons sign on the clerk's machine: approvals of a message to be sent, and signing for one that came.

The key file is opened here, under its owner's passphrase, and the private key never leaves this process: the daemon
gets signatures, and checks them like everybody after it. What they say: `protocol/approval.py` and `signing_for.py`.
"""

import base64
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keys.files.keyfile import read_header
from keys.files.private_files import KeyFileError
from keys.signer import Signer
from keys.signing import APPROVAL, SIGNED_FOR, sign_record
from keys.signing_key import PrivateKey, open_private_key
from protocol.approval import APPROVERS, Approval, Subject, encode_approval, subject_digest
from protocol.content import AttachmentRecord, body_digest, file_digest
from protocol.errors import Refused
from protocol.ids import Digest, MessageId, NetworkId, OfficeId, parse_message_id
from protocol.limits import APPROVAL_BYTES, SALT_BYTES
from protocol.signing_for import SigningFor, encode_signing_for
from relay.console.choices import Choices
from relay.console.client import Daemon, path_of
from relay.console.failure import Failure
from relay.console.keys.passphrases import ask_passphrase, tell_tries
from relay.memory import leave_no_core
from relay.times import parse_duration_us, parse_time_us

PERSON_KEY: Final = "person"
"""Kind of a person's key file."""


@dataclass(frozen=True, slots=True)
class _Office:
    """The office that a signature names, as its daemon says; for another one it would not count anywhere."""

    network: NetworkId
    id: OfficeId


class Signing:
    """The persons who sign during one command. Every key file is opened once, whatever is signed with it."""

    def __init__(self, choices: Choices, daemon: Daemon, passphrase_file: str | None) -> None:
        self._choices = choices
        self._daemon = daemon
        self._passphrase_file = passphrase_file
        self._keys: dict[str, Signer] = {}
        self._office: _Office | None = None

    def approve(self, draft: dict[str, Any], files: Mapping[str, str], original: str | None = None) -> None:
        """Put the approvals of these key files, by role, into a draft of the API that was checked.

        `original` is the digest text of a message that is forwarded. Raises `Refused`, `KeyFileError`, or `Failure`
        when the daemon does not answer; nothing was sent then.
        """
        keys = {role: self._key(files[role]) for role in APPROVERS if role in files}
        if not keys:
            return
        if "signatures" in draft or "salt" in draft:
            raise Refused("BAD_FIELD", "key files or signatures that were made before, not both", field="signatures")
        salt = os.urandom(SALT_BYTES)
        office = self._of_daemon()
        subject = _subject(draft, salt, original)
        draft["salt"] = salt
        draft["signatures"] = [
            sign_record(key, APPROVAL, _approval(office, draft, role, subject)) for role, key in keys.items()
        ]

    def sign_for(self, message_id: str, file: str) -> bytes:
        """A person's record for the message with this id or prefix in the inbox. Raises like `approve`."""
        key = self._key(file)
        office = self._of_daemon()
        head = self.head(message_id)
        signing = SigningFor(
            network=office.network,
            office=office.id,
            id=parse_message_id(str(head["id"])),
            digest=_digest(str(head["digest"])),
            at_us=time.time_ns() // 1000,
        )
        return sign_record(key, SIGNED_FOR, encode_signing_for(signing))

    def head(self, message_id: str) -> dict[str, Any]:
        """The line of a message in the inbox, which opens nothing."""
        return self._daemon.read(path_of("messages", message_id, "head")).one()

    def _key(self, file: str) -> Signer:
        path = Path(file)
        name = os.path.realpath(path)
        if name not in self._keys:
            self._keys[name] = open_person(self._choices, path, self._passphrase_file)
        return self._keys[name]

    def _of_daemon(self) -> _Office:
        if self._office is None:
            said = self._daemon.read(path_of("office")).one()
            try:
                self._office = _Office(
                    NetworkId(bytes.fromhex(said["network_id"])), OfficeId(bytes.fromhex(said["office_id"]))
                )
            except (KeyError, TypeError, ValueError):
                raise Failure("INTERNAL", "the relay does not say which office it is") from None
        return self._office


def open_person(choices: Choices, path: Path, passphrase_file: str | None) -> PrivateKey:
    """A person's private key. Raises `KeyFileError`, before anybody is asked where the file itself is at fault."""
    leave_no_core()
    header = read_header(path)
    if header.kind != PERSON_KEY:
        raise KeyFileError("KEY_FILE_KIND", path, f"it holds a secret of kind {header.kind!r}, not a person's")
    if header.sealed_by != "passphrase":
        raise KeyFileError("KEY_FILE_NOT_OPENED", path, "a person's key is sealed under a passphrase, this is not")
    tell_tries(choices, path)
    passphrase = ask_passphrase(choices, str(path), passphrase_file)
    return open_private_key(path, PERSON_KEY, passphrase=passphrase)


def _approval(office: _Office, draft: Mapping[str, Any], role: str, subject: Subject) -> bytes:
    """The payload of one approval of the draft."""
    spans = {
        name: None if draft.get(name) is None else parse_duration_us(draft[name], field=name)
        for name in ("expires_in", "deliver_within")
    }
    payload = encode_approval(
        Approval(
            network=office.network,
            office=office.id,
            id=parse_message_id(draft["id"]),
            role=role,
            at_us=time.time_ns() // 1000,
            to=_names(draft["to"]),
            cc=_names(draft.get("cc", [])),
            life_us=spans["expires_in"],
            within_us=spans["deliver_within"],
            subject=subject_digest(subject),
        )
    )
    if len(payload) + 1024 > APPROVAL_BYTES:
        raise Refused("TOO_LARGE", "too many recipients to be signed by a person; use a group", field="to")
    return payload


def _subject(draft: Mapping[str, Any], salt: bytes, original: str | None) -> Subject:
    """The fields of a draft as the content will have them."""
    happened = draft.get("occurred_at")
    return Subject(
        kind=draft.get("kind", "report"),
        urgency=draft.get("urgency", "routine"),
        bulk=draft.get("bulk", False),
        event_level=draft.get("event_level"),
        title=draft["title"],
        body_digest=body_digest(salt, draft.get("body", "")),
        attachments=tuple(
            AttachmentRecord(name, len(data), file_digest(salt, index, data))
            for index, (name, data) in enumerate(map(_attachment, draft.get("attachments", [])))
        ),
        thread=_optional_id(draft, "thread"),
        reply_to=_optional_id(draft, "reply_to"),
        occurred_us=None if happened is None else parse_time_us(happened, field="occurred_at"),
        classification=draft.get("classification", "none"),
        drill=draft.get("drill", False),
        original_digest=None if original is None else _digest(original),
    )


def _attachment(given: Any) -> tuple[str, bytes]:
    """Name and bytes of an attachment; one that a line brings itself has them in base64. Raises `Refused` BAD_FIELD."""
    try:
        name, data = given["name"], given["data"]
        found = data if isinstance(data, bytes) else base64.b64decode(data, validate=True)
    except (KeyError, TypeError, ValueError):
        found, name = b"", None
    if not isinstance(name, str):
        raise Refused("BAD_FIELD", "an attachment is a name, and data in base64", field="attachments")
    return name, found


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _optional_id(draft: Mapping[str, Any], name: str) -> MessageId | None:
    return None if draft.get(name) is None else parse_message_id(draft[name], field=name)


def _digest(text: str) -> Digest:
    try:
        return Digest(bytes.fromhex(text.removeprefix("sha256:")))
    except ValueError:
        raise Failure("INTERNAL", "the relay does not say what it is that a person signs") from None
