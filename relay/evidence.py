"""Evidence: one message with its receipts and the trust they rest on, as one file that needs nobody else (CONTRACT 7).

The file is canonical CBOR, so that it has one form: see protocol/SPEC.md. Without the body it proves everything but the
words; the salted commitment still binds them.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from keys.approvals import approvers_of
from keys.primitives import sha256
from keys.roster.directory import Directory
from keys.roster.revocation import is_doubted, revoked_since_us
from keys.signing import UnverifiedRecord
from keys.trust.chain import verify_roster
from keys.trust.metadata import METADATA_BYTES, TrustError, root_fingerprint
from keys.trust.store import TrustStore
from keys.verify import read_content, verify_content, verify_receipt
from protocol.cbor import dumps, loads
from protocol.content import Bundle, Content, content_digest, decode_bundle, encode_bundle
from protocol.errors import Refused, RemoteError
from protocol.fields import Fields
from protocol.ids import digest_text, message_id_text
from protocol.limits import CONTENT_BYTES, DIGEST_BYTES, DIRECTORY_BYTES, FORWARD_DEPTH, RECORD_BYTES
from protocol.receipt import is_of_other_content
from relay.given import read_given
from relay.ground import Ground
from relay.naming import id_range, only
from relay.presenting import approver_object, vouched_us
from relay.store import events, inbox, sent
from relay.store.database import Txn
from relay.times import time_text

VERSION: Final = 1
MARK: Final = "yizhan evidence"
EVIDENCE_BYTES: Final = 4 * DIRECTORY_BYTES + 4 * CONTENT_BYTES
RECEIPTS_MAX: Final = 20_000
NOBODY_US: Final = 2**63
"""In the place of a time at which somebody had a message, when nobody says so."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The parts of an evidence file. `bundle` is whole, or only its signed record where the body is withheld."""

    trust: Mapping[str, bytes]
    record: bytes
    bundle: bytes | None
    receipts: tuple[bytes, ...]


async def write_evidence(
    ground: Ground, trust: Mapping[str, bytes], prefix: str, boxes: Collection[str], *, redact_body: bool
) -> bytes:
    """The evidence of a message that this office sent or received; raises `Refused` NOT_FOUND or AMBIGUOUS.

    `boxes`, of `sent` and `inbox`, are those that are looked into.
    """
    low, high = id_range(prefix)
    bundle, bare, receipts = await ground.store.read(partial(_gather, low=low, high=high, prefix=prefix, boxes=boxes))
    words = None if redact_body or bare else encode_bundle(bundle)
    return encode_evidence(Evidence(trust, bundle.record, words, tuple(receipts)))


def encode_evidence(evidence: Evidence) -> bytes:
    """The bytes of the file."""
    return dumps({**_parts(evidence), 6: _checksum(evidence)})


def _parts(evidence: Evidence) -> dict[int, Any]:
    files = [[name, data] for name, data in sorted(evidence.trust.items())]
    return {0: VERSION, 1: MARK, 2: files, 3: evidence.record, 4: evidence.bundle, 5: list(evidence.receipts)}


def _checksum(evidence: Evidence) -> bytes:
    """SHA-256 of all the rest: damage shows even in parts that a reader with another anchor need not trust."""
    return sha256(dumps(_parts(evidence)))


def decode_evidence(data: bytes) -> Evidence:
    """The parts of a file; raises `RemoteError`. Nothing is verified yet."""
    f = Fields(loads(data, max_bytes=EVIDENCE_BYTES), "evidence")
    f.version(VERSION)
    if f.text(1, 40) != MARK:
        raise RemoteError("MALFORMED", "not an evidence file")
    files: dict[str, bytes] = {}
    for pair in f.array(2, 1_000):
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str or type(pair[1]) is not bytes:
            raise RemoteError("MALFORMED", "a trust file is not a name with bytes")
        files[pair[0]] = pair[1]
    record = f.blob(3, CONTENT_BYTES)
    bundle = f.optional_blob(4, CONTENT_BYTES)
    receipts = f.array(5, RECEIPTS_MAX)
    if any(type(receipt) is not bytes or len(receipt) > RECORD_BYTES for receipt in receipts):
        raise RemoteError("MALFORMED", "a receipt is not a short byte string")
    checksum = f.fixed(6, DIGEST_BYTES)
    f.done()
    evidence = Evidence(files, record, bundle, tuple(receipts))
    if _checksum(evidence) != checksum:
        raise RemoteError("BAD_DIGEST", "the file was changed")
    return evidence


