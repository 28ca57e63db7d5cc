"""New keys for an office that works: made beside those in force, vouched for by them, and used once the network knows.

    HOME/keys/next/request.cbor             the renewal that the network answers
    HOME/keys/next/tls.key                  the new TLS key, until `install` brings its certificate
    HOME/keys/next/identity.key second.key  the new signing keys, until a directory in force names them; where a token
                                            signs, the new key is made in it and the file says so

keys/next is made in one rename, and every step after that may be interrupted and done again: nothing in force is
touched before what takes its place is durable. Old signatures go on verifying: the directory keeps the old public keys.
A token keeps the old private key too, and the new one of a rotation that was given up: nothing here destroys what a
running relay may be signing with.
"""

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

from keys import tls
from keys.enrol.candidate import check_answer, held, key_in_token, read_request, take_trust, write_again
from keys.enrol.enrolment import EnrolmentRequest, Wish, make_request
from keys.enrol.office_home import (
    Entropy,
    OfficeSecrets,
    OpenToken,
    keep_signing_keys,
    keep_tls,
    no_token,
    read_secrets,
    token_of_identity,
)
from keys.enrol.response import EnrolmentResponse
from keys.files.keyfile import KEY_FILE_BYTES, read_header
from keys.files.private_files import erase, fsync_directory, make_private_directory, read_private, replace, write_new
from keys.hsm import Place, Token
from keys.primitives import ED25519, signature_suite, signing_key_id
from keys.roster.directory import Directory
from keys.trust.store import Trust
from protocol.errors import Refused
from protocol.ids import Address, KeyId, OfficeId

NEXT: Final = "next"
REQUEST: Final = "request.cbor"
WHAT: Final = ("identity", "tls")
"""What can be renewed: the signing keys, and the TLS key with them; or the TLS key alone."""


def begin(
    home: Path, what: str, office: OfficeId, trust: Trust, output: Path, now_us: int, *, valid_us: int,
    entropy: Entropy, storage_key: bytes, token: OpenToken = no_token, algorithm: int | None = None,
) -> EnrolmentRequest:  # fmt: skip
    """Make the new keys beside the old ones and hand the request over as the file `output`.

    `algorithm` is that of a new identity key, by default that of the one in force; `token` opens the token that holds
    this one, and is asked to make the new one. Where a rotation of the same kind has begun already, its request is
    handed over again.
    Raises `Refused` FILE_EXISTS for an output that exists or a rotation of the other kind, BAD_FIELD for an algorithm
    of no allowed suite or that no token knows, HOME_IN_USE, and those of keys/hsm.py; `KeyFileError`; `OSError`.
    """
    if algorithm is not None and not trust.directory.allows(algorithm):
        raise Refused("BAD_FIELD", "the network does not allow that suite", field="suite")
    record = trust.directory.by_id(office)
    if record is None:
        raise Refused("REVOKED", "this office is not in the network directory")
    place = token_of_identity(home, storage_key)
    if place is not None and algorithm not in (None, ED25519):
        raise Refused("BAD_FIELD", "a key in a token is of Ed25519", field="suite")
    with held(home):
        for left in (home / "keys").glob(".next-*"):
            shutil.rmtree(left)
        if (home / "keys" / NEXT).exists() and pending(home) is None:
            # What an interrupted removal left.
            _remove(home / "keys" / NEXT)
        if not (home / "keys" / NEXT).exists():
            if output.exists() or output.is_symlink():
                raise Refused("FILE_EXISTS", str(output), field="output")
            opened = None if place is None else token(place)
            inforce = read_secrets(home, storage_key, token)
            fresh = _fresh(what, inforce, entropy, algorithm, opened, record.address)
            root = bytes.fromhex(trust.root_fingerprint)
            said = fresh.request(
                "renew", trust.directory.network, root, office, record.address, Wish(), now_us, valid_us, entropy
            )
            made = make_request(said, fresh.identity, fresh.second, inforce.identity)
            _write(home, what, made, fresh, storage_key, entropy, None if opened is None else opened.place)
        request = pending(home)
        if request is None or what != kind_of(home) or algorithm not in (None, request.suite):
            detail = f"a rotation of {kind_of(home)} has begun in {home}; install its answer, or `keys rotate cancel`"
            raise Refused("FILE_EXISTS", detail, field=str(home))
        write_again(output, request.data)
    return request


def pending(home: Path) -> EnrolmentRequest | None:
    """The request of a rotation that waits for its answer, if there is one. Raises `KeyFileError`, `Refused`."""
    path = home / "keys" / NEXT / REQUEST
    return read_request(path) if path.exists() else None


