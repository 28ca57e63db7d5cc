"""RabbitMQ asks regular expressions over routing keys; they must say what the grants say, for every topic."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import Address
from protocol.lanes import GROUPS, Lane
from protocol.topics import frame_topic, prekey_topic, presence_topic, subscriptions, trust_topic
from relay.brokers import rabbitmq
from relay.brokers.grants import grants_of
from relay.brokers.rabbitmq import read_pattern, write_pattern
from relay.brokers.site import Site
from tests.relay.brokers.test_grants import addresses, allowed, files

levels = st.sampled_from(["relay", "1", "presence", "prekey", "trust", "flash", "bulk", "x", "", "+", "#", "$SYS", "*"])


def key(topic: str) -> str:
    """As the MQTT plugin writes a topic or filter for the exchange."""
    return topic.replace("/", ".").replace("+", "*")


@given(addresses, addresses, addresses, st.sampled_from(Lane), st.sampled_from(GROUPS), files)
def test_d08_the_pattern_of_writing_matches_what_is_granted(
    office: Address, other: Address, third: Address, lane: Lane, group: str, file: str
) -> None:
    publish, pattern = grants_of(office).publish, write_pattern(office)
    for topic in (
        frame_topic(third, lane, other),
        frame_topic(third, lane, office),
        presence_topic(other, group),
        prekey_topic(other, third),
        prekey_topic(other, office),
        trust_topic(other, file),
        trust_topic(office, file),
    ):
        assert (re.search(pattern, key(topic)) is not None) == allowed(publish, topic)
        assert re.search(pattern, key(topic) + "\n") is None
        assert re.search(pattern, "x." + key(topic)) is None


@given(addresses, addresses, st.lists(levels, max_size=6))
def test_d08_only_subscriptions_within_the_grants_are_allowed(
    office: Address, other: Address, steps: list[str]
) -> None:
    pattern = read_pattern(office)
    for group in GROUPS:
        assert all(re.search(pattern, key(text)) for text in subscriptions(office, group))
        if other != office:
            frames = [text for text in subscriptions(other, group) if text.startswith(f"relay/1/{other}/")]
            assert not any(re.search(pattern, key(text)) for text in frames)
    wild = key("/".join(steps))
    if re.search(pattern, wild):
        # A subscription that is allowed reads nothing but what is for all, or for this office.
        assert "#" not in wild
        assert wild.split(".")[2] in ("presence", "prekey", "trust", office)


@given(addresses, addresses)
def test_the_name_of_an_office_is_no_pattern_for_another(office: Address, other: Address) -> None:
    topic = key(presence_topic(other, "fast"))
    assert (re.search(write_pattern(office), topic) is not None) == (office == other)


def test_nobody_has_a_password_and_nothing_listens_but_mqtt_over_tls(tmp_path: Path) -> None:
    offices = (Address("320000-GO"), Address("320924-GO"))
    site = Site("province", tmp_path, "127.0.0.1", 8883, True, offices)
    found = json.loads(rabbitmq.definitions(site))
    assert [user["name"] for user in found["users"]] == list(offices)
    assert all(user["password_hash"] == "" and user["tags"] == [] for user in found["users"])
    assert len(found["permissions"]) == len(found["topic_permissions"]) == len(offices)
    lines = rabbitmq.configuration(site).splitlines()
    for line in ("listeners.tcp = none", "mqtt.listeners.tcp = none", "mqtt.allow_anonymous = false",
                 "ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true",
                 "mqtt.ssl_cert_login = true", "ssl_cert_login_from = common_name"):  # fmt: skip
        assert line in lines


@pytest.mark.parametrize("name", ["mqtt-subscription-fast-aBc_9qos1", "mqtt-subscription-slow-x-1a2bqos0"])
def test_queues_of_our_client_ids_are_allowed_and_others_are_not(tmp_path: Path, name: str) -> None:
    site = Site("province", tmp_path, "127.0.0.1", 8883, True, (Address("320000-GO"),))
    (permission,) = json.loads(rabbitmq.definitions(site))["permissions"]
    for act in ("configure", "write", "read"):
        assert re.search(permission[act], name)
        assert not re.search(permission[act], f"x{name}")
        assert not re.search(permission[act], f"{name}\n")
        assert (re.search(permission[act], "amq.topic") is not None) == (act != "configure")
        for other in ("amq.fanout", "amqxtopic", "queue", ""):
            assert not re.search(permission[act], other)
