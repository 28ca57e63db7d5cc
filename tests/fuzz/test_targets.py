"""The property under Hypothesis: quick, everywhere, without a fuzzer installed."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies as some
from tests.fuzz.bend import run
from tests.fuzz.targets import TARGETS, seeds, total


@cache
def beginnings(name: str) -> tuple[bytes, ...]:
    """The seeds of a target but the empty one."""
    return tuple(filter(None, seeds(name)))


@pytest.mark.parametrize("name", TARGETS)
def test_g13_every_seed_is_refused_or_has_one_form(name: str) -> None:
    for data in beginnings(name):
        total(TARGETS[name], data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60)
@given(st.data())
def test_g13_bent_bytes_are_refused_or_have_one_form(name: str, data: st.DataObject) -> None:
    good = data.draw(st.sampled_from(beginnings(name)))
    total(TARGETS[name], data.draw(some.mutations(good)))


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_begins_with_something_that_it_takes(name: str) -> None:
    """Else the fuzzer would knock on a wall: only a row has no bytes that anybody else could make."""
    taken = sum(total(TARGETS[name], data) for data in beginnings(name))
    assert taken > 0 or name == "row"


def test_g03_a_form_that_breaks_off_is_refused_wherever_it_does() -> None:
    """One that broke off in its last file was once sent without that file."""
    whole = beginnings("form")[0]
    assert [one.data for one in TARGETS["form"].decode(whole)[1]] == [b"bytes"]
    end = whole.rindex(b"--b--") + len(b"--b--")
    assert [at for at in range(end) if total(TARGETS["form"], whole[:at])] == []


def test_g03_g10_no_bent_envelope_is_accepted() -> None:
    """Some thousands here; a million by `python -m tests.fuzz.bend`."""
    tried, codes, accepted = run(7_000, seed=1)
    assert accepted == []
    assert min(tried.values()) > 900
    assert {"BAD_SIGNATURE", "BAD_DIGEST", "MALFORMED", "UNKNOWN_KEY"} <= set(codes)