def verify_file(path: Path, root: str | None, home: Path | None) -> dict[str, Any]:
    """Check an evidence file offline against a root file, a root's fingerprint, or the home's pinned root.

    A home that knows a newer directory of the same network judges by that.
    Gives the object of CONTRACT section 11; raises like `read_given`.
    """
    data = read_given(path, "file", EVIDENCE_BYTES)
    problems: list[str] = []
    found: dict[str, Any] = {
        "ok": False, "anchored": False, "root_fingerprint": None, "message": None, "receipts": [], "originals": [],
        "problems": problems,
    }  # fmt: skip
    try:
        evidence = decode_evidence(data)
    except RemoteError as error:
        problems.append(f"{error.code}: {error.detail}")
        return found
    anchor = find_anchor(root, home)
    directory = anchored_directory(evidence.trust, anchor, found, problems)
    if directory is not None:
        directory = newest_directory(directory, home, problems) if found["anchored"] else directory
        found["directory_version"] = directory.version
        _check(evidence, directory, found, problems)
    if anchor is None:
        problems.append("UNANCHORED: no root to check against; give --root or a home")
    found["ok"] = not problems
    return found


def find_anchor(root: str | None, home: Path | None) -> bytes | str | None:
    """The root that is trusted: a file's bytes, a fingerprint, or what the home pinned."""
    if root is not None:
        file = Path(root)
        return (
            read_given(file, "root", METADATA_BYTES)
            if file.is_file()
            else root.lower().removeprefix("sha256:").replace(":", "").replace(" ", "")
        )
    if home is not None and (home / "trust" / "root.json").is_file():
        return (home / "trust" / "root.json").read_bytes()
    return None


def anchored_directory(
    trust: Mapping[str, bytes], anchor: bytes | str | None, found: dict[str, Any], problems: list[str]
) -> Directory | None:
    """The directory in trust files, verified from the anchor, or else from the root that the file itself brings."""
    own_root = trust.get("1.root.json") or trust.get("root.json")
    if anchor is not None:
        try:
            directory = verify_roster(trust, anchor)
        except (TrustError, RemoteError) as error:
            problems.append(f"UNANCHORED: the file's trust does not rest on this root: {error}")
        else:
            found["anchored"] = True
            found["root_fingerprint"] = directory.root_fingerprint
            return directory
    if own_root is None:
        problems.append("TRUST: the file brings no root")
        return None
    try:
        found["root_fingerprint"] = root_fingerprint(own_root)
        return verify_roster(trust, own_root)
    except (TrustError, RemoteError) as error:
        problems.append(f"TRUST: {error}")
        return None


