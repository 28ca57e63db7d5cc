"""Which presence replaces which: a crash must be seen, a replay must not."""

from dataclasses import replace

from hypothesis import assume, given
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


@given(some.presences, some.moments(), times, times)
def test_g12_the_later_start_counts_whatever_the_clocks_say(presence, moment, one_us, other_us):
    before = replace(presence, at_us=one_us)
    began = before.moment.commits + 1
    after = replace(presence, moment=replace(moment, began=began, commits=began), session=0, at_us=other_us)
    assume(after.moment.start != before.moment.start)
    assert is_newer(after, before)
    assert not is_newer(before, after)
    assert is_newer(before, None)
