"""Approvals: any changed field spoils them, and the rules hold in every combination (CONTRACT section 5, G10, G14)."""

import itertools
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.approvals import Approver, approvers_of, objection_to
from keys.primitives import SigningKey
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey, OfficeRecord, Person
from keys.signing import APPROVAL, sign_record
from protocol.approval import Approval, decode_approval, differs, encode_approval, subject_digest, subject_of
from protocol.content import Content
from protocol.ids import Address, Digest, MessageId, NetworkId, OfficeId
from protocol.limits import CLOCK_AHEAD_US
from tests import strategies as some
from tests.world import (
    COUNTY,
    DAY_US,
    DIRECTORY,
    ISSUER_KEY,
    NETWORK,
    NOW_US,
    PROVINCE,
    PROVINCE_ADDRESS,
    REVIEWER_KEY,
    make_approval,
    make_content,
    seed,
)

NOT_SIGNED = {"sender_address", "directory_version", "approvals"}
"""What the office adds by itself: its address of the day, the directory it used, and the approvals."""
TIMES = {"created_us", "expires_us", "deadline_us"}


def written(content: Content, **changes: Any) -> Approval:
    """An approval of a content as its author wrote it, without groups."""
    life_us = content.expires_us - content.created_us
    within_us = None if content.deadline_us is None else content.deadline_us - content.created_us
    said: dict[str, Any] = {
        "life_us": life_us, "within_us": within_us if 0 <= (within_us or 0) <= life_us else None,
        "network": content.network, "office": content.sender, "id": content.id, "at_us": content.created_us,
        "to": content.to, "cc": content.cc, "subject": subject_digest(subject_of(content)),
    }  # fmt: skip
    return make_approval(content, **{**said, **changes})


@given(some.contents(), some.contents(), st.sampled_from(sorted(f.name for f in fields(Content))))
def test_g10_an_approval_is_of_this_content_and_of_no_other(one: Content, other: Content, field: str) -> None:
    one = replace(one, groups=())
    approval = written(one)
    assert differs(approval, one, str) is None
    changed = replace(one, **{field: getattr(other, field)})
    if field in NOT_SIGNED or getattr(changed, field) == getattr(one, field):
        assert differs(approval, changed, str) is None
    elif field == "salt_digest":
        # It is bound by the digests in it, which `check_commitments` compares with what came.
        assert differs(approval, changed, str) is None
    elif field == "deadline_us" and approval.within_us is None:
        assert differs(approval, changed, str) is None
    elif field == "cc":
        copied = one.kind.startswith("incident_") and changed.cc[: len(one.cc)] == one.cc
        assert (differs(approval, changed, str) is None) is (copied and len(changed.cc) == len(one.cc) + 1)
    else:
        assert differs(approval, changed, str) is not None


@given(some.contents(), st.data())
def test_g10_a_changed_byte_of_an_approval_spoils_it(content: Content, data: st.DataObject) -> None:
    content = replace(content, network=NETWORK, sender=COUNTY, groups=(), created_us=NOW_US, expires_us=NOW_US + 1)
    content = replace(content, deadline_us=None, to=content.to or (PROVINCE_ADDRESS,))
    good = sign_record(REVIEWER_KEY, APPROVAL, encode_approval(written(content)))
    assert approvers_of(replace(content, approvals=(good,)), DIRECTORY)[0].code is None
    bad = data.draw(some.mutations(good))
    if bad != good:
        assert approvers_of(replace(content, approvals=(bad,)), DIRECTORY)[0].code is not None


ADDRESSES = [Address("320000-GO"), Address("320900-GO"), Address("320924-GO"), Address("320700-GO")]
NAMES = [*ADDRESSES, "@cities", "@all"]


@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
    st.lists(st.sampled_from(ADDRESSES), max_size=4, unique=True).map(tuple),
    st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True).map(tuple),
    st.lists(st.sampled_from(["@cities", "@all"]), max_size=3).map(tuple),
    st.sampled_from(["report", "incident_first"]),
)
def test_g10_the_audience_is_the_one_that_was_written(
    to: list[str], cc: list[str], sent_to: tuple[Address, ...], sent_cc: tuple[Address, ...], groups: Any, kind: str
) -> None:
    content = make_content(to=sent_to, cc=sent_cc, groups=groups, kind=kind)
    approval = make_approval(content, to=tuple(to), cc=tuple(cc))
    named = [name for name in (*to, *cc) if name.startswith("@")]
    if named:
        same = tuple(named) == groups and {name for name in (*to, *cc) if name[0] != "@"} <= {*sent_to, *sent_cc}
    else:
        more = list(sent_cc[len(cc) :])
        same = groups == () and sent_to == tuple(to) and list(sent_cc) == [*cc, *more]
        same = same and len(more) <= (kind == "incident_first")
    assert (differs(approval, content, str) is None) is same


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"network": NetworkId(bytes(16))}, "office"),
        ({"sender": PROVINCE}, "office"),
        ({"id": MessageId(bytes(16))}, "id"),
        ({"thread": MessageId(bytes(16))}, "content"),
        ({"reply_to": MessageId(bytes(16))}, "content"),
        ({"original_digest": Digest(bytes(32))}, "content"),
        ({"to": (Address("320700-GO"),)}, "recipients"),
        ({"cc": ()}, "recipients"),
        ({"expires_us": NOW_US + 3 * DAY_US + 1}, "expires_in"),
        ({"deadline_us": NOW_US + DAY_US + 1}, "deliver_within"),
        ({"deadline_us": NOW_US - DAY_US}, "deliver_within"),
    ],
)
def test_g10_what_differs_is_named_in_a_word(changes: dict[str, Any], word: str) -> None:
    content = make_content(deadline_us=NOW_US + DAY_US)
    approval = written(content)
    assert differs(approval, content, str) is None
    assert differs(approval, replace(content, **changes), str) == word


