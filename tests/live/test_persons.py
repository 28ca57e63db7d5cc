"""Reviewers, issuers and clerks by the command line, in a lab that demands them (CONTRACT sections 5, 6, 9 and 11)."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.times import time_text
from tests.live.network import (
    CITY,
    COUNTY,
    PROVINCE,
    Network,
    Said,
    network,
    new_id,
    plan_text,
    province_city_counties,
    until,
)

pytestmark = pytest.mark.live

PERSONS = """
[rules]
require_reviewer = ["special"]
require_issuer = ["special"]
[[persons]]
name = "陈静"
office = "320924-GO"
roles = ["reviewer", "issuer"]
[[persons]]
name = "周敏"
office = "320924-GO"
roles = ["issuer"]
[[persons]]
name = "李处长"
office = "320900-GO"
roles = ["clerk"]
[[persons]]
name = "王主任"
office = "320900-GO"
roles = ["reviewer", "issuer"]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    brokers, offices = province_city_counties()
    with network(tmp_path_factory.mktemp("persons"), plan_text(brokers, offices, extra=PERSONS)) as found:
        found.up()
        yield found


def key(lab: Network, name: str, office: str = COUNTY) -> str:
    return str(lab.lab / "persons" / f"{office}-{name}.key")


def passphrase(lab: Network) -> tuple[str, str]:
    return "--passphrase-file", str(lab.lab / "root" / "passphrase")


def special(lab: Network, *words: str, office: str = COUNTY, to: str = CITY, **files: str) -> Said:
    """Send a special report, with these persons' key files."""
    persons = [word for role, file in files.items() for word in (f"--{role}", file)]
    given = ("--to", to, "--kind", "special", "--title", "专报", "--body", "-")
    return lab.relay(office, "send", *given, *persons, *passphrase(lab), *words, stdin="正文。\n".encode())


def shown(lab: Network, message: str, office: str = CITY) -> dict[str, Any]:
    until(lambda: any(one["id"] == message for one in lab.inbox(office)))
    return lab.relay(office, "inbox", "show", message).one()


def test_g10_a_special_report_goes_with_reviewer_and_issuer_and_shows_them(lab: Network, tmp_path: Path) -> None:
    both = {"reviewer": key(lab, "陈静"), "issuer": key(lab, "周敏")}
    chosen = new_id()
    sent = special(lab, "--id", chosen, "--expires-in", "48h", "--deliver-within", "2h", **both).one()
    assert (sent["id"], sent["state"]) == (chosen, "accepted")
    again = special(lab, "--id", chosen, "--expires-in", "48h", "--deliver-within", "2h", **both).one()
    assert again == sent | {"repeated": True}
    signatures = shown(lab, chosen)["signatures"]
    assert [(one["by"], one["role"], one["verified"]) for one in signatures] == [
        (COUNTY, "office", True), ("陈静", "reviewer", True), ("周敏", "issuer", True),
    ]  # fmt: skip
    lab.wait_state(COUNTY, chosen, "opened")
    for office, redacted in ((COUNTY, "--redact-body"), (CITY, "")):
        file = tmp_path / f"{office}.evidence"
        lab.relay(office, "evidence", chosen, "-o", str(file), *filter(None, (redacted,))).one()
        found = lab.relay(office, "verify", str(file)).one()
        assert found["ok"], found
        assert [one["by"] for one in found["message"]["signatures"]] == ["陈静", "周敏"]


@pytest.mark.parametrize(
    ("reviewer", "issuer", "code"),
    [
        (None, None, "NO_REVIEWER"),
        (None, "周敏", "NO_REVIEWER"),
        ("陈静", None, "NO_ISSUER"),
        ("陈静", "陈静", "SAME_PERSON"),
        ("周敏", "陈静", "WRONG_ROLE"),
        ("王主任", "周敏", "WRONG_ROLE"),
    ],
)
def test_g10_what_a_rule_demands_is_refused_without(
    lab: Network, reviewer: str | None, issuer: str | None, code: str
) -> None:
    files = {
        role: key(lab, name, CITY if name == "王主任" else COUNTY)
        for role, name in (("reviewer", reviewer), ("issuer", issuer))
        if name is not None
    }
    said = special(lab, **files)
    assert (said.exit, said.error()["code"]) == (65, code)
    assert said.error()["field"] in ("reviewer", "issuer")


def test_a_key_file_that_does_not_serve_is_said_before_anything_is_sent(lab: Network, tmp_path: Path) -> None:
    before = lab.counters(COUNTY)["accepted"]
    good = Path(key(lab, "陈静"))
    tmp_path.chmod(0o700)
    damaged, open_to_all, wrong = tmp_path / "damaged.key", tmp_path / "open.key", tmp_path / "wrong"
    damaged.write_bytes(good.read_bytes()[:-9])
    open_to_all.write_bytes(good.read_bytes())
    damaged.chmod(0o600)
    open_to_all.chmod(0o644)
    wrong.write_text("not the passphrase\n")
    no_person = lab.home(COUNTY) / "keys" / "identity.key"
    for file, code, hint in (
        (tmp_path / "missing.key", "KEY_FILE_MISSING", ""),
        (damaged, "KEY_FILE_DAMAGED", ""),
        (open_to_all, "KEY_FILE_MODE", f"chmod 600 {open_to_all}"),
        (no_person, "KEY_FILE_KIND", ""),
    ):
        said = special(lab, reviewer=str(file)).error()
        assert said["code"] == code
        assert hint in said["hint"]
        assert "id" in said
    given = ("--to", CITY, "--title", "t", "--reviewer", str(good))
    said = lab.relay(COUNTY, "send", *given, "--passphrase-file", str(wrong))
    assert (said.exit, said.error()["code"]) == (65, "KEY_FILE_NOT_OPENED")
    assert "not the passphrase" not in said.out + said.err
    assert lab.relay(COUNTY, "send", *given).error()["code"] == "NO_PASSPHRASE"
    assert lab.counters(COUNTY)["accepted"] == before


