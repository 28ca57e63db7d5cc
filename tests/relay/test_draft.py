"""Drafts: shapes are checked with the name of the field, and equal content has equal fingerprints."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Refused
from relay.draft import Attachment, Draft, decode_draft, fingerprint, recipients

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DRAFTS = st.builds(
    Draft,
    id=TEXT,
    to=TEXT | st.lists(TEXT, max_size=3),
    cc=TEXT | st.lists(TEXT, max_size=3),
    title=TEXT,
    body=TEXT,
    attachments=st.lists(st.builds(Attachment, name=TEXT, data=st.binary(max_size=20)), max_size=2),
    expires_in=st.none() | TEXT,
    bulk=st.booleans(),
    signatures=st.just([]),
)


@given(DRAFTS)
def test_a_draft_comes_back_from_json(draft: Draft) -> None:
    assert decode_draft(msgspec.json.encode(draft)) == draft


@given(DRAFTS, DRAFTS)
def test_fingerprints_are_equal_exactly_for_equal_content(one: Draft, two: Draft) -> None:
    def content(draft: Draft) -> dict[str, Any]:
        fields = msgspec.structs.asdict(draft)
        return {**fields, "id": "", "to": recipients(draft.to), "cc": recipients(draft.cc)}

    assert (fingerprint(one) == fingerprint(two)) == (content(one) == content(two))
    assert fingerprint(one) == fingerprint(msgspec.structs.replace(one, id="another"))
    assert fingerprint(one) != fingerprint(msgspec.structs.replace(one, body=one.body + "x"))


def test_one_recipient_equals_a_list_of_one() -> None:
    assert fingerprint(Draft(to="320000-GO")) == fingerprint(Draft(to=["320000-GO"], cc=""))


@pytest.mark.parametrize(
    ("given_here", "field"),
    [
        ({}, "to"),
        ({"to": 1}, "to"),
        ({"to": ["a", 2]}, "to[1]"),
        ({"to": "a", "bulk": "yes"}, "bulk"),
        ({"to": "a", "tittle": "x"}, "tittle"),
        ({"to": "a", "attachments": [{"name": "x", "data": "!"}]}, "attachments[0].data"),
        ({"to": "a", "attachments": [{"name": "x"}]}, "attachments[0].data"),
        ([], None),
    ],
)
def test_the_wrong_field_is_named(given_here: Any, field: str | None) -> None:
    with pytest.raises(Refused) as refused:
        decode_draft(json.dumps(given_here).encode())
    assert (refused.value.code, refused.value.field) == ("BAD_FIELD", field)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_draft_or_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="BAD_FIELD"):
        decode_draft(data)


def test_deep_nesting_is_refused() -> None:
    for data in (b"[" * 100_000, b'{"to":' * 100_000, b'{"to":' + b"[" * 100_000):
        with pytest.raises(Refused, match="BAD_FIELD"):
            decode_draft(data)