def test_g10_an_approval_may_be_ahead_by_as_much_as_clocks_may() -> None:
    content = make_content()
    assert differs(written(content, at_us=NOW_US + CLOCK_AHEAD_US), content, str) is None
    assert differs(written(content, at_us=NOW_US + CLOCK_AHEAD_US + 1), content, str) == "time"


@pytest.mark.parametrize(("kind", "copies"), [("incident_first", 1), ("report", 0)])
def test_g10_the_network_adds_one_copy_of_an_incident_and_none_of_anything_else(kind: str, copies: int) -> None:
    content = make_content(kind=kind, cc=())
    approval = written(content)
    for more in range(4):
        added = replace(content, cc=tuple(ADDRESSES[:more]))
        assert differs(approval, added, str) == (None if more <= copies else "recipients")


@pytest.mark.parametrize("groups", [("@cities",), ("@all", "@cities")])
def test_g10_a_group_may_add_nobody(groups: tuple[str, ...]) -> None:
    content = make_content(cc=(), groups=groups)
    assert differs(written(content, to=(*content.to, *groups)), content, str) is None
    assert differs(written(content, to=(*ADDRESSES, *groups)), content, str) == "recipients"


KEYS = {name: SigningKey.from_seed(seed(name)) for name in ("one", "two", "three")}
ROLES_HELD = (("reviewer",), ("issuer",), ("clerk",), ("reviewer", "issuer"))
VALIDITY = {
    None: (NOW_US - DAY_US, NOW_US + DAY_US, None),
    "EXPIRED": (NOW_US - 2 * DAY_US, NOW_US - DAY_US, None),
    "REVOKED": (NOW_US - DAY_US, NOW_US + DAY_US, NOW_US - 1),
    "later": (NOW_US - DAY_US, NOW_US + DAY_US, NOW_US + 1),
}
"""By the code that a signature of now earns; revoked since tomorrow is as good as not."""
SIGNER = st.tuples(st.sampled_from(["one", "two", "three"]), st.sampled_from(["reviewer", "issuer"]))


def person(name: str, roles: tuple[str, ...], validity: str | None) -> Person:
    begins, ends, since = VALIDITY[validity]
    made = Person.of(name, roles, KEYS[name].public(), begins, ends)
    return replace(made, revoked_since_us=since)


def office_of(persons: list[Person], elsewhere: list[Person], rules: Rules) -> Directory:
    """The county with its persons, and another office with the rest."""
    offices = [replace(DIRECTORY.offices[COUNTY], parent=None, persons=tuple(persons))]
    key = OfficeKey.of(SigningKey.from_seed(seed("elsewhere")).public(), 0, NOW_US + DAY_US)
    offices.append(
        OfficeRecord(
            OfficeId(bytes(16)), PROVINCE_ADDRESS, "else", "province", None, None, (), (key,), tuple(elsewhere)
        )
    )
    return Directory(NETWORK, "lab", 7, NOW_US, {office.id: office for office in offices}, rules)


def expected(
    signers: list[tuple[str, str]], held: dict[str, tuple[tuple[str, ...], str | None, bool]], rules: Rules
) -> set[str] | None:
    """The model: the codes with which a report may be refused, None when it goes."""
    at_home = [name for name, _ in signers if held[name][2]]
    if len(set(at_home)) != len(at_home):
        return {"SAME_PERSON"}
    codes = set()
    for name, role in signers:
        roles, validity, here = held[name]
        if not here or role not in roles:
            codes.add("WRONG_ROLE")
        elif validity in ("EXPIRED", "REVOKED"):
            codes.add(validity)
    if codes:
        return codes
    roles_signed = {role for _, role in signers}
    if rules.require_reviewer and "reviewer" not in roles_signed:
        return {"NO_REVIEWER"}
    if rules.require_issuer and "issuer" not in roles_signed:
        return {"NO_ISSUER"}
    return None


