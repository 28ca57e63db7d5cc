"""Plans: what is accepted, and that every fault is named with the way out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.problems import ConfigError
from relay.lab.plan import parse_plan
from tests.relay.lab.plans import SMALL


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse_plan(text.encode())
    assert error.value.code == "BAD_PLAN"
    return [problem.text() for problem in error.value.problems]


def test_a_plan_is_read() -> None:
    plan = parse_plan(SMALL.encode())
    assert [office.address for office in plan.offices] == ["320000-GO", "320900-GO", "320924-GO"]
    assert plan.brokers[1].tls is False
    assert plan.offices[1].connect == {"province": 18855}
    assert plan.persons[0].roles == ("reviewer", "issuer")
    assert plan.groups == {"@coast": ("320924-GO",)}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('class = "county"', 'clas = "county"', "nearest known one is [[offices]] 3 class"),
        ('class = "county"', 'class = "conty"', "unknown class 'conty'; the nearest known one is county"),
        ('parent = "320900-GO"', 'parent = "320901-GO"', "nearest known one is 320900-GO"),
        ('standing = "liaison"', 'standing = "liason"', "nearest known one is liaison"),
        (
            'brokers = ["yancheng"]',
            'brokers = ["yanchen"]',
            "unknown broker 'yanchen'; the nearest known one is yancheng",
        ),
        ('address = "320924-GO"', 'address = "320900-GO"', "320900-GO is there twice"),
        ('address = "320924-GO"', 'address = "county"', "not an address"),
        ('engine = "nats"', 'engine = "rabbitmq"', "[[brokers]] 2 engine"),
        ("port = 18832", "port = 18831", "18831 is another broker's"),
        ("port = 18832", "port = 99999", "[[brokers]] 2 port"),
        ("port = 18832\n", "", "[[brokers]] 2 port is missing"),
        ('id = "yancheng"', 'id = "province"', "province is there twice"),
        ("province = 18855", "yanchen = 18855", "unknown broker of this office 'yanchen'"),
        ('"reviewer"', '"reviewr"', "unknown role 'reviewr'; the nearest known one is reviewer"),
        ('name = "王主任"', 'name = "../x"', "[[persons]] 1 name"),
        ('["report"]', '["raport"]', "unknown kind 'raport'; the nearest known one is report"),
        ('"@coast"', '"coast"', "must look like @name"),
        ('["320924-GO"]', '["320925-GO"]', "unknown office '320925-GO'"),
        ('network = "lab"', "", "network is missing"),
        ("[settings.links]", "[[settings.links]", "not valid TOML"),
        ('parent = "320000-GO"', 'parent = "320924-GO"', "is its own ancestor"),
    ],
)
def test_a_fault_is_named_with_the_way_out(old: str, new: str, words: str) -> None:
    assert old in SMALL
    found = problems_of(SMALL.replace(old, new, 1))
    assert any(words in text for text in found), found
    assert all(text.startswith("line ") or "missing" in text or "TOML" in text for text in found), found


def test_all_faults_are_reported_at_once() -> None:
    text = SMALL.replace("liaison", "liason").replace('"county"', '"conty"').replace('"reviewer"', '"reviewr"')
    assert len(problems_of(text)) == 3


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["network", "brokers", "offices", "persons", "rules", "groups", "settings"]), values)
def test_no_value_anywhere_makes_anything_but_a_list_of_faults(name: str, value: Any) -> None:
    import tomllib

    import msgspec

    from relay.lab import plan

    tree = tomllib.loads(SMALL)
    tree[name] = value
    problems: list[Any] = []
    read = plan._read(plan.Plan, tree, (), {}, problems)
    assert (read is None) == bool(problems)
    if read is not None:
        assert isinstance(list(plan._nonsense(read)), list)
        assert isinstance(msgspec.to_builtins(read), dict)
