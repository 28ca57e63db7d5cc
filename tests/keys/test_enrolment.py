"""Enrolment requests: what is made verifies, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import tls
from keys.enrol.enrolment import (
    REQUEST_BYTES,
    EnrolmentRequest,
    make_request,
    parse_request,
    verify_in_force,
    verify_request,
)
from keys.mldsa import SecondKey
from keys.primitives import SigningKey
from protocol import cbor
from protocol.errors import RemoteError
from tests import strategies as some
from tests.enrolling import ADDRESS, IDENTITY, NONCE, OTHER_TLS_KEY, SECOND, TLS_KEY, request, wanted
from tests.world import COUNTY_KEY, DAY_US, NOW_US, STRANGER_KEY, seed

GOOD = request()


def renewal(**changes: object) -> EnrolmentRequest:
    """A renewal that the county's key vouches for."""
    return make_request(wanted(kind="renew", **changes), IDENTITY, SECOND, COUNTY_KEY)


def code_of(data: bytes, now_us: int = NOW_US) -> str:
    """The code with which these bytes are refused."""
    with pytest.raises(RemoteError) as caught:
        verify_request(data, now_us)
    return caught.value.code


def test_what_is_made_verifies_and_says_the_same() -> None:
    assert verify_request(GOOD.data, NOW_US) == wanted() == parse_request(GOOD.data)
    assert verify_request(GOOD.data, NOW_US - 4 * 60_000_000) == wanted()
    assert renewal().in_force == COUNTY_KEY.key_id()


@given(st.data())
def test_g10_any_changed_byte_of_a_request_is_refused(data: st.DataObject) -> None:
    bent = data.draw(some.mutations(GOOD.data))
    if bent != GOOD.data:
        with pytest.raises(RemoteError):
            verify_request(bent, NOW_US)


@given(st.binary(max_size=300))
def test_junk_is_no_request(junk: bytes) -> None:
    assert code_of(junk) in ("MALFORMED", "BAD_VERSION", "TOO_LARGE")


@given(st.sampled_from(["record", "second", "certificate"]), st.integers(0, 2**20))
def test_g10_every_key_that_a_request_names_must_have_been_there(which: str, number: int) -> None:
    """The parts of two honest requests, of one office and time, put together anew."""
    other = SigningKey.from_seed(seed(f"other {number}"))
    second = SecondKey.from_seed(seed(f"other {number}, second"))
    certificate = tls.make_request(OTHER_TLS_KEY, ADDRESS, seed(f"other {number}, nonce")[:16])
    mine = cbor.loads(GOOD.data, max_bytes=REQUEST_BYTES)
    if which == "record":
        theirs = make_request(wanted(identity=other.public(), second=second.public()), other, second)
        mixed = cbor.dumps([cbor.loads(theirs.data, max_bytes=REQUEST_BYTES)[0], *mine[1:]])
        assert code_of(mixed) == "BAD_SIGNATURE"
    elif which == "second":
        theirs = make_request(wanted(second=second.public()), IDENTITY, second)
        mixed = cbor.dumps([mine[0], cbor.loads(theirs.data, max_bytes=REQUEST_BYTES)[1], None])
        assert code_of(mixed) == "BAD_SIGNATURE"
    else:
        assert code_of(request(tls_request=certificate).data) == "MALFORMED"


def test_a_request_is_of_its_time() -> None:
    assert code_of(GOOD.data, NOW_US - DAY_US) == "NOT_YET"
    assert code_of(GOOD.data, GOOD.expires_us) == "EXPIRED"
    assert code_of(GOOD.data, NOW_US + 365 * DAY_US) == "EXPIRED"
    assert code_of(request(expires_us=NOW_US + 91 * DAY_US).data) == "BAD_LIFE"


def test_a_renewal_is_vouched_for_by_the_key_in_force_and_by_no_other() -> None:
    made = verify_request(renewal().data, NOW_US)
    verify_in_force(made, COUNTY_KEY.public())
    with pytest.raises(RemoteError, match="BAD_SIGNATURE"):
        verify_in_force(made, STRANGER_KEY.public())
    nonce = seed("another nonce")[:16]
    elsewhere = renewal(nonce=nonce, tls_request=tls.make_request(TLS_KEY, ADDRESS, nonce))
    other = cbor.loads(elsewhere.data, max_bytes=REQUEST_BYTES)
    mine = cbor.loads(made.data, max_bytes=REQUEST_BYTES)
    moved = verify_request(cbor.dumps([*mine[:2], other[2]]), NOW_US)
    with pytest.raises(RemoteError, match="another request"):
        verify_in_force(moved, COUNTY_KEY.public())
    with pytest.raises(RemoteError, match="no key in force"):
        verify_in_force(GOOD, COUNTY_KEY.public())


def test_a_request_is_not_made_with_other_keys_than_it_names() -> None:
    with pytest.raises(ValueError, match="keys that it names"):
        make_request(wanted(), STRANGER_KEY, SECOND)
    with pytest.raises(ValueError, match="in force"):
        make_request(wanted(), IDENTITY, SECOND, COUNTY_KEY)
    with pytest.raises(ValueError, match="in force"):
        make_request(wanted(kind="renew"), IDENTITY, SECOND)
    assert tls.read_request(wanted().tls_request).nonce == NONCE