@given(
    st.lists(SIGNER, max_size=4),
    st.tuples(
        *(st.tuples(st.sampled_from(ROLES_HELD), st.sampled_from(list(VALIDITY)), st.booleans()) for _ in range(3))
    ),
    st.booleans(),
    st.booleans(),
)
def test_g10_the_rules_in_every_combination(
    signers: list[tuple[str, str]], standing: Any, needs_reviewer: bool, needs_issuer: bool
) -> None:
    held = dict(zip(KEYS, standing, strict=True))
    kinds = frozenset({"incident_first"})
    rules = Rules(kinds if needs_reviewer else frozenset(), kinds if needs_issuer else frozenset())
    persons = {name: person(name, roles, validity) for name, (roles, validity, _) in held.items()}
    home = [one for name, one in persons.items() if held[name][2]]
    away = [one for name, one in persons.items() if not held[name][2]]
    content = make_content()
    approvals = tuple(
        sign_record(KEYS[name], APPROVAL, encode_approval(make_approval(content, role=role))) for name, role in signers
    )
    objection = objection_to(replace(content, approvals=approvals), office_of(home, away, rules))
    wanted = expected(signers, held, rules)
    assert (objection is None) is (wanted is None)
    if objection is not None and wanted is not None:
        assert objection.code in wanted
        assert objection.field in ("reviewer", "issuer")


@pytest.mark.parametrize(
    ("signed_us", "created_us", "code"),
    [
        (-2, -1, None),
        (-2, 0, "REVOKED"),  # dated back by the thief: the office wrote it later, and is the witness
        (0, 0, "REVOKED"),
        (-2, DAY_US, "REVOKED"),
        (1, -1, "REVOKED"),
        (-1, -CLOCK_AHEAD_US - 2, "BAD_SIGNATURE"),  # signed more than clocks may differ after it was written
    ],
)
def test_g14_a_revoked_person_signed_before_since_only_if_the_office_wrote_before(
    signed_us: int, created_us: int, code: str | None
) -> None:
    revoked = replace(person("one", ("reviewer",), None), revoked_since_us=NOW_US)
    content = make_content(created_us=NOW_US + created_us, expires_us=NOW_US + 2 * DAY_US)
    approval = make_approval(content, at_us=NOW_US + signed_us)
    carried = replace(content, approvals=(sign_record(KEYS["one"], APPROVAL, encode_approval(approval)),))
    (found,) = approvers_of(carried, office_of([revoked], [], Rules()))
    assert found.code == code
    assert (found.name, found.role) == ("one", "reviewer")


def test_who_approved_is_told_in_order_and_junk_for_what_it_is() -> None:
    content = make_content()
    reviewer = sign_record(REVIEWER_KEY, APPROVAL, encode_approval(make_approval(content)))
    issuer = sign_record(ISSUER_KEY, APPROVAL, encode_approval(make_approval(content, role="issuer")))
    found = approvers_of(replace(content, approvals=(reviewer, b"junk", issuer)), DIRECTORY)
    assert [(one.name, one.role, one.code) for one in found] == [
        ("陈静", "reviewer", None),
        ("", "signatures", "BAD_SIGNATURE"),
        ("周敏", "issuer", None),
    ]
    assert found[0] == Approver("陈静", "reviewer", NOW_US - 60_000_000)


@pytest.mark.parametrize(("kind", "role"), list(itertools.product(["report", "special"], ["reviewer", "issuer"])))
def test_a_kind_that_needs_nobody_goes_with_anybody(kind: str, role: str) -> None:
    content = make_content(kind=kind, event_level="II")
    key = REVIEWER_KEY if role == "reviewer" else ISSUER_KEY
    record = sign_record(key, APPROVAL, encode_approval(make_approval(content, role=role)))
    assert objection_to(replace(content, approvals=(record,)), DIRECTORY) is None
    assert decode_approval(encode_approval(make_approval(content, role=role))).role == role


def test_an_office_that_was_renamed_may_be_named_as_it_was() -> None:
    """The author's relay follows it to its new address, and the approval still is of the same recipient."""
    province = replace(DIRECTORY.offices[PROVINCE], address=Address("320001-GO"), former=(PROVINCE_ADDRESS,))
    renamed = replace(DIRECTORY, offices={**DIRECTORY.offices, PROVINCE: province})
    content = make_content(to=(province.address,))
    record = sign_record(REVIEWER_KEY, APPROVAL, encode_approval(make_approval(content, to=(PROVINCE_ADDRESS,))))
    assert objection_to(replace(content, approvals=(record,)), renamed) is None
    objection = objection_to(replace(content, approvals=(record,)), DIRECTORY)
    assert objection is not None
    assert objection.code == "BAD_SIGNATURE"