def test_lines_and_forwards_are_signed_too(lab: Network, tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("图")
    line = {
        "to": CITY, "kind": "special", "title": "一行", "body": "文", "attach": "map.txt",
        "reviewer": key(lab, "陈静"), "issuer": key(lab, "周敏"),
    }  # fmt: skip
    unsigned = {name: line[name] for name in ("to", "kind", "title")}
    lines = tmp_path / "lines.jsonl"
    bare = {**line, "attachments": [{"name": "a.txt", "data": "5Zu+"}]}
    odd = {**line, "attachments": [{"name": "a.txt", "data": "%"}]}
    lines.write_text("\n".join(json.dumps(one) for one in (line, unsigned, bare, odd)))
    said = lab.relay(COUNTY, "send", "--jsonl", str(lines), *passphrase(lab))
    first, second, third, fourth = (json.loads(one) for one in said.out.splitlines())
    assert (first["exit"], second["code"], third["exit"], said.exit) == (0, "NO_REVIEWER", 0, 65)
    assert (fourth["code"], fourth["field"]) == ("BAD_FIELD", "attachments")
    assert [one["role"] for one in shown(lab, first["id"])["signatures"]] == ["office", "reviewer", "issuer"]
    persons = ("--reviewer", key(lab, "王主任", CITY), *passphrase(lab))
    forwarded = lab.relay(CITY, "forward", first["id"], "--to", PROVINCE, *persons).one()
    found = shown(lab, forwarded["id"], PROVINCE)
    assert [(one["by"], one["verified"]) for one in found["signatures"]] == [(CITY, True), ("王主任", True)]
    inner = found["original"]
    assert inner["verified"] is True
    assert [(one["by"], one["verified"]) for one in inner["signatures"]] == [
        (COUNTY, True), ("陈静", True), ("周敏", True),
    ]  # fmt: skip


def test_g07_a_clerk_signs_with_a_key_and_the_receipt_says_so(lab: Network, tmp_path: Path) -> None:
    message = lab.send(COUNTY, CITY, "签收")
    until(lambda: any(one["id"] == message for one in lab.inbox(CITY)))
    signing = ("sign-for", message[:18], "--by", "李处长", *passphrase(lab))
    for wrong in (key(lab, "王主任", CITY), key(lab, "陈静")):
        said = lab.relay(CITY, *signing, "--key", wrong)
        assert (said.exit, said.error()["code"]) == (65, "BAD_SIGNATURE")
    assert lab.inbox(CITY)[-1]["state"] == "new"
    signed = lab.relay(CITY, *signing, "--key", key(lab, "李处长", CITY)).one()
    assert (signed["state"], signed["by"], signed["mode"]) == ("signed_for", "李处长", "person_signed")
    assert lab.relay(CITY, *signing, "--key", key(lab, "李处长", CITY)).one() == signed | {"repeated": True}
    lab.wait_state(COUNTY, message, "signed_for")
    (recipient,) = lab.track(COUNTY, message)["recipients"]
    assert {"mode": "person_signed", "person": "李处长"}.items() <= recipient["events"][-1].items()
    file = tmp_path / "signed.evidence"
    lab.relay(COUNTY, "evidence", message, "-o", str(file)).one()
    receipts = lab.relay(COUNTY, "verify", str(file)).one()["receipts"]
    assert [(one["mode"], one["ok"]) for one in receipts if one["type"] == "signed_for"] == [("person_signed", True)]


def test_g14_a_person_is_revoked_across_the_network_and_what_was_before_stands(lab: Network) -> None:
    """Refused at the source from then on; what was approved since and had come is marked, what was before is not."""
    both = {"reviewer": key(lab, "陈静"), "issuer": key(lab, "周敏")}
    before = special(lab, **both).one()["id"]
    shown(lab, before)
    since = time_text(time.time_ns() // 1000)
    marked = special(lab, **both).one()["id"]
    shown(lab, marked)
    administrator = ("--home", str(lab.lab / "root"), "keys")
    revoke = ("person", "revoke", "陈静", "--office", COUNTY, "--since", since, "--reason", "钥匙丢失")
    assert lab.command(*administrator, *revoke, "--json").one()["state"] == "done"
    assert lab.command(*administrator, "publish", "--json").exit == 0
    until(lambda: special(lab, **both).exit == 65, 20)
    assert special(lab, **both).error()["code"] == "REVOKED"
    flags = {one["id"]: one["flags"] for one in lab.inbox(CITY)}
    until(lambda: "doubted" in {one["id"]: one["flags"] for one in lab.inbox(CITY)}[marked], 20)
    assert "doubted" not in flags[before]
    found = shown(lab, marked)["signatures"]
    assert [(one["by"], one["verified"], one.get("code")) for one in found[1:]] == [
        ("陈静", False, "REVOKED"), ("周敏", True, None),
    ]  # fmt: skip
    assert all(one["verified"] for one in shown(lab, before)["signatures"])
