"""New signing keys beside the old ones: one rotation at a time, and no step at which an office is left without keys."""

import asyncio
import errno
import os
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from keys.enrol.candidate import held, parse_request
from keys.enrol.enrolment import EnrolmentRequest, verify_in_force, verify_request
from keys.enrol.office_home import read_secrets
from keys.enrol.rotation import adopt, begin, cancel, pending, waiting_key
from keys.files.storage_key import load_storage_key
from keys.primitives import signing_key_id
from keys.trust.store import TrustStore
from protocol.errors import Refused
from protocol.ids import KeyId, OfficeId
from protocol.limits import SECOND_US
from relay.identity import Identity
from relay.lab.create import create_lab
from relay.rotation import KeyHome, Rotation
from tests.relay.test_storage_rotation import PLAN, Killed, copied, deadly

DAY_US = 86_400 * SECOND_US


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rotation")
    (folder / "plan.toml").write_text(PLAN)
    create_lab(folder / "plan.toml", folder / "lab")
    return folder / "lab" / "offices" / "320000-GO"


def ask(home: Path, what: str, output: Path) -> EnrolmentRequest:
    now_us = time.time_ns() // 1_000
    trust = TrustStore(home).load(now_us)
    (office,) = trust.directory.offices
    return begin(
        home, what, office, trust, output, now_us, valid_us=30 * DAY_US, entropy=os.urandom,
        storage_key=load_storage_key(home),
    )  # fmt: skip


def identity(home: Path) -> KeyId:
    return read_secrets(home, load_storage_key(home)).identity.key_id()


def test_g10_a_renewal_is_signed_by_its_keys_and_vouched_for_by_the_one_in_force(made: Path, tmp_path: Path) -> None:
    home = copied(made, tmp_path / "home")
    before = read_secrets(home, load_storage_key(home))
    request = ask(home, "identity", tmp_path / "request")
    found = verify_request((tmp_path / "request").read_bytes(), time.time_ns() // 1_000)
    verify_in_force(found, before.identity.public())
    assert found.kind == "renew"
    assert found.identity != before.identity.public()
    assert waiting_key(home) == signing_key_id(found.identity)
    # Nothing in force has changed, and the same request is handed over again, also somewhere else.
    assert identity(home) == before.identity.key_id()
    assert ask(home, "identity", tmp_path / "again").data == request.data
    with pytest.raises(Refused, match="FILE_EXISTS"):
        ask(home, "tls", tmp_path / "other")
    assert cancel(home)
    assert not cancel(home)
    assert pending(home) is None
    only_tls = ask(home, "tls", tmp_path / "other")
    assert (only_tls.identity, only_tls.second) == (before.identity.public(), before.second.public())
    assert waiting_key(home) is None


def test_another_run_in_the_home_is_waited_for_and_not_for_ever(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running relay takes up its new keys just as somebody installs their certificate."""
    home = copied(made, tmp_path / "home")
    with held(home):
        monkeypatch.setattr("keys.enrol.candidate.PATIENCE_S", 0.1)
        with pytest.raises(Refused, match="HOME_IN_USE"):
            cancel(home)
        monkeypatch.setattr("keys.enrol.candidate.PATIENCE_S", 60.0)
        waiting = threading.Thread(target=cancel, args=(home,))
        waiting.start()
        time.sleep(0.1)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()


def test_a_new_key_that_the_directory_does_not_name_is_not_used(made: Path, tmp_path: Path) -> None:
    home = copied(made, tmp_path / "home")
    before = identity(home)
    ask(home, "identity", tmp_path / "request")
    assert not adopt(home, {before})
    assert identity(home) == before


@pytest.mark.parametrize("certified", [False, True])
def test_g01_an_office_has_keys_that_the_directory_names_at_every_step(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certified: bool
) -> None:
    asked = copied(made, tmp_path / "asked")
    old = identity(asked)
    new = signing_key_id(ask(asked, "identity", tmp_path / "request").identity)
    if certified:
        (asked / "keys" / "next" / "tls.key").unlink()
    steps = 0
    for at in range(200):
        home = copied(asked, tmp_path / "home")
        with monkeypatch.context() as patch:
            deadly(patch, at)
            try:
                done = adopt(home, {old, new})
            except Killed:
                done = False
        steps += not done
        assert identity(home) in {old, new}
        # A start that finds the rest does it; where all was done there is none.
        adopt(home, {old, new})
        assert identity(home) == new
        assert (home / "keys" / "next").exists() == (not certified)
        if done:
            break
        shutil.rmtree(home)
    assert steps > 8


def test_a_request_that_is_interrupted_leaves_nothing_or_all_of_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(200):
        home, output = copied(made, tmp_path / "home"), tmp_path / f"request-{at}"
        with monkeypatch.context() as patch:
            deadly(patch, at)
            try:
                ask(home, "identity", output)
            except Killed:
                done = False
            else:
                done = True
        request = ask(home, "identity", output)
        assert parse_request(output.read_bytes()).data == request.data
        assert waiting_key(home) == signing_key_id(request.identity)
        assert {path.name for path in (home / "keys" / "next").iterdir()} == {
            "identity.key", "request.cbor", "second.key", "tls.key",
        }  # fmt: skip
        if done:
            assert at > 8
            return
        shutil.rmtree(home)


def test_a_new_key_that_could_not_be_opened_at_once_is_opened_later(made: Path, tmp_path: Path) -> None:
    home = copied(made, tmp_path / "home")
    ask(home, "identity", tmp_path / "request")
    old, new = identity(home), waiting_key(home)
    assert new is not None
    adopt(home, {old, new})
    opened = SimpleNamespace(key_id=lambda: new)
    answers: list[Any] = [OSError(errno.EMFILE, "Too many open files"), (opened, None)]
    signing = Identity(OfficeId(bytes(16)), cast(Any, SimpleNamespace(key_id=lambda: old)), cast(Any, None), 1)
    ground: Any = SimpleNamespace(
        identity=signing, directory=SimpleNamespace(by_id=lambda _office: None), trust=None, trust_takers=[],
        clock=SimpleNamespace(now_us=lambda: 0), audit=SimpleNamespace(add=lambda *_, **__: None),
    )  # fmt: skip

    def open_again(_trust: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    rotation = Rotation(ground, KeyHome(home, open_again), lambda: None, lambda: None)
    with pytest.raises(OSError, match="Too many"):
        asyncio.run(rotation.look())
    assert ground.identity.key.key_id() == old
    asyncio.run(rotation.look())
    assert (ground.identity.key.key_id(), answers) == (new, [])
