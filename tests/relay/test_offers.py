"""What publishers of trust files can make us remember is bounded (G13)."""

import pytest

from protocol.errors import RemoteError
from protocol.ids import Address
from relay.offers import BYTES_MAX, FILES_MAX, STRANGERS_MAX, TOTAL_BYTES_MAX, Offers, Source


def sizes(offers: Offers) -> list[int]:
    return [sum(map(len, files.values())) for _, files in offers]


def test_g13_offered_trust_is_bounded_for_each_publisher_and_for_all() -> None:
    offers = Offers()
    for office in range(40):
        for name in ("a.json", "b.json", "c.json"):
            publisher = Source("b", Address(f"3209{office:02}-GO"))
            assert offers.take(publisher, name, bytes(BYTES_MAX // 2 - office), lambda _: True)
            assert max(sizes(offers)) <= BYTES_MAX
            assert sum(sizes(offers)) <= TOTAL_BYTES_MAX
    publishers = [source.publisher for source, _ in offers]
    assert publishers[-1] == "320939-GO"
    assert STRANGERS_MAX < len(publishers) < 40


def test_g13_files_and_strangers_are_counted() -> None:
    offers = Offers()
    for number in range(3 * FILES_MAX):
        offers.take(Source("b", Address("320000-GO")), f"{number}.json", b"x", lambda _: True)
        assert len(next(iter(offers))[1]) <= FILES_MAX
    for number in range(STRANGERS_MAX):
        offers.take(Source("b", Address(f"32090{number}-GO")), "a.json", b"x", lambda one: one == "320000-GO")
    with pytest.raises(RemoteError, match="UNKNOWN_OFFICE"):
        offers.take(Source("b", Address("320909-GO")), "a.json", b"x", lambda one: one == "320000-GO")
    assert not offers.take(Source("b", Address("320901-GO")), "a.json", b"x", lambda one: one == "320000-GO"), (
        "nothing new"
    )
    # Another broker has strangers of its own.
    assert offers.take(Source("c", Address("320909-GO")), "a.json", b"x", lambda one: one == "320000-GO")


def test_g13_g14_a_broker_that_fills_the_room_forgets_its_own_first() -> None:
    offers = Offers()
    offers.take(Source("honest", Address("320000-GO")), "a.json", b"x", lambda _: True)
    for office in range(40):
        offers.take(Source("b", Address(f"3209{office:02}-GO")), "a.json", bytes(BYTES_MAX), lambda _: True)
        assert sum(sizes(offers)) <= TOTAL_BYTES_MAX
    assert Source("honest", Address("320000-GO")) in [source for source, _ in offers]
