"""A lab is whole or not there, and its homes are what the daemon expects."""

import json
import stat
import time
from pathlib import Path

import pytest

from config.load import load
from config.problems import ConfigError
from keys.ceremony.network import read_network
from keys.files.keyfile import read_header, read_secret
from keys.files.storage_key import load_storage_key
from keys.prekeys import verify_prekey
from keys.primitives import SigningKey, prekey_public
from keys.tls import Authority, Credential
from keys.trust.store import TrustStore
from protocol.errors import Refused
from relay.lab import create
from relay.lab.create import LabReport, create_lab
from tests.keys.acts import publish_directory
from tests.relay.lab.plans import SMALL

ADDRESSES = ("320000-GO", "320900-GO", "320924-GO")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabReport:
    folder = tmp_path_factory.mktemp("made")
    (folder / "plan.toml").write_text(SMALL)
    return create_lab(folder / "plan.toml", folder / "lab")


def test_every_home_has_settings_keys_and_trust(lab: LabReport) -> None:
    now_us = time.time_ns() // 1000
    for address in ADDRESSES:
        home = Path(lab.homes[address])
        assert load(home).settings.office.address == address
        trust = TrustStore(home).load(now_us)
        record = trust.directory.by_address(address)
        assert record is not None
        storage_key = load_storage_key(home)
        seed = read_secret(home / "keys" / "identity.key", "identity", storage_key=storage_key)
        assert SigningKey.from_seed(seed).public() == record.keys[0].public
        prekey_seed = read_secret(home / "keys" / "prekey-1.key", "prekey", storage_key=storage_key)
        own = (home / "trust" / "prekeys" / f"{address}.cbor").read_bytes()
        assert verify_prekey(own, trust.directory, now_us).public == prekey_public(1, prekey_seed)
        for other in ADDRESSES:
            data = (home / "trust" / "prekeys" / f"{other}.cbor").read_bytes()
            known = trust.directory.by_address(other)
            assert known is not None
            assert verify_prekey(data, trust.directory, now_us).office_id == known.id
        for name in ("store", "run", "audit"):
            assert list((home / name).iterdir()) == []


def test_settings_are_merged_and_ports_overridden(lab: LabReport) -> None:
    city, county = (load(Path(lab.homes[address])).settings for address in ADDRESSES[1:])
    assert (city.links.retry_min_s, city.links.retry_max_s, city.links.patience_s.flash) == (0.1, 3.5, 2)
    assert county.links.retry_max_s != 3.5
    assert [(broker.id, broker.port, broker.tls) for broker in city.brokers] == [
        ("province", 18855, True),
        ("yancheng", 18832, False),
    ]
    assert load(Path(lab.homes["320000-GO"])).settings.brokers[0].port == 18841


def test_the_directory_says_what_the_plan_says(lab: LabReport) -> None:
    directory = read_network(Path(lab.root_home)).directory
    city, county = directory.by_address("320900-GO"), directory.by_address("320924-GO")
    assert city is not None
    assert county is not None
    assert county.parent == city.id
    assert county.standing == "liaison"
    assert county.name == "320924-GO"
    assert directory.rules.require_reviewer == {"report"}
    assert directory.rules.emergency_bypass == "copy_city"
    assert directory.expand("@coast") == (county,)
    person = city.person("王主任")
    assert person is not None
    passphrase = (Path(lab.root_home) / "passphrase").read_bytes()
    assert len(passphrase) >= 32
    seed = read_secret(Path(lab.persons[0]), "person", passphrase=passphrase)
    assert SigningKey.from_seed(seed).key_id() == person.key_id
    assert Path(lab.persons[0]).name == "320900-GO-王主任.key"


def test_the_administrator_can_go_on_working(lab: LabReport) -> None:
    root = Path(lab.root_home)
    passphrase = (root / "passphrase").read_bytes()
    settings = load(root).settings
    assert settings.office.address == lab.network_office == "320000-GO"
    assert (root / settings.network.office_home).resolve() == Path(lab.homes["320000-GO"])
    network = read_network(root)
    now_us = time.time_ns() // 1000
    assert publish_directory(root, network.directory, now_us, unlock=lambda _: passphrase).directory.version == 2
    key = read_secret(root / "keys" / "tls-ca.key", "tls-ca", passphrase=passphrase)
    certificate = read_header(root / "keys" / "tls-ca.key").public
    assert Authority(Credential(certificate, key)).credential.certificate == certificate


def test_brokers_are_ready_to_start_from_anywhere(lab: LabReport) -> None:
    for broker in ("province", "yancheng"):
        folder = Path(lab.directory) / "brokers" / broker
        argv = json.loads((folder / "argv.json").read_text())
        assert tuple(argv) == lab.brokers[broker]
        assert all(Path(word).is_absolute() and Path(word).exists() for word in argv if word.startswith("/"))
        assert Path(argv[0]).is_absolute()
        text = Path(argv[-1]).read_text()
        assert ".tmp" not in text, "no path of the hidden directory is left"
        assert (folder / "spare.pem").exists() == (folder / "spare.key").exists() == (broker == "province")


def test_nothing_is_open_to_other_users(lab: LabReport) -> None:
    for path in (Path(lab.directory), *Path(lab.directory).rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) in (0o700 if path.is_dir() else 0o600, 0o700), path


def test_what_to_run_is_said(lab: LabReport) -> None:
    assert [line.split()[0].rsplit("/", 1)[-1] for line in lab.commands()] == [
        "mosquitto", "nats-server", "relay", "relay", "relay",
    ]  # fmt: skip


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(SMALL)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "mine").write_text("mine")
    with pytest.raises(Refused) as refused:
        create_lab(tmp_path / "plan.toml", tmp_path / "lab")
    assert refused.value.code == "FILE_EXISTS"
    assert {path.name for path in tmp_path.iterdir()} == {"plan.toml", "lab"}
    assert [path.name for path in (tmp_path / "lab").iterdir()] == ["mine"]


def test_an_empty_directory_and_a_given_passphrase_are_taken(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(SMALL)
    (tmp_path / "words").write_text("correct horse\nsecond line\n")
    (tmp_path / "lab").mkdir()
    made = create_lab(tmp_path / "plan.toml", tmp_path / "lab", tmp_path / "words")
    assert (Path(made.root_home) / "passphrase").read_bytes() == b"correct horse"
    assert len(read_secret(Path(made.persons[0]), "person", passphrase=b"correct horse")) == 32


def test_a_lab_that_was_interrupted_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plan.toml").write_text(SMALL)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(create, "_write_home", fail)
    with pytest.raises(OSError, match="disk full"):
        create_lab(tmp_path / "plan.toml", tmp_path / "lab")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.toml"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[settings.link]\nretry_min_s = 1\n", "links"),
        ("[settings.links]\nretry_mins = 1\n", "[links] retry_min_s"),
        ('[settings.office]\naddress = "320924-GO"\n', "made by the lab"),
    ],
)
def test_wrong_settings_are_found_before_anything_is_made(tmp_path: Path, text: str, words: str) -> None:
    plan = SMALL.split("[settings.links]", maxsplit=1)[0] + text
    (tmp_path / "plan.toml").write_text(plan)
    with pytest.raises(ConfigError) as error:
        create_lab(tmp_path / "plan.toml", tmp_path / "lab")
    assert error.value.code == "BAD_PLAN"
    assert words in str(error.value)
    assert len(error.value.problems) == 1, "the same fault in every office is one fault"
    assert [path.name for path in tmp_path.iterdir()] == ["plan.toml"]
