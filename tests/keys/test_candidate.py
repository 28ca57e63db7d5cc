"""A home that asks: keys are there as a whole or not at all, whenever the machine stops; only its own answer enters."""

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from keys.ceremony.registrar import Registrar
from keys.enrol.candidate import Candidate, apply, check_response, install, own_request
from keys.enrol.enrolment import EnrolmentRequest, Wish, verify_request
from keys.enrol.office_home import read_secrets
from keys.enrol.response import EnrolmentResponse, decode_response, encode_response, make_response, verify_response
from keys.files.keyfile import read_secret
from keys.files.private_files import KeyFileError
from keys.files.storage_key import load_storage_key
from keys.prekeys import parse_prekey, verify_prekey
from keys.roster.membership import Decision, admit
from keys.tls import Authority, new_authority
from keys.trust.metadata import TrustError
from keys.trust.store import TrustStore
from protocol import cbor
from protocol.errors import Refused, RemoteError
from protocol.ids import Address
from tests.certificates import office_credential
from tests.keys.acts import publish_directory
from tests.keys.networks import DAY_US, NOW_US, SMALL, Administrator, key_of

ADDRESS = Address("320925-GO")
AUTHORITY: Authority = new_authority("lab", days=10)


def who(admin: Administrator, **changes: object) -> Candidate:
    """The county that wants to be taken in."""
    root = bytes.fromhex(admin.network.root_fingerprint)
    fields = {"address": ADDRESS, "network": "lab", "root": root, "wish": Wish("建湖县", "county")} | changes
    return Candidate(**fields)  # type: ignore[arg-type]


def ask(home: Path, candidate: Candidate, now_us: int = NOW_US) -> EnrolmentRequest:
    output = home.with_suffix(".request")
    return apply(home, candidate, output, now_us, valid_us=30 * DAY_US, entropy=os.urandom)


def answer(admin: Administrator, request: EnrolmentRequest, now_us: int = NOW_US) -> bytes:
    """Taken in, and told so."""
    directory = admit(admin.network.directory, [request], Decision(), now_us)
    admin.network = publish_directory(admin.place, directory, now_us, unlock=admin.unlock, policy=SMALL)
    return Registrar.open(admin.place, admin.network).approve(
        request, AUTHORITY, AUTHORITY.credential.certificate, (), now_us
    )[0]


@pytest.fixture
def admin(tmp_path: Path) -> Administrator:
    return Administrator(tmp_path / "root")


