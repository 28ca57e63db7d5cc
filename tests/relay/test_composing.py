"""What acceptance refuses and how it reads recipients (CONTRACT sections 3, 5 and 11)."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import Messages
from keys.primitives import SigningKey
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey, OfficeRecord
from keys.roster.reorganisation import Reform, reorganise
from protocol.errors import Refused
from protocol.ids import Address, OfficeId
from protocol.lanes import KINDS, Lane
from relay.composing import Desk, compose
from relay.draft import Draft, fingerprint
from relay.identity import Identity
from relay.store.sent import Prepared
from tests.world import (
    CITY,
    CITY_ADDRESS,
    COUNTY,
    COUNTY_ADDRESS,
    COUNTY_KEY,
    DAY_US,
    EPOCH,
    NOW_US,
    PROVINCE_ADDRESS,
    REVOKED,
    REVOKED_ADDRESS,
    make_directory,
    seed,
)

SCREENED: Final = OfficeId(seed("screened id")[:16])
SCREENED_ADDRESS: Final = Address("320923-GO")
SCREENED_KEY: Final = SigningKey.from_seed(seed("screened"))
ID: Final = "0198f000-0000-7000-8000-000000000001"


def directory(rules: Rules | None = None, **groups: tuple[OfficeId, ...]) -> Directory:
    """The usual offices and a second county, which may not report to the province itself."""
    usual = make_directory()
    screened = OfficeRecord(
        SCREENED, SCREENED_ADDRESS, "阜宁县人民政府办公室", "county", CITY, "screened", ("yancheng",),
        (OfficeKey.of(SCREENED_KEY.public(), NOW_US - DAY_US, NOW_US + DAY_US),),
    )  # fmt: skip
    named = {f"@{name}": members for name, members in groups.items()}
    return replace(usual, offices={**usual.offices, SCREENED: screened}, rules=rules or usual.rules, groups=named)


def made(found: Directory | None = None, sender: OfficeId = COUNTY, **fields: Any) -> Prepared:
    """What becomes of a draft with these fields."""
    known = found or directory()
    record = known.by_id(sender)
    assert record is not None
    key = COUNTY_KEY if sender == COUNTY else SCREENED_KEY
    desk = Desk(Identity(sender, key, EPOCH, 1), record, known, Messages(), NOW_US)
    draft = Draft(**{"id": ID, "to": PROVINCE_ADDRESS, "title": "关于汛情的报告", **fields})
    return compose(draft, desk, bytes(16))[0]


def refusal(found: Directory | None = None, sender: OfficeId = COUNTY, **fields: Any) -> tuple[str, str | None]:
    """Code and field of the refusal."""
    with pytest.raises(Refused) as caught:
        made(found, sender, **fields)
    return caught.value.code, caught.value.field


def addresses(prepared: Prepared) -> list[str]:
    return [one.address for one in prepared.addressees]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"to": "320999-GO"}, "UNKNOWN_RECIPIENT", "to"),
        ({"to": "@nobody"}, "UNKNOWN_RECIPIENT", "to"),
        ({"cc": ["@nobody"]}, "UNKNOWN_RECIPIENT", "cc"),
        ({"to": "32-GO"}, "BAD_FIELD", "to"),
        ({"to": COUNTY_ADDRESS}, "BAD_FIELD", "to"),
        ({"to": []}, "BAD_FIELD", "to"),
        ({"to": "@departments"}, "BAD_FIELD", "to"),
        ({"cc": PROVINCE_ADDRESS}, "BAD_FIELD", "cc"),
        ({"to": REVOKED_ADDRESS}, "REVOKED", "to"),
        ({"classification": "juemi"}, "CLASSIFIED", "classification"),
        ({"classification": "机密★20年", "to": "32-GO"}, "CLASSIFIED", "classification"),
        ({"classification": "public"}, "BAD_FIELD", "classification"),
        ({"urgency": "flash"}, "LANE_NOT_ALLOWED", "urgency"),
        ({"urgency": "flash", "kind": "incident_first", "event_level": "III"}, "LANE_NOT_ALLOWED", "urgency"),
        ({"urgency": "sofort"}, "BAD_FIELD", "urgency"),
        ({"title": "字" * 101}, "BAD_FIELD", "title"),
        ({"title": "一\n二"}, "BAD_FIELD", "title"),
        ({"body": "\x07"}, "BAD_FIELD", "body"),
        ({"expires_in": "46d"}, "BAD_FIELD", "expires_in"),
        ({"expires_in": "0s"}, "BAD_FIELD", "expires_in"),
        ({"id": ID.upper()}, "BAD_FIELD", "id"),
        ({"occurred_at": "2026-11-23T08:00:00"}, "BAD_FIELD", "occurred_at"),
    ],
)
def test_what_is_wrong_is_refused_with_its_code_and_field(fields: dict[str, Any], code: str, field: str) -> None:
    assert refusal(**fields) == (code, field)


@given(st.sampled_from(KINDS), st.sampled_from([None, "I", "II", "III", "IV"]))
def test_flash_is_for_incidents_and_for_levels_one_and_two(kind: str, level: str | None) -> None:
    entitled = level in ("I", "II") or (level is None and kind.startswith("incident_"))
    if entitled:
        assert made(urgency="flash", kind=kind, event_level=level).lane is Lane.FLASH
    else:
        assert refusal(urgency="flash", kind=kind, event_level=level) == ("LANE_NOT_ALLOWED", "urgency")


def test_groups_are_expanded_and_members_that_cannot_be_reached_are_named() -> None:
    found = directory(coast=(SCREENED, REVOKED, COUNTY))
    prepared = made(found, to=[CITY_ADDRESS, "@coast"], cc="@all")
    assert addresses(prepared) == [CITY_ADDRESS, SCREENED_ADDRESS, PROVINCE_ADDRESS]
    assert b'"groups":["@coast","@all"]' in prepared.answer
    assert b'"skipped":[{"to":"%s","code":"REVOKED"}]' % REVOKED_ADDRESS.encode() in prepared.answer


def test_an_office_that_was_renamed_is_written_to_by_either_name_and_the_writer_is_told() -> None:
    new = Address("321322-GO")
    reform = Reform(address=new, parent=PROVINCE_ADDRESS)
    planned = reorganise(directory(), CITY_ADDRESS, reform, NOW_US, from_us=NOW_US + DAY_US)
    after = planned.at(NOW_US + DAY_US)
    for found, name, told in (
        (planned, CITY_ADDRESS, None),
        (planned, new, CITY_ADDRESS),
        (after, CITY_ADDRESS, new),
        (after, new, None),
    ):
        prepared = made(found, to=name)
        # As it was written: so a recipient understands it that has not heard of the change yet.
        assert addresses(prepared) == [name]
        answer = json.loads(prepared.answer)
        assert answer["to"] == [name]
        assert answer.get("renamed") == (None if told is None else [{"to": name, "now": told}])
        assert refusal(found, to=[CITY_ADDRESS, new]) == ("BAD_FIELD", "to")
    assert addresses(made(after, to=["@cities"])) == [new]


def test_an_office_that_was_merged_is_no_recipient_and_its_successor_is_named() -> None:
    reform = Reform(successor=PROVINCE_ADDRESS)
    planned = reorganise(directory(listed=(CITY, SCREENED)), CITY_ADDRESS, reform, NOW_US, from_us=NOW_US + DAY_US)
    after = planned.at(NOW_US + DAY_US)
    assert addresses(made(planned, to=CITY_ADDRESS)) == [CITY_ADDRESS]
    with pytest.raises(Refused, match=f"SUCCEEDED.*{PROVINCE_ADDRESS}"):
        made(after, to=CITY_ADDRESS)
    prepared = made(after, to=["@listed"])
    assert addresses(prepared) == [SCREENED_ADDRESS]
    assert json.loads(prepared.answer)["skipped"] == [{"to": CITY_ADDRESS, "code": "SUCCEEDED"}]
    assert refusal(after, to="@cities") == ("BAD_FIELD", "to")


def test_a_group_without_anybody_who_can_be_reached_is_refused_for_that_reason() -> None:
    assert refusal(directory(gone=(REVOKED,)), to="@gone") == ("REVOKED", "to")


def test_a_screened_county_reports_through_its_city() -> None:
    assert refusal(sender=SCREENED) == ("NOT_LIAISON", "to")
    prepared = made(sender=SCREENED, to="@all")
    assert PROVINCE_ADDRESS not in addresses(prepared)
    assert b'{"to":"%s","code":"NOT_LIAISON"}' % PROVINCE_ADDRESS.encode() in prepared.answer


def test_an_incident_may_bypass_the_city_with_a_copy_to_it() -> None:
    usual = make_directory().rules
    found = directory(replace(usual, emergency_bypass="copy_city"))
    assert addresses(made(found, SCREENED, kind="incident_first")) == [PROVINCE_ADDRESS, CITY_ADDRESS]
    assert refusal(found, SCREENED, kind="report") == ("NOT_LIAISON", "to")


def test_kinds_that_need_a_person_are_refused_without_one() -> None:
    usual = make_directory().rules
    found = directory(replace(usual, require_reviewer=frozenset({"special"}), require_issuer=frozenset({"letter"})))
    assert refusal(found, kind="special") == ("NO_REVIEWER", "reviewer")
    assert refusal(found, kind="letter") == ("NO_ISSUER", "issuer")
    assert made(found, kind="report").lane is Lane.ROUTINE


def test_same_content_is_content_as_given() -> None:
    draft = Draft(id=ID, to=["320900-GO", "320000-GO"], title="t", expires_in="72h")
    assert fingerprint(draft) == fingerprint(Draft(id=ID, to=["320000-GO", "320900-GO"], title="t", expires_in="72h"))
    assert fingerprint(draft) != fingerprint(Draft(id=ID, to=["320900-GO", "320000-GO"], title="t", expires_in="3d"))
    assert fingerprint(draft) != fingerprint(draft, b"the message that a forward carries")
