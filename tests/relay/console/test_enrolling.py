"""Enrolment by the commands themselves: from an empty directory to a home that runs, and what is refused on the way."""

import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from config.load import load
from keys.ceremony.network import read_network
from keys.files.generations import list_generations
from keys.files.keyfile import LAB_COST, write_secret
from keys.files.storage_key import load_storage_key
from keys.tls import new_authority
from keys.trust.store import TrustStore
from relay.console.main import main
from relay.lab.create import create_lab
from relay.opening import find_office, read_signing_key
from tests.keys.hearing import digest_of
from tests.keys.networks import Administrator
from tests.relay.console.fake import Run

PLAN = """
network = "lab"
[[brokers]]
id = "province"
port = 18831
tls = false
[[offices]]
address = "320000-GO"
class = "province"
brokers = ["province"]
[[offices]]
address = "320900-GO"
class = "city"
parent = "320000-GO"
brokers = ["province"]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("enrolment")
    (place / "plan.toml").write_text(PLAN)
    return Path(create_lab(place / "plan.toml", place / "lab").directory)


def root_of(lab: Path) -> str:
    return read_network(lab / "root").root_fingerprint


def asking(lab: Path, number: int, output: Path, *more: str) -> list[str | Path]:
    """The arguments of `keys init` for a township below the city."""
    address = f"{320_900_100 + number}-GO"
    place = ("--class", "township", "--parent", "320900-GO", "--broker", "province")
    return ["init", "--address", address, "--network", "lab", "--root", root_of(lab), "-o", output, *place, *more]


def test_from_an_empty_directory_to_a_home_that_runs(lab: Path, run: Run, tmp_path: Path) -> None:
    home, request, response = tmp_path / "home", tmp_path / "request", tmp_path / "response"
    made = run(home, *asking(lab, 1, request, "--name", "临海镇人民政府"))
    assert made["status"] == 0
    shown = run(home, "fingerprint", request)
    assert {name: made[name] for name in ("kind", "subject", "fingerprint", "digits", "words")} == {
        name: shown[name] for name in ("kind", "subject", "fingerprint", "digits", "words")
    }
    assert digest_of(shown["words"], "en") == bytes.fromhex(shown["fingerprint"])[:16]
    assert run(home, *asking(lab, 1, tmp_path / "again"))["status"] == 73
    approved = run(lab / "root", "approve", request, "-o", response)
    assert (approved["status"], approved["state"]) == (0, "done")
    assert approved["offices"] == [
        {"address": "320900101-GO", "id": approved["offices"][0]["id"], "file": str(response)}
    ]
    installed = run(home, "install", response)
    assert (installed["status"], installed["brokers"], installed["settings_written"]) == (0, ["province"], True)
    # What a daemon asks of a home when it starts.
    settings = load(home).settings
    trust = TrustStore(home).load(time.time_ns() // 1_000)
    office = find_office(settings, trust)
    assert (
        read_signing_key(home, load_storage_key(home), office, trust).public()
        == trust.directory.offices[office].keys[0].public
    )
    record = trust.directory.offices[office]
    assert (record.name, record.office_class, record.brokers) == ("临海镇人民政府", "township", ("province",))
    assert (settings.brokers[0].port, settings.brokers[0].tls) == (18831, False)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in home.rglob("*")} == {0}
    # Once more changes nothing, and the root that was pinned is the one that was typed.
    (home / "relay.toml").write_text((home / "relay.toml").read_text() + "# mine\n")
    assert run(home, "install", response)["settings_written"] is False
    assert (home / "relay.toml").read_text().endswith("# mine\n")
    kinds = [run(home, "fingerprint")["kind"], run(lab / "root", "fingerprint")["fingerprint"]]
    assert kinds == ["root", root_of(lab)]


def test_a_batch_is_signed_once_and_may_be_answered_again(lab: Path, run: Run, tmp_path: Path) -> None:
    requests = []
    for number in range(10, 22):
        requests.append(tmp_path / f"{number}.request")
        assert run(tmp_path / str(number), *asking(lab, number, requests[-1]))["status"] == 0
    before = list_generations(lab / "root" / "network")
    (tmp_path / "out").mkdir()
    first = run(lab / "root", "approve", *requests, "-o", tmp_path / "out")
    assert (first["status"], len(first["offices"])) == (0, 12)
    assert len(list_generations(lab / "root" / "network")) == len(before) + 1
    (tmp_path / "again").mkdir()
    second = run(lab / "root", "approve", *requests, "-o", tmp_path / "again")
    assert (second["status"], second["version"]) == (0, first["version"])
    assert len(list_generations(lab / "root" / "network")) == len(before) + 1
    for number in range(10, 22):
        answer = tmp_path / ("out" if number % 2 else "again") / f"{320_900_100 + number}-GO.response"
        assert run(tmp_path / str(number), "install", answer)["status"] == 0


def test_what_is_refused_has_a_code_and_changes_nothing(
    lab: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, home, request = lab / "root", tmp_path / "home", tmp_path / "request"
    assert run(home, *asking(lab, 40, request))["status"] == 0
    before = list_generations(root / "network")

    def approving(*arguments: str | Path, at_us: int | None = None) -> tuple[int, str]:
        with monkeypatch.context() as patch:
            if at_us is not None:
                patch.setattr(time, "time_ns", lambda: at_us * 1_000)
            found = run(root, "approve", *arguments, "-o", tmp_path / "response")
        assert not (tmp_path / "response").exists()
        assert list_generations(root / "network") == before
        return found["status"], found.get("code", "")

    def edited(name: str, change: Callable[[bytes], bytes]) -> Path:
        (tmp_path / name).write_bytes(change(request.read_bytes()))
        return tmp_path / name

    year_us, now_us = 365 * 86_400 * 1_000_000, time.time_ns() // 1_000
    assert approving(edited("cut", lambda data: data[:-1])) == (65, "BAD_REQUEST")
    assert approving(edited("edited", lambda data: data.replace(b"lab", b"lib"))) == (65, "BAD_REQUEST")
    assert approving(edited("empty", lambda _: b"")) == (65, "BAD_REQUEST")
    assert approving(tmp_path / "nowhere") == (66, "FILE_MISSING")
    assert approving(tmp_path) == (66, "FILE_UNREADABLE")
    assert approving(request, at_us=now_us + year_us) == (65, "REQUEST_EXPIRED")
    assert approving(request, at_us=now_us - year_us) == (65, "CLOCK_BEHIND")
    assert approving(request, request) == (66, "FILE_MISSING")  # two responses do not go into one file
    assert approving(request, "--parent", "999999-GO") == (65, "BAD_FIELD")
    assert approving(request, "--class", "kingdom")[0] == 2
    other = tmp_path / "foreign"
    assert run(tmp_path / "other", *asking(lab, 41, other, "--root", "00" * 32))["status"] == 0
    assert approving(other) == (65, "WRONG_NETWORK")
    named = tmp_path / "named"
    assert run(tmp_path / "third", *asking(lab, 42, named, "--network", "elsewhere"))["status"] == 0
    assert approving(named) == (65, "WRONG_NETWORK")
    taken = tmp_path / "taken"
    assert run(tmp_path / "fourth", *asking(lab, 43, taken, "--address", "320900-GO"))["status"] == 0
    assert approving(taken) == (65, "ADDRESS_TAKEN")
    (tmp_path / "wrong").write_text("not the passphrase\n")
    assert approving(request, "--passphrase-file", tmp_path / "wrong") == (65, "KEY_FILE_NOT_OPENED")
    office = lab / "offices" / "320900-GO"
    assert run(office, "approve", request, "-o", tmp_path / "response")["code"] == "WRONG_HOME"
    assert run(root, *asking(lab, 44, tmp_path / "44"))["code"] == "WRONG_HOME"
    assert run(root, "install", request)["code"] == "WRONG_HOME"
    assert run(home, "install", request)["code"] == "BAD_RESPONSE"
    assert run(office, "install", request)["code"] == "NO_REQUEST"
    assert run(office, *asking(lab, 45, tmp_path / "45"))["code"] == "FILE_EXISTS"
    assert run(tmp_path / "x", *asking(lab, 45, tmp_path / "45", "--address", "nowhere"))["code"] == "BAD_FIELD"
    assert not (tmp_path / "x").exists()


def test_what_was_rejected_stays_rejected(lab: Path, run: Run, tmp_path: Path) -> None:
    home, request, response = tmp_path / "home", tmp_path / "request", tmp_path / "response"
    assert run(home, *asking(lab, 60, request))["status"] == 0
    refused = run(lab / "root", "reject", request, "--reason", "电话核对指纹不符", "-o", response)
    assert refused["status"] == 0
    told = run(home, "install", response)
    assert (told["status"], told["code"], told["detail"]) == (65, "REJECTED", "电话核对指纹不符")
    assert not (home / "trust").exists()
    assert run(lab / "root", "approve", request, "-o", tmp_path / "other")["code"] == "REJECTED"
    assert run(lab / "root", "reject", request, "--reason", "again")["code"] == "REJECTED"


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_people_read_words_digits_and_a_qr_code(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str
) -> None:
    arguments: Sequence[str | Path] = asking(lab, 70, tmp_path / "request")
    assert main(["--home", str(tmp_path / "home"), "--lang", lang, "keys", *map(str, arguments)]) == 0
    text = capsys.readouterr().out
    assert str(tmp_path / "request") in text
    assert text.count("█") > 200
    assert main(["--home", str(lab / "root"), "--lang", lang, "keys", "fingerprint", "--no-qr"]) == 0
    text = capsys.readouterr().out
    assert root_of(lab)[:4] in text
    assert "█" not in text


def test_two_administrators_sign_and_a_third_person_issues(run: Run, tmp_path: Path) -> None:
    root, home, request = tmp_path / "root", tmp_path / "home", tmp_path / "request"
    Administrator(root, now_us=time.time_ns() // 1_000 - 1_000_000)
    (root / "relay.toml").write_text("home_version = 1\n[office]\naddress = '320000-GO'\nnetwork = 'lab'\n")
    parts = ("--address", "320925-GO", "--network", "lab", "--root", read_network(root).root_fingerprint)
    assert run(home, "init", *parts, "--class", "county", "-o", request)["status"] == 0

    def approve(label: str) -> dict[str, Any]:
        (tmp_path / label).write_text(f"passphrase of {label}\n")
        return run(root, "approve", request, "-o", tmp_path / "response", "--passphrase-file", tmp_path / label)

    first = approve("targets-1")
    assert (first["status"], first["state"], first["offices"]) == (0, "pending", [])
    assert read_network(root).directory.by_address("320925-GO") is None
    assert approve("targets-1")["status"] == 65
    second = approve("targets-2")
    assert (second["status"], second["state"], second["offices"]) == (0, "done", [])
    assert read_network(root).directory.by_address("320925-GO") is not None
    assert not (tmp_path / "response").exists()
    made = new_authority("lab", days=10).credential
    write_secret(
        root / "keys" / "tls-ca.key", "tls-ca", made.key, passphrase=b"passphrase of tls-ca", entropy=os.urandom,
        label="lab", public=made.certificate, cost=LAB_COST,
    )  # fmt: skip
    assert approve("targets-1")["code"] == "KEY_FILE_NOT_OPENED"
    third = approve("tls-ca")
    assert (third["status"], len(third["offices"]), third["version"]) == (0, 1, second["version"])
    assert run(home, "install", tmp_path / "response")["status"] == 0
