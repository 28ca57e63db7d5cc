"""Which presence replaces which: a crash must be seen, a replay must not."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from protocol.presence import is_newer
from tests import strategies as some

times = st.integers(0, 2**50)


@given(some.presences, times, times)
def test_the_will_of_a_session_ends_it_though_it_was_signed_before(presence, signed_us, said_us):
    online = replace(presence, online=True, at_us=said_us)
    will = replace(presence, online=False, at_us=signed_us)
    assert is_newer(will, online)
    assert not is_newer(online, will)


@given(some.presences, times, times)
def test_the_will_of_an_earlier_session_ends_nothing(presence, signed_us, said_us):
    online = replace(presence, online=True, session=presence.session + 1, at_us=said_us)
    will = replace(presence, online=False, at_us=signed_us)
    assert is_newer(online, will)
    assert not is_newer(will, online)
