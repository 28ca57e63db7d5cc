"""Keys in a token: what it signs verifies, nothing leaves it, and a wrong PIN is tried once (against SoftHSM2)."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pkcs11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.files.keyfile import read_header
from keys.files.private_files import KeyFileError
from keys.files.storage_key import create_storage_key, how_kept, load_storage_key, seal_under_token
from keys.hsm import Place, Token, open_token
from keys.primitives import signing_key_id, verify_ed25519
from keys.signer import SignerLost
from keys.signing import FRAME, UnverifiedRecord, sign_record
from protocol.errors import Refused
from tests.tokens import LABEL, MODULE, PIN, SoftToken, make_token

PLACE = Place(MODULE, LABEL)


def pin(label: str) -> bytes:
    assert label == "token"
    return PIN.encode()


def nobody_hears(lost: SignerLost) -> None:
    raise AssertionError(lost)


@pytest.fixture(scope="module")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    made = make_token(tmp_path_factory.mktemp("hsm"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        # The library reads its settings when it is loaded, once for this process.
        pkcs11.lib(MODULE).reinitialize()
        yield made
    pkcs11.lib(MODULE).finalize()


@pytest.fixture(scope="module")
def token(soft: SoftToken) -> Iterator[Token]:
    opened = open_token(PLACE, pin)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def public(token: Token) -> bytes:
    return token.make_signing_key("320000-GO")


@given(data=st.binary(max_size=4_096))
@settings(max_examples=50)
def test_g10_what_a_token_signs_verifies_as_any_other_signature(token: Token, public: bytes, data: bytes) -> None:
    (signer,) = token.signers({signing_key_id(public)}, nobody_hears)
    assert (signer.suite, signer.public(), signer.key_id()) == (0, public, signing_key_id(public))
    assert verify_ed25519(public, signer.sign(data), data)
    record = UnverifiedRecord(sign_record(signer, FRAME, data), max_bytes=8_192)
    record.verify(FRAME, public)
    assert record.key_id == signing_key_id(public)


def test_g11_no_private_key_and_no_secret_leaves_the_token(soft: SoftToken, token: Token, public: bytes) -> None:
    token.make_storage_secret()
    token.make_storage_secret()  # there is one already
    session = token._session
    for kind in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.SECRET_KEY):
        found = list(session.get_objects({pkcs11.Attribute.CLASS: kind}))
        assert len(found) == 1
        for key in found:
            assert key[pkcs11.Attribute.SENSITIVE]
            assert not key[pkcs11.Attribute.EXTRACTABLE]
            with pytest.raises(pkcs11.AttributeSensitive):
                key[pkcs11.Attribute.VALUE]
    assert token.derive(b"salt") == token.derive(b"salt") != token.derive(b"other")


def test_g11_the_storage_key_under_a_token_lies_nowhere_bare(token: Token, public: bytes, tmp_path: Path) -> None:
    token.make_storage_secret()
    key = create_storage_key(tmp_path, os.urandom)
    seal_under_token(tmp_path, key, token.derive, entropy=os.urandom)
    assert how_kept(tmp_path, {}) == "token"
    assert load_storage_key(tmp_path, derive=token.derive, environ={}) == key
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["storage.sealed"]
    path = tmp_path / "keys" / "storage.sealed"
    assert key not in path.read_bytes()
    assert read_header(path).kind == "storage"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(KeyFileError, match="KEY_FILE_NOT_OPENED"):
        load_storage_key(tmp_path, derive=token.derive, environ={})


def test_only_the_keys_that_are_asked_for_are_found(token: Token, public: bytes) -> None:
    other = token.make_signing_key("320000-GO")
    ids = {signing_key_id(public), signing_key_id(other)}
    assert {one.key_id() for one in token.signers(ids, nobody_hears)} == ids
    assert token.signers({signing_key_id(bytes(32))}, nobody_hears) == []


def _refused(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        act()
    assert PIN not in str(caught.value)
    assert "wrong-pin" not in str(caught.value)
    return caught.value.code


def test_a_wrong_pin_is_tried_once(soft: SoftToken, public: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def wrong(_label: str) -> bytes:
        asked.append(1)
        return b"wrong-pin"

    pkcs11.lib(MODULE).reinitialize()  # a user who is logged in stays so in one process
    assert _refused(lambda: open_token(PLACE, wrong)) == "TOKEN_PIN"
    assert asked == [1]
    assert _refused(lambda: open_token(PLACE, lambda _label: b"\xff")) == "TOKEN_PIN"
    monkeypatch.setattr(pkcs11, "lib", lambda _module: _Locked())
    assert _refused(lambda: open_token(PLACE, wrong)) == "TOKEN_LOCKED"
    assert asked == [1]


class _Locked:
    """A library whose token has locked itself; SoftHSM2 never does."""

    flags = pkcs11.TokenFlag.USER_PIN_LOCKED

    def get_tokens(self, *, token_label: str) -> list["_Locked"]:
        return [self]


def test_a_token_that_is_not_there_is_not_asked_for_its_pin(soft: SoftToken) -> None:
    def never(_label: str) -> bytes:
        raise AssertionError("asked")

    assert _refused(lambda: open_token(Place(MODULE, "another"), never)) == "TOKEN_MISSING"
    assert _refused(lambda: open_token(Place("/nowhere/libnone.so", LABEL), never)) == "TOKEN_MISSING"


def test_a_token_that_is_pulled_out_signs_nothing_and_says_so(soft: SoftToken) -> None:
    pkcs11.lib(MODULE).reinitialize()
    token = open_token(PLACE, pin)
    public = token.make_signing_key("320900-GO")
    heard: list[SignerLost] = []
    (signer,) = token.signers({signing_key_id(public)}, heard.append)
    signer.sign(b"before")
    soft.pull()
    try:
        for count in (1, 2):
            with pytest.raises(SignerLost):
                signer.sign(b"after")
            assert len(heard) == count
        assert _refused(lambda: token.derive(b"salt")).startswith("TOKEN_")
        token.close()
    finally:
        soft.plug()
    pkcs11.lib(MODULE).reinitialize()
    (again,) = open_token(PLACE, pin).signers({signing_key_id(public)}, nobody_hears)
    assert verify_ed25519(public, again.sign(b"again"), b"again")
