"""A broker's folder is made once and brought up to date: only what differs is written, and it says for whom."""

import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import Refused
from protocol.ids import Address
from relay.brokers.folder import FILES, update
from relay.brokers.site import Site
from tests.root import needs_root

COUNTY, PROVINCE, CITY = Address("320924-GO"), Address("320000-GO"), Address("320900-GO")
TLS = {"ca.pem": b"authority", "crl.pem": b"list"}


@pytest.fixture(params=sorted(FILES))
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def site_of(folder: Path, *offices: Address) -> Site:
    return Site("province", folder, "127.0.0.1", 8883, True, tuple(sorted(offices)), revocations=True)


def test_it_says_who_joined_and_who_left_and_how_to_take_it(tmp_path: Path, engine: str) -> None:
    folder = tmp_path / "broker"
    site = site_of(folder, COUNTY, PROVINCE)
    made = update(folder, site, engine, TLS)
    assert made.made
    assert (made.joined, made.left, made.restart) == ((PROVINCE, COUNTY), (), False)
    assert made.missing == ("broker.pem", "broker.key")
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir() if file.is_file()} == {0o600}

    same = update(folder, site, engine, TLS)
    assert (same.made, same.changed, same.commands, same.restart) == (False, (), (), False)

    (folder / "broker.pem").write_bytes(b"certificate")
    (folder / "broker.key").write_bytes(b"key")
    other = update(folder, replace(site, offices=(PROVINCE, CITY)), engine, TLS)
    assert (other.joined, other.left, other.missing) == ((CITY,), (COUNTY,), ())
    assert not other.restart, "who joins or leaves cuts nobody off"
    assert len(other.commands) == (3 if engine == "rabbitmq" else 1)

    moved = update(folder, replace(site, offices=(PROVINCE, CITY), port=8884), engine, {**TLS, "ca.pem": b"new"})
    assert moved.restart
    assert "ca.pem" in moved.changed


def test_the_folder_of_another_engine_is_left_alone(tmp_path: Path) -> None:
    site = site_of(tmp_path, PROVINCE)
    update(tmp_path, site, "nats", TLS)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    with pytest.raises(Refused) as refused:
        update(tmp_path, site, "mosquitto", TLS)
    assert refused.value.code == "BAD_FIELD"
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


@needs_root
def test_new_files_belong_to_whom_the_broker_runs_as(tmp_path: Path, engine: str) -> None:
    site = site_of(tmp_path, PROVINCE)
    os.chown(tmp_path, 12345, 12346)
    update(tmp_path, site, engine, TLS)
    assert {(found.stat().st_uid, found.stat().st_gid) for found in tmp_path.iterdir()} == {(12345, 12346)}


@settings(max_examples=20)
@given(
    st.lists(st.sets(st.sampled_from([COUNTY, PROVINCE, CITY])), min_size=1, max_size=5), st.sampled_from(sorted(FILES))
)
def test_whatever_its_history_a_folder_holds_what_the_last_directory_says(
    tmp_path_factory: pytest.TempPathFactory, history: list[set[Address]], engine: str
) -> None:
    folder, known = tmp_path_factory.mktemp("broker"), set[Address]()
    for offices in history:
        found = update(folder, site_of(folder, *offices), engine, TLS)
        assert set(found.joined) == offices - known
        assert set(found.left) == known - offices
        known = offices
    for name, text in FILES[engine](site_of(folder, *known)).items():
        assert (folder / name).read_text() == text


def test_what_is_to_be_run_is_run_for_a_folder_of_any_name(tmp_path: Path, engine: str) -> None:
    folder = tmp_path / "省 broker's $HOME"
    (start,) = update(folder, site_of(folder, COUNTY), engine, TLS).commands
    words = shlex.split(start)
    assert any(word.endswith(f"{folder}/{name}") for word in words for name in FILES[engine](site_of(folder, COUNTY)))
    assert len(words) == len(start.replace(shlex.quote(str(folder)), "DIR").split())


@pytest.mark.parametrize("name", ["a\nlistener 1883", "a\r", "a\x1b[2J"])
def test_a_folder_whose_name_would_be_more_than_one_line_of_a_configuration_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        site_of(Path("/") / name, COUNTY)
    assert (refused.value.code, refused.value.field) == ("BAD_FIELD", "folder")
    assert refused.value.detail.isprintable()
