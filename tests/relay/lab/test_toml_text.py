"""TOML that we write says what we meant, to the reader of the standard library."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Refused
from relay.lab.toml_text import merged, toml_text

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
trees = st.dictionaries(text, values, max_size=4)


@given(trees)
def test_what_is_written_is_read_again(tree: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(tree)) == tree


@given(trees, trees)
def test_a_merge_has_everything_and_the_second_wins(base: dict[str, Any], over: dict[str, Any]) -> None:
    result = merged(base, over)
    assert set(result) == set(base) | set(over)
    assert merged(result, over) == result
    for name, value in over.items():
        assert result[name] == value or isinstance(value, dict)


def test_a_date_is_no_setting() -> None:
    with pytest.raises(Refused, match="no setting"):
        toml_text(tomllib.loads("day = 2026-01-01"))