def stopping_at(step: int, act: Callable[[], object]) -> int:
    """Run the act in a process that stops dead at its so-and-so-many-th fsync; 0 when it came to its end before."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen, sync = 0, os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            os._exit(9)
        sync(descriptor)

    os.fsync = fsync
    try:
        act()
        os._exit(0)
    finally:
        os._exit(1)


def test_a_stop_at_any_step_of_init_leaves_nothing_half_made(admin: Administrator, tmp_path: Path) -> None:
    step, status = 0, 9
    while status == 9:
        step += 1
        home = tmp_path / f"home-{step}"
        status = stopping_at(step, lambda home=home: ask(home, who(admin)))  # type: ignore[misc]
        handed = home.with_suffix(".request")
        before = handed.read_bytes() if handed.exists() else None
        if status == 9 and not (home / "keys" / "request.cbor").exists():
            request = ask(home, who(admin))
            # What may already be on its way to the administrators is the request of these very keys.
            assert before in (None, request.data)
        else:
            request = own_request(home)
        assert verify_request(handed.read_bytes(), NOW_US) == request
        secrets = read_secrets(home, load_storage_key(home))
        assert (secrets.identity.public(), secrets.second.public()) == (request.identity, request.second)
        assert {stat.S_IMODE(path.stat().st_mode) for path in (home / "keys").iterdir()} == {0o600}
        assert [path.name for path in home.iterdir()] == ["keys"]
        with pytest.raises(Refused, match="FILE_EXISTS"):
            ask(home, who(admin))
    assert (status, step > 8) == (0, True)


def test_a_stop_at_any_step_of_install_is_gone_on_from(admin: Administrator, tmp_path: Path) -> None:
    first = ask(tmp_path / "first", who(admin))
    data = answer(admin, first)
    step, status = 0, 9
    while status == 9:
        step += 1
        home = tmp_path / f"home-{step}"
        shutil.copytree(tmp_path / "first", home)
        status = stopping_at(step, lambda home=home: install(home, data, NOW_US, entropy=os.urandom))  # type: ignore[misc]
        assert status in (0, 9)
        install(home, data, NOW_US, entropy=os.urandom)
        trust = TrustStore(home).load(NOW_US)
        office = trust.directory.by_address(ADDRESS)
        assert office is not None
        assert trust.damaged == ()
        prekey = verify_prekey((home / "trust" / "prekeys" / f"{ADDRESS}.cbor").read_bytes(), trust.directory, NOW_US)
        storage_key = load_storage_key(home)
        assert len(read_secret(home / "keys" / "prekey-1.key", "prekey", storage_key=storage_key)) == 32
        assert prekey == parse_prekey(prekey.data)
        assert {path.name for path in home.iterdir()} == {"keys", "trust", "store", "run", "audit"}
    assert step > 8


def test_an_interrupted_run_is_not_gone_on_for_somebody_else(admin: Administrator, tmp_path: Path) -> None:
    home = tmp_path / "home"
    step = 1
    while not (home / "keys").exists():
        assert stopping_at(step, lambda: ask(home, who(admin))) == 9
        step += 1
    for other in (who(admin, address=Address("320926-GO")), who(admin, network="other"), who(admin, root=bytes(32))):
        with pytest.raises(Refused, match="FILE_EXISTS"):
            ask(home, other)
    assert ask(home, who(admin)).address == ADDRESS


def test_keys_are_never_made_where_something_is(admin: Administrator, tmp_path: Path) -> None:
    """An address is never made anew because a file was missing (CONTRACT section 9)."""
    for number, there in enumerate(("keys/identity.key", "keys/storage.key", "trust/root.json")):
        home = tmp_path / f"home-{number}"
        (home / there).parent.mkdir(parents=True)
        (home / there).write_bytes(b"something")
        with pytest.raises(Refused, match="FILE_EXISTS"):
            ask(home, who(admin))
        assert [path for path in home.rglob("*") if path.is_file()] == [home / there]
        assert not home.with_suffix(".request").exists()
    output = tmp_path / "new.request"
    output.write_bytes(b"something")
    with pytest.raises(Refused, match="FILE_EXISTS"):
        ask(tmp_path / "new", who(admin))
    assert output.read_bytes() == b"something"
    assert list((tmp_path / "new").iterdir()) == []


@pytest.fixture
def asked(admin: Administrator, tmp_path: Path) -> tuple[Administrator, Path, EnrolmentRequest, bytes]:
    home = tmp_path / "home"
    request = ask(home, who(admin))
    return admin, home, request, answer(admin, request)


Asked = tuple[Administrator, Path, EnrolmentRequest, bytes]


def code_of(home: Path, data: bytes, now_us: int = NOW_US) -> str:
    """The code with which the home refuses the answer; nothing may have been written."""
    before = sorted(home.rglob("*"))
    with pytest.raises((Refused, RemoteError, TrustError)) as caught:
        install(home, data, now_us, entropy=os.urandom)
    assert sorted(home.rglob("*")) == before
    return str(caught.value.code)


def bent(admin: Administrator, data: bytes, key: object = None, **changes: object) -> bytes:
    """The answer with other words, signed again by the network's own snapshot key."""
    said = decode_response(cbor.loads(data, max_bytes=10**7)[2])
    changed: EnrolmentResponse = replace(said, **changes)  # type: ignore[arg-type]
    return make_response(changed, key or Registrar.open(admin.place, admin.network).key)  # type: ignore[arg-type]


