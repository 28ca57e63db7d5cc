"""What publishers of trust files can make us remember is bounded (G13)."""

import pytest

from protocol.errors import RemoteError
from protocol.ids import Address
from relay.offers import BYTES_MAX, FILES_MAX, STRANGERS_MAX, TOTAL_BYTES_MAX, Offers


def sizes(offers: Offers) -> list[int]:
    return [sum(map(len, files.values())) for _, files in offers]


def test_g13_offered_trust_is_bounded_for_each_publisher_and_for_all() -> None:
    offers = Offers()
    for office in range(40):
        for name in ("a.json", "b.json", "c.json"):
            publisher = Address(f"3209{office:02}-GO")
            assert offers.take(publisher, name, bytes(BYTES_MAX // 2 - office), lambda _: True)
            assert max(sizes(offers)) <= BYTES_MAX
            assert sum(sizes(offers)) <= TOTAL_BYTES_MAX
    publishers = [publisher for publisher, _ in offers]
    assert publishers[-1] == "320939-GO"
    assert STRANGERS_MAX < len(publishers) < 40


def test_g13_files_and_strangers_are_counted() -> None:
    offers = Offers()
    for number in range(3 * FILES_MAX):
        offers.take(Address("320000-GO"), f"{number}.json", b"x", lambda _: True)
        assert len(next(iter(offers))[1]) <= FILES_MAX
    for number in range(STRANGERS_MAX):
        offers.take(Address(f"32090{number}-GO"), "a.json", b"x", lambda one: one == "320000-GO")
    with pytest.raises(RemoteError, match="UNKNOWN_OFFICE"):
        offers.take(Address("320909-GO"), "a.json", b"x", lambda one: one == "320000-GO")
    assert not offers.take(Address("320901-GO"), "a.json", b"x", lambda one: one == "320000-GO"), "nothing new"
