"""D8, D9: what a broker lets one office do, checked against every topic there is."""

import re

from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import Address
from protocol.lanes import GROUPS, Lane
from protocol.topics import (
    PREFIX,
    TIMESTAMPS,
    frame_topic,
    own_records,
    prekey_topic,
    presence_topic,
    subscriptions,
    trust_topic,
)
from relay.brokers.grants import grants_of
from relay.brokers.nats import subject
from relay.brokers.rabbitmq import read_pattern

addresses = st.from_regex(r"[0-9]{6}([0-9]{3})?-[A-Z]{1,2}[0-9]{0,4}", fullmatch=True).map(Address)
files = st.sampled_from(["1.root.json", "roster.cbor", "timestamp.json"])


def matches(text: str, topic: str) -> bool:
    wanted, given_ = text.split("/"), topic.split("/")
    return len(wanted) == len(given_) and all(want in {"+", step} for want, step in zip(wanted, given_, strict=True))


def allowed(texts: tuple[str, ...], topic: str) -> bool:
    return any(matches(text, topic) for text in texts)


@given(addresses, addresses, addresses, st.sampled_from(Lane), st.sampled_from(GROUPS), files)
def test_d08_an_office_publishes_as_itself_only(
    office: Address, other: Address, third: Address, lane: Lane, group: str, file: str
) -> None:
    publish = grants_of(office).publish
    for topic, author in (
        (frame_topic(third, lane, other), other),
        (presence_topic(other, group), other),
        (prekey_topic(other, third), other),
        (trust_topic(other, file), other),
    ):
        assert allowed(publish, topic) == (author == office)
    # A publisher's name in the place of a sender must not open another publisher's topics.
    assert allowed(publish, prekey_topic(other, office)) == (other == office)


@given(addresses, addresses, addresses, st.sampled_from(Lane), st.sampled_from(GROUPS), files)
def test_d08_an_office_reads_its_own_frames_and_what_is_for_all(
    office: Address, other: Address, third: Address, lane: Lane, group: str, file: str
) -> None:
    read = grants_of(office).read
    assert allowed(read, frame_topic(other, lane, third)) == (other == office)
    for topic in (presence_topic(other, group), prekey_topic(other, third), trust_topic(other, file)):
        assert allowed(read, topic)


@given(addresses)
def test_every_subscription_is_granted_as_it_is_written(office: Address) -> None:
    read = grants_of(office).read
    heard = {text for group in GROUPS for text in subscriptions(office, group)}
    # Of trust an office hears the timestamps only, and asks for the other files when there is something newer.
    assert heard == {*read, TIMESTAMPS} - {f"{PREFIX}/trust/+/+"}
    assert allowed(read, TIMESTAMPS.replace("+", office))
    for text in (*read, *grants_of(office).publish):
        assert "." not in text
        assert " " not in text
        assert subject(text).count(".") == text.count("/")


@given(addresses, addresses)
def test_what_is_asked_for_by_name_is_what_the_wildcards_mean(office: Address, other: Address) -> None:
    wildcards = subscriptions(office, "slow")
    for topic in own_records(other):
        assert allowed(wildcards, topic)
        assert allowed(grants_of(other).publish, topic)
        assert re.search(read_pattern(office), topic.replace("/", "."))
