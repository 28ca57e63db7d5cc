"""Settings: what is accepted, and that every fault is named with its place and the way out."""

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.load import FILE_BYTES, load, parse
from config.problems import ConfigError
from config.schema import Broker, Settings

HERE = Path(__file__).parent
EXAMPLE = Path(__file__).parents[2] / "config" / "example.toml"
LEAST = b'home_version = 1\noffice = { address = "320924-GO", network = "lab" }\n'

FAULTS = {
    "address.toml": ("contradictory", "[office] address", None),
    "broker_no_tls.toml": ("contradictory", "[brokers 1] tls", None),
    "broker_twice.toml": ("contradictory", "[brokers 2] id", None),
    "broker_without_id.toml": ("missing", "[brokers 1] id", None),
    "boolean_number.toml": ("wrong", "[links] window_items", None),
    "half_written.toml": ("malformed", "relay.toml", None),
    "infinite.toml": ("wrong", "[links] retry_max_s", None),
    "no_office.toml": ("missing", "[office] address", None),
    "not_a_table.toml": ("wrong", "links", None),
    "retention_audit.toml": ("wrong", "[retention] audit_days", None),
    "retry_order.toml": ("contradictory", "[links] retry_max_s", None),
    "unknown_deep.toml": ("unknown", "[links.patience_s] flsh", "[links.patience_s] flash"),
    "unknown_place.toml": ("unknown", "[links] quota_bytes", "[store] quota_bytes"),
    "unknown_role.toml": ("unknown", "[api.roles] sned", "[api.roles] send"),
    "unknown_section.toml": ("unknown", "recipts", "receipts"),
    "unknown_setting.toml": ("unknown", "[links] retry_mins", "[links] retry_min_s"),
    "wrong_choice.toml": ("wrong", "[log] level", None),
    "wrong_type.toml": ("wrong", "[store] quota_bytes", None),
}


def problems_of(data: bytes) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        parse(data)
    return error.value


def test_every_file_of_faults_is_listed() -> None:
    assert {file.name for file in (HERE / "testdata").glob("*.toml")} == set(FAULTS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_one_fault_is_named_once_with_its_line(name: str) -> None:
    data = (HERE / "testdata" / name).read_bytes()
    found = problems_of(data)
    kind, setting, near = FAULTS[name]
    first = found.problems[0]
    assert (found.code, first.kind, first.setting, first.near) == ("BAD_CONFIG", kind, setting, near)
    # A missing section lacks both of its settings; everything else is one fault.
    assert len(found.problems) == (2 if name == "no_office.toml" else 1)
    marked = [number for number, line in enumerate(data.decode().splitlines(), 1) if "# here" in line]
    assert first.line == (marked[0] if marked else None)
    assert setting in first.text("en")
    assert setting in first.text("zh_CN")


def test_all_faults_come_at_once() -> None:
    found = problems_of(b'home_version = 1\n[office]\nadress = "x"\n[links]\nretry_min_s = "a"\n[log]\nlevel = 3\n')
    assert [problem.setting for problem in found.problems] == [
        "[office] adress",
        "[office] address",
        "[office] network",
        "[links] retry_min_s",
        "[log] level",
    ]


def test_the_example_holds_every_setting_with_its_default() -> None:
    loaded = parse(EXAMPLE.read_bytes())
    defaults = Settings(home_version=1, office=loaded.settings.office, brokers=(Broker(id="yancheng"),))
    assert loaded.settings == defaults
    assert [name for name, origin in loaded.origins.items() if not origin.given] == ["[api] socket_group"]
    text = EXAMPLE.read_text()
    assert "# socket_group = " in text
    lines = text.splitlines()
    for name, origin in loaded.origins.items():
        if origin.line is not None:
            assert lines[origin.line - 1].split("=")[0].strip() == name.split()[-1]


def test_origins_tell_file_from_default() -> None:
    loaded = parse(LEAST + b"[links]\nretry_min_s = 1\n")
    assert loaded.settings.links.retry_min_s == 1
    given_here = {name: origin.line for name, origin in loaded.origins.items() if origin.given}
    assert given_here == {"home_version": 1, "[office] address": 2, "[office] network": 2, "[links] retry_min_s": 4}
    assert loaded.origins["[links] retry_max_s"].value == 30


def test_another_version_is_not_judged_by_our_rules() -> None:
    for data in (b"home_version = 2\nfuture = true\n", b"[office]\n", b""):
        assert problems_of(data).code == "HOME_VERSION"
    assert problems_of(b'home_version = "1"\n').code == "BAD_CONFIG"


def test_a_home_without_settings_is_missing(tmp_path: Path) -> None:
    for home in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError) as error:
            load(home)
        assert error.value.code == "HOME_MISSING"
    (tmp_path / "relay.toml").write_bytes(LEAST)
    assert load(tmp_path).settings.office.address == "320924-GO"
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "relay.toml")
    assert error.value.code == "HOME_MISSING"
    (tmp_path / "relay.toml").write_bytes(b"#" * (FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(tmp_path)


@given(st.binary(max_size=200) | st.text(string.printable, max_size=200).map(str.encode))
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    texts = ["unused"]
    try:
        parse(LEAST + data)
    except ConfigError as error:
        texts = [problem.text(lang) for problem in error.problems for lang in ("en", "zh_CN")]
    assert texts
    assert all(texts)


VALUES: Any = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(string.ascii_letters, max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc_", min_size=1, max_size=4), inner),
    max_leaves=4,
)


def toml_of(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml_of(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value)


@given(st.sampled_from(sorted(set(Settings.__struct_fields__) - {"office", "home_version"})), VALUES)
def test_any_value_in_any_section_loads_or_is_refused(section: str, value: Any) -> None:
    data = f"{section} = {toml_of(value)}\n".encode()
    if value in ({}, []) and isinstance(value, list) == (section == "brokers"):
        parse(LEAST + data)
        return
    found = problems_of(LEAST + data)
    assert all(section in problem.setting for problem in found.problems)


@given(st.sampled_from(["flash", "urgent", "priority", "routine", "bulk"]), st.floats(0.01, 1000))
def test_patience_is_kept_as_written(lane: str, seconds: float) -> None:
    loaded = parse(LEAST + f"[links.patience_s]\n{lane} = {seconds!r}\n".encode())
    assert getattr(loaded.settings.links.patience_s, lane) == seconds