def kind_of(home: Path) -> str:
    """What the rotation that waits is of."""
    return "identity" if (home / "keys" / NEXT / "identity.key").exists() else "tls"


def cancel(home: Path) -> bool:
    """Give up a rotation that was not answered, and its keys; whether there was one. Raises `Refused` HOME_IN_USE."""
    folder = home / "keys" / NEXT
    with held(home):
        if not folder.exists():
            return False
        _remove(folder)
    return True


def install(home: Path, data: bytes, now_us: int, *, running: bool) -> tuple[EnrolmentResponse, Directory]:
    """Take the network's answer to a rotation: the certificate at once, and trust where no daemon is at it.

    The signing keys follow by `adopt`, which the daemon calls, and the next start. May be run again after an
    interruption. Raises what `candidate.check_response` does, `Refused` RESPONSE_OLD; `OSError`.
    """
    request = pending(home)
    if request is None:
        raise Refused("NO_REQUEST", str(home), field=str(home))
    folder = home / "keys" / NEXT
    key = folder / "tls.key"
    if not key.exists():
        # Interrupted behind the last step for TLS.
        key = home / "keys" / "tls.key"
    response, directory = check_answer(request, key, data, now_us)
    with held(home):
        if not running:
            take_trust(home, response, request, now_us)
        replace(home / "keys" / "tls.key", read_private(key, KEY_FILE_BYTES))
        if response.certificate is not None and response.authority is not None:
            keep_tls(home, response.certificate, response.authority)
        erase(folder / "tls.key")
        if kind_of(home) == "tls":
            _remove(folder)
    return response, directory


def waiting_key(home: Path) -> KeyId | None:
    """The id of the new signing key that is not used yet, if there is one. Raises `KeyFileError`."""
    path = home / "keys" / NEXT / "identity.key"
    if not path.exists():
        return None
    public = read_header(path).public
    return None if signature_suite(public) is None else signing_key_id(public)


def key_in_place(home: Path) -> KeyId:
    """The id of the signing key in force, by its file. Raises `KeyFileError`."""
    return signing_key_id(read_header(home / "keys" / "identity.key").public)


def adopt(home: Path, named: Collection[KeyId]) -> bool:
    """Put the new signing keys into force if the directory names them (`named`: its ids); whether it did.

    The second key goes first: with either of them in place, what the home signs is by keys that the directory names.
    Raises `KeyFileError`, `Refused` HOME_IN_USE, `OSError`.
    """
    keys, folder = home / "keys", home / "keys" / NEXT
    waiting = waiting_key(home)
    if waiting is None and folder.exists() and pending(home) is None:
        with held(home):
            # What an interrupted removal left.
            _remove(folder)
    if waiting not in named:
        return False
    with held(home):
        for name in ("second.key", "identity.key"):
            old = folder / f"{name}.old"
            if (folder / name).exists():
                if (keys / name).exists() and not old.exists():
                    # A name of its own for the old file, so that its blocks can be overwritten when it is replaced.
                    os.link(keys / name, old)
                replace(keys / name, read_private(folder / name, KEY_FILE_BYTES))
            erase(old)
        if not (folder / "tls.key").exists():
            _remove(folder)
        else:
            # Its certificate is still to come.
            for name in ("second.key", "identity.key"):
                erase(folder / name)
    return True


def _fresh(
    what: str, inforce: OfficeSecrets, entropy: Entropy, algorithm: int | None, token: Token | None, address: Address
) -> OfficeSecrets:
    if what == "tls":
        return OfficeSecrets(inforce.identity, inforce.second, tls.new_key())
    made = None if token is None else key_in_token(token, address)
    return OfficeSecrets.make(entropy, inforce.identity.suite if algorithm is None else algorithm, made)


def _write(
    home: Path, what: str, request: EnrolmentRequest, fresh: OfficeSecrets, storage_key: bytes, entropy: Entropy,
    place: Place | None,
) -> None:  # fmt: skip
    """All of keys/next, in one step."""
    building = home / "keys" / f".next-{os.urandom(6).hex()}"
    make_private_directory(building)
    try:
        if what == "identity":
            keep_signing_keys(building, request.address, fresh, storage_key, entropy, place)
        write_new(building / "tls.key", fresh.tls_key)
        write_new(building / REQUEST, request.data)
        building.rename(home / "keys" / NEXT)
        fsync_directory(home / "keys")
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Erase what is left of keys/next; the request goes first, so that an interrupted removal is recognised."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name != REQUEST):
        erase(path)
    folder.rmdir()
    fsync_directory(folder.parent)