def newest_directory(directory: Directory, home: Path | None, problems: list[str]) -> Directory:
    """The home's own directory where it is of the same network and newer, else the file's.

    A thief may pack what he signed with a stolen key beside a directory from before the revocation (G14).
    """
    if home is None or not (home / "trust" / "root.json").is_file():
        return directory
    try:
        known = TrustStore(home).load(time.time_ns() // 1_000).directory
    except TrustError as error:
        problems.append(f"TRUST: what this home knows of the network does not verify: {error}")
        return directory
    newer = known.network_id == directory.network_id and known.version > directory.version
    return known if newer else directory


def _check(evidence: Evidence, directory: Directory, found: dict[str, Any], problems: list[str]) -> None:
    """Content, commitments, receipts and originals, each for itself."""
    digest = content_digest(evidence.record)
    try:
        content = read_content(evidence.record, directory)
        witnessed_us = _witnessed_us(evidence, content, directory)
        if evidence.bundle is not None:
            bundle = decode_bundle(evidence.bundle)
            if bundle.record != evidence.record:
                raise RemoteError("BAD_DIGEST", "the bundle holds another record")
            verify_content(bundle, directory)
            found["originals"] = _originals(bundle, directory, problems, FORWARD_DEPTH, witnessed_us)
    except RemoteError as error:
        problems.append(f"CONTENT {error.code}: {error.detail}")
        return
    found["message"] = _message_object(content, digest, directory, problems)
    for data in evidence.receipts:
        found["receipts"].append(_receipt_object(data, content, digest, directory, problems))
    key_id = UnverifiedRecord(evidence.record, max_bytes=CONTENT_BYTES).key_id
    if is_doubted(directory.by_id(content.sender), key_id, witnessed_us):
        problems.append("DOUBTED: its author's key was revoked, and nobody else signed before that they had it")


def _witnessed_us(evidence: Evidence, content: Content, directory: Directory) -> int:
    """Since when somebody other than its author has had this very content (G14).

    Custody is of a copy: who stole the author's key could put other content under the id that was given custody.
    """
    digest = content_digest(evidence.record)
    witnesses = [NOBODY_US]
    for data in evidence.receipts:
        try:
            verified = verify_receipt(data, directory)
        except RemoteError:
            # It is counted as a problem.
            continue
        receipt, by = verified.receipt, directory.by_id(verified.receipt.by)
        # A witness whose own key was revoked by now is none.
        if (
            (receipt.id, receipt.digest) == (content.id, digest)
            and receipt.by != content.sender
            and revoked_since_us(by, verified.key_id) is None
        ):
            witnesses.append(receipt.at_us)
    return min(witnesses)


def _message_object(content: Content, digest: bytes, directory: Directory, problems: list[str]) -> dict[str, Any]:
    """What was said, by which office, and which persons approved it."""
    approvers = approvers_of(content, directory)
    problems += [f"PERSON {one.code}: {one.role}: {one.detail}" for one in approvers if one.code is not None]
    shown = {
        "id": message_id_text(content.id),
        "from": content.sender_address,
        "to": [*content.to, *content.cc],
        "digest": digest_text(digest),
        "created": time_text(content.created_us),
        "title": content.title,
    }
    return shown | ({"signatures": [approver_object(one) for one in approvers]} if approvers else {})


def _receipt_object(
    data: bytes, content: Content, digest: bytes, directory: Directory, problems: list[str]
) -> dict[str, Any]:
    """One receipt: signed by whom it says, about this very content."""
    try:
        receipt = verify_receipt(data, directory).receipt
        if receipt.id != content.id or receipt.to != content.sender:
            raise RemoteError("BAD_DIGEST", "a receipt about another message")
        reused = is_of_other_content(receipt, digest)
        if receipt.type not in ("custody", "custody_lost", "prekey_gone") and receipt.digest != digest and not reused:
            raise RemoteError("BAD_DIGEST", "a receipt over other content")
    except RemoteError as error:
        problems.append(f"RECEIPT {error.code}: {error.detail}")
        return {"type": "unknown", "by": None, "at": None, "ok": False}
    office = directory.by_id(receipt.by)
    shown = {
        "type": "refused" if reused else receipt.type,
        "by": receipt.by.hex() if office is None else office.address,
        "at": time_text(receipt.at_us),
        "ok": True,
    }
    if reused:
        # What it signed for is another content under this id, and it takes no second one.
        return shown | {"code": "ID_REUSED"}
    return shown | ({"person": receipt.detail, "mode": receipt.code} if receipt.type == "signed_for" else {})


def _originals(
    bundle: Bundle, directory: Directory, problems: list[str], depth: int, witnessed_us: int
) -> list[dict[str, Any]]:
    """The forwarded originals, outermost first, each with its own author's signature; whoever forwards is a witness."""
    if bundle.original is None or depth == 0:
        return []
    witnessed_us = vouched_us(bundle, directory, witnessed_us)
    original = decode_bundle(bundle.original)
    try:
        verified = verify_content(original, directory)
    except RemoteError as error:
        problems.append(f"ORIGINAL {error.code}: {error.detail}")
        return []
    if is_doubted(directory.by_id(verified.content.sender), verified.key_id, witnessed_us):
        problems.append("ORIGINAL DOUBTED: its author's key was revoked, and nobody is known to have had it before")
    shown = _message_object(verified.content, verified.digest, directory, problems) | {"ok": True}
    return [shown, *_originals(original, directory, problems, depth - 1, witnessed_us)]


def _gather(txn: Txn, low: bytes, high: bytes, prefix: str, boxes: Collection[str]) -> tuple[Bundle, bool, list[bytes]]:
    """Content and receipts of one message, whichever side of it we are; and whether its words were purged."""
    mine = sent.find(txn, low, high) if "sent" in boxes else []
    if mine:
        message_id = only(mine, prefix)
        message = sent.message(txn, message_id)
        if message is not None and message.bundle is None:
            raise Refused("WORDS_LOST", f"the row of message {prefix} was damaged", field="id")
        if message is not None and message.bundle is not None:
            receipts = [event.record for event in events.of_message(txn, message_id) if event.record]
            return message.bundle, message.bare, receipts
    key = only(inbox.find(txn, low, high, purged=True) if "inbox" in boxes else [], prefix)
    received = inbox.get(txn, *key)
    if received is None:
        raise Refused("NOT_FOUND", f"no message {prefix}", field="id")
    return received.bundle, received.state == "purged", inbox.plain_receipts(txn, *key)
