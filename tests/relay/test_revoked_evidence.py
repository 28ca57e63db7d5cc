"""Evidence of a message whose author was revoked since: it takes somebody else's word of before (G14)."""

from dataclasses import replace
from pathlib import Path

import pytest

from keys.roster.revocation import revoke_office
from keys.signing import CONTENT, RECEIPT, sign_record
from keys.trust.store import TrustStore
from protocol.content import encode_bundle, encode_content
from protocol.ids import Digest, NetworkId
from protocol.lanes import Lane
from protocol.receipt import encode_receipt
from relay import evidence
from relay.evidence import Evidence, newest_directory
from relay.presenting import inbox_object
from relay.store.inbox import Received
from tests import world
from tests.keys.networks import NOW_US, Administrator

SINCE = world.NOW_US + world.HOUR_US
REVOKED = revoke_office(world.DIRECTORY, world.COUNTY_ADDRESS, SINCE, SINCE)
RECORD = sign_record(world.COUNTY_KEY, CONTENT, encode_content(world.make_content()))


def problems_of(*receipts: bytes, directory: object = REVOKED) -> list[str]:
    found: dict[str, object] = {"receipts": []}
    problems: list[str] = []
    evidence._check(Evidence({}, RECORD, None, receipts), directory, found, problems)  # type: ignore[arg-type]
    return [problem.partition(":")[0] for problem in problems]


def delivered(at_us: int) -> bytes:
    receipt = world.make_receipt(digest=Digest(world.sha256(RECORD)), at_us=at_us, expires_us=at_us + world.DAY_US)
    return sign_record(world.PROVINCE_KEY, RECEIPT, encode_receipt(receipt))


@pytest.mark.parametrize(
    ("receipts", "problems"),
    [
        ((), ["DOUBTED"]),
        ((SINCE,), ["DOUBTED"]),
        ((SINCE + 1,), ["DOUBTED"]),
        ((SINCE - 1,), []),
        ((SINCE + 1, SINCE - 1), []),
    ],
)
def test_g14_evidence_of_a_revoked_office_needs_a_witness_of_before(
    receipts: tuple[int, ...], problems: list[str]
) -> None:
    assert problems_of(*map(delivered, receipts)) == problems
    assert problems_of(*map(delivered, receipts), directory=world.DIRECTORY) == []


def test_g14_custody_given_to_one_copy_is_no_witness_of_other_content_under_its_id() -> None:
    """Who stole the key has the receipts too: those of the genuine message, which name its id and its copy."""
    custody = world.make_receipt(
        type="custody", by=world.CITY, digest=Digest(bytes(32)), at_us=SINCE - 1, expires_us=SINCE + world.DAY_US
    )
    signed = sign_record(world.CITY_KEY, RECEIPT, encode_receipt(custody))
    assert problems_of(signed) == ["DOUBTED"]
    assert problems_of(signed, directory=world.DIRECTORY) == []


def test_g07_g14_what_was_said_of_other_content_under_its_id_is_a_refusal_and_no_witness() -> None:
    receipt = world.make_receipt(digest=Digest(bytes(32)), at_us=SINCE - 1, expires_us=SINCE + world.DAY_US)
    signed = sign_record(world.PROVINCE_KEY, RECEIPT, encode_receipt(receipt))
    found: dict[str, list[dict[str, object]]] = {"receipts": []}
    problems: list[str] = []
    evidence._check(Evidence({}, RECORD, None, (signed,)), world.DIRECTORY, found, problems)
    assert [(one["type"], one["code"], one["ok"]) for one in found["receipts"]] == [("refused", "ID_REUSED", True)]
    assert problems == []
    assert problems_of(signed) == ["DOUBTED"]


def test_g14_what_it_dated_after_the_revocation_is_no_evidence() -> None:
    earlier = revoke_office(world.DIRECTORY, world.COUNTY_ADDRESS, world.NOW_US, world.NOW_US)
    assert problems_of(delivered(SINCE - 1), directory=earlier) == ["CONTENT KEY_NOT_VALID"]


def test_g14_a_witness_that_was_revoked_itself_is_none() -> None:
    both = revoke_office(REVOKED, world.PROVINCE_ADDRESS, SINCE + 5, SINCE + 5)
    assert problems_of(delivered(SINCE - 1), directory=both) == ["DOUBTED"]


@pytest.mark.parametrize(
    ("forwarded", "witnessed", "doubted"),
    [(SINCE - 1, SINCE + 9, False), (SINCE + 1, SINCE + 9, True), (SINCE + 1, SINCE - 1, False)],
)
def test_g14_whoever_forwarded_an_original_before_is_its_witness(forwarded: int, witnessed: int, doubted: bool) -> None:
    original = world.make_bundle(RECORD)
    content = world.make_content(
        sender=world.CITY, sender_address=world.CITY_ADDRESS, created_us=forwarded,
        expires_us=forwarded + world.DAY_US, deadline_us=None, original_digest=Digest(world.sha256(RECORD)),
    )  # fmt: skip
    record = sign_record(world.CITY_KEY, CONTENT, encode_content(content))
    bundle = replace(world.make_bundle(record), original=encode_bundle(original))
    message = Received(
        world.CITY, world.MESSAGE, Lane.FLASH, "new", witnessed, 0, Digest(bytes(32)), bundle, b"", witnessed
    )
    shown = inbox_object(message, REVOKED)["original"]
    assert shown["verified"]
    assert shown.get("doubted", False) is doubted
    assert "doubted" not in inbox_object(message, world.DIRECTORY)["original"]
    if witnessed >= SINCE:
        problems: list[str] = []
        file = Evidence({}, record, encode_bundle(bundle), ())
        evidence._check(file, REVOKED, {"receipts": []}, problems)
        assert [one.partition(":")[0] for one in problems] == ["ORIGINAL DOUBTED"] * doubted


def test_g14_a_home_that_knows_a_newer_directory_judges_by_it(tmp_path: Path) -> None:
    admin = Administrator(tmp_path / "root")
    first = admin.network
    home = tmp_path / "home"
    store = TrustStore.install(home, first.files, NOW_US)
    problems: list[str] = []
    for knows in (home, tmp_path / "no home", None):
        assert newest_directory(first.directory, knows, problems) is first.directory
    second = admin.act("publish", NOW_US + 1)
    assert store.update(second.files, NOW_US + 1).changed
    assert newest_directory(first.directory, home, problems) == second.directory
    assert newest_directory(second.directory, home, problems) is second.directory
    foreign = replace(first.directory, network_id=NetworkId(bytes(16)))
    assert newest_directory(foreign, home, problems) is foreign
    assert problems == []
    for file in (home / "trust" / "generations").rglob("timestamp.json"):
        file.write_bytes(b"{}")
    assert newest_directory(first.directory, home, problems) is first.directory
    assert [problem.partition(":")[0] for problem in problems] == ["TRUST"]