def test_g10_only_the_networks_own_answer_to_this_very_request_enters(asked: Asked, tmp_path: Path) -> None:
    admin, home, request, data = asked
    assert check_response(home, data, NOW_US)[0].request == request.digest
    other_home = tmp_path / "other"
    other = answer(admin, ask(other_home, who(admin, address=Address("320926-GO"))))
    assert code_of(home, other) == "RESPONSE_NOT_OURS"
    assert code_of(other_home, data) == "RESPONSE_NOT_OURS"
    assert code_of(home, data[:-1]) == "MALFORMED"
    assert code_of(home, bent(admin, data, key_of(77))) == "UNKNOWN_KEY"
    assert code_of(home, bent(admin, data, request=bytes(32))) == "RESPONSE_NOT_OURS"
    protected, _, payload, signature = cbor.loads(data, max_bytes=10**7)
    edited = encode_response(replace(decode_response(payload), issued_us=NOW_US - 1))
    assert code_of(home, cbor.dumps([protected, {}, edited, signature])) == "BAD_SIGNATURE"
    assert code_of(home, bent(admin, data, office_id=request.office_id, issued_us=NOW_US + DAY_US)) == "CLOCK_BEHIND"
    foreign = office_credential(AUTHORITY, ADDRESS, days=1).certificate
    assert code_of(home, bent(admin, data, certificate=foreign)) == "RESPONSE_NOT_OURS"
    assert code_of(home, bent(admin, data, authority=new_authority("x", days=1).credential.certificate)) == (
        "RESPONSE_NOT_OURS"
    )
    files = {**decode_response(cbor.loads(data, max_bytes=10**7)[2]).files}
    older = Administrator(tmp_path / "older", seed=1)
    assert code_of(home, bent(admin, data, files=older.files)) == "TRUST_FOREIGN"
    assert code_of(home, bent(admin, data, files={**files, "roster.cbor": b"\x80"})) == "TRUST_MISMATCH"
    refusal = Registrar.open(admin.place, admin.network).reject(request, "指纹不符", NOW_US)
    assert code_of(home, refusal) == "REJECTED"
    # Without its own office in the directory it is no answer, whoever signed it.
    without = Administrator(tmp_path / "copy")
    assert code_of(home, bent(admin, data, files=without.files)) in ("TRUST_FOREIGN", "RESPONSE_NOT_OURS")
    install(home, data, NOW_US, entropy=os.urandom)


def test_g12_g14_an_answer_that_is_older_than_the_home_is_refused(asked: Asked) -> None:
    admin, home, request, data = asked
    later = answer(admin, request, NOW_US + DAY_US)
    install(home, later, NOW_US + DAY_US, entropy=os.urandom)
    with pytest.raises(Refused, match="RESPONSE_OLD"):
        install(home, data, NOW_US + DAY_US, entropy=os.urandom)
    assert TrustStore(home).load(NOW_US).version == admin.network.directory.version


def test_an_answer_is_not_taken_by_clocks_that_are_a_year_off(asked: Asked) -> None:
    _, home, _, data = asked
    assert code_of(home, data, NOW_US - 365 * DAY_US) == "CLOCK_BEHIND"
    assert code_of(home, data, NOW_US + 365 * DAY_US) == "TRUST_EXPIRED"


def test_damage_in_the_home_is_named(asked: Asked) -> None:
    _, home, _, data = asked
    path = home / "keys" / "request.cbor"
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert code_of(home, data) == "BAD_REQUEST"
    path.write_bytes(good)
    (home / "keys" / "tls.key").chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        install(home, data, NOW_US, entropy=os.urandom)
    (home / "keys" / "tls.key").chmod(0o600)
    path.unlink()
    assert code_of(home, data) == "NO_REQUEST"


def test_g10_no_bent_answer_verifies(asked: Asked) -> None:
    admin, _, _, data = asked
    random = Random(3)
    for _ in range(60):
        place, bit = random.randrange(len(data)), 1 << random.randrange(8)
        wrong = data[:place] + bytes((data[place] ^ bit,)) + data[place + 1 :]
        with pytest.raises((RemoteError, TrustError)):
            verify_response(wrong, admin.network.root_fingerprint)
