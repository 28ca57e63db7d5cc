"""A home that asks to be taken into the network, and what it makes of the answer.

Making keys ends in one rename: HOME/keys is there with everything in it, or not there. The request stays
`keys/request.pending` until it was handed over, so a run that was interrupted goes on where it stopped, and one that
was not never overwrites. An answer is checked as a whole before the first file is written; installing it again after
an interruption writes what is missing.
"""

import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys import tls
from keys.enrol.enrolment import REQUEST_BYTES, EnrolmentRequest, Wish, make_request, parse_request
from keys.enrol.office_home import (
    Entropy,
    OfficeSecrets,
    furnish,
    keep_first_prekey,
    keep_secrets,
    keep_tls,
    read_secrets,
    token_of_identity,
)
from keys.enrol.response import EnrolmentResponse, pinned_root, verify_response
from keys.files.keyfile import Unlock, read_secret
from keys.files.locks import locked
from keys.files.private_files import fsync_directory, make_private_directory, read_private, write_new
from keys.files.storage_key import load_storage_key, nobody
from keys.hsm import Place, Token, TokenSigner, open_token
from keys.prekeys import make_prekey
from keys.primitives import ED25519, PREKEY_SEED_BYTES, signing_key_id, suite_for
from keys.roster.directory import Directory
from keys.roster.membership import admitted
from keys.trust.chain import chain_roots, verify_generation
from keys.trust.metadata import TrustError
from keys.trust.store import TrustStore
from protocol.errors import Refused, RemoteError
from protocol.ids import Address, OfficeId
from protocol.limits import CLOCK_AHEAD_US, OFFICE_ID_BYTES

REQUEST: Final = "request.cbor"
PENDING: Final = "request.pending"
PATIENCE_S: Final = 3.0
"""How long another run in a home is waited for."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who wants to be taken in, into which network, under which root (its fingerprint as bytes)."""

    address: Address
    network: str
    root: bytes
    wish: Wish


def apply(
    home: Path,
    who: Candidate,
    output: Path,
    now_us: int,
    *,
    valid_us: int,
    entropy: Entropy,
    algorithm: int = ED25519,
    place: Place | None = None,
    unlock: Unlock = nobody,
) -> EnrolmentRequest:
    """Make the keys of a new home, of that signature algorithm, and hand its request over as the file `output`.

    `place`: the token in which the identity key is made; `unlock` is asked for its PIN. A run that is interrupted after
    that leaves a key in the token that nobody names.
    Raises `Refused` FILE_EXISTS when the home has keys or trust, or the output exists; HOME_IN_USE while another run
    is at it; `OSError`. After any failure the same command may be run again.
    """
    keys = home / "keys"
    make_private_directory(home)
    with held(home):
        if (home / "trust" / "root.json").exists() or (keys / REQUEST).exists():
            raise Refused("FILE_EXISTS", f"{home} has keys; they are never overwritten", field=str(home))
        for left in home.glob(".init-*"):
            # Of a run that was killed: keys that nobody has seen.
            shutil.rmtree(left)
        if not (keys / PENDING).exists():
            if output.exists() or output.is_symlink():
                raise Refused("FILE_EXISTS", str(output), field="output")
            _make(home, who, now_us, valid_us, entropy, algorithm, place, unlock)
        request = read_request(keys / PENDING)
        if (request.address, request.network, request.root, request.wish, request.suite) != (
            who.address, who.network, who.root, who.wish, algorithm,
        ):  # fmt: skip
            detail = f"{home} has keys for {request.address} in {request.network}, made by a run that was interrupted"
            raise Refused("FILE_EXISTS", detail, field=str(home))
        write_again(output, request.data)
        (keys / PENDING).rename(keys / REQUEST)
        fsync_directory(keys)
    return request


def own_request(home: Path) -> EnrolmentRequest:
    """The request that this home made. Raises `Refused` NO_REQUEST, `KeyFileError`."""
    for name in (REQUEST, PENDING):
        if (home / "keys" / name).exists():
            return read_request(home / "keys" / name)
    raise Refused("NO_REQUEST", str(home), field=str(home))


def check_response(home: Path, data: bytes, now_us: int) -> tuple[EnrolmentResponse, Directory]:
    """The answer to this home's own request, with the directory that came along, or the first step that fails:

    1. It leads from the root that was pinned when the keys were made (response.py: `RemoteError`, `TrustError`).
    2. It answers this home's request (`Refused` RESPONSE_NOT_OURS), and says yes (REJECTED, with the reason).
    3. It was not made more than five minutes ahead of this clock (CLOCK_BEHIND).
    4. The trust files verify, and are not expired (`TrustError`).
    5. Their directory holds the office with the keys of the request, and the certificate is for its TLS key, by the
       authority that came along (RESPONSE_NOT_OURS).
    """
    return check_answer(own_request(home), home / "keys" / "tls.key", data, now_us)


def check_answer(
    request: EnrolmentRequest, tls_key: Path, data: bytes, now_us: int
) -> tuple[EnrolmentResponse, Directory]:
    """The same for any request of ours, whose TLS key lies in that file."""
    root = request.root.hex()
    response = verify_response(data, root)
    if response.request != request.digest:
        raise Refused("RESPONSE_NOT_OURS", f"it answers a request of {response.address}", field="response")
    if not response.approved:
        raise Refused("REJECTED", response.reason, field=request.address)
    if response.issued_us > now_us + CLOCK_AHEAD_US:
        raise Refused("CLOCK_BEHIND", "the response was issued later than it is here")
    newest = chain_roots(pinned_root(response.files, root), response.files)[-1]
    directory = verify_generation(newest, response.files, now_us=now_us).directory
    office = directory.by_id(request.office_id)
    if office is None or not admitted(directory, request) or directory.network != request.network:
        raise Refused("RESPONSE_NOT_OURS", "its directory does not hold this office with these keys", field="response")
    key = read_private(tls_key, REQUEST_BYTES)
    if response.certificate is None or response.authority is None:
        raise ValueError("an answer that says yes has a certificate")
    if not tls.fits(response.certificate, key, response.authority):
        raise Refused("RESPONSE_NOT_OURS", "its certificate is not for the TLS key of this home", field="response")
    return response, directory


def install(
    home: Path, data: bytes, now_us: int, *, entropy: Entropy, unlock: Unlock = nobody
) -> tuple[EnrolmentResponse, Directory]:
    """Take the answer into the home: trust, certificate, authority, first prekey, working directories.

    Raises what `check_response` does, and `Refused` RESPONSE_OLD when the home has newer trust; `OSError`. relay.toml
    is for the caller, who knows settings.
    """
    response, directory = check_response(home, data, now_us)
    request = own_request(home)
    with held(home):
        take_trust(home, response, request, now_us)
        storage_key = load_storage_key(home, unlock=unlock)
        secrets = read_secrets(home, storage_key, lambda place: open_token(place, unlock))
        _first_prekey(home, directory, request, secrets, storage_key, now_us, entropy)
        if response.certificate is not None and response.authority is not None:
            keep_tls(home, response.certificate, response.authority)
        furnish(home)
    return response, directory


def token_of(home: Path, unlock: Unlock = nobody) -> Place | None:
    """The token that holds the home's identity key, if one does. Raises `KeyFileError`, `Refused` NO_PASSPHRASE."""
    return token_of_identity(home, load_storage_key(home, unlock=unlock))


def _make(
    home: Path,
    who: Candidate,
    now_us: int,
    valid_us: int,
    entropy: Entropy,
    algorithm: int,
    place: Place | None,
    unlock: Unlock,
) -> None:
    """All keys and the request, in one step."""
    building = home / f".init-{os.urandom(6).hex()}"
    building.mkdir(mode=0o700)
    try:
        identity = None if place is None else key_in_token(open_token(place, unlock), who.address)
        secrets = OfficeSecrets.make(entropy, algorithm, identity)
        keep_secrets(building, who.address, secrets, entropy, place)
        office_id = OfficeId(entropy(OFFICE_ID_BYTES))
        said = secrets.request(
            "enrol", who.network, who.root, office_id, who.address, who.wish, now_us, valid_us, entropy
        )
        write_new(building / "keys" / PENDING, make_request(said, secrets.identity, secrets.second).data)
        try:
            # Over an empty directory this succeeds, over one that has keys it fails.
            (building / "keys").rename(home / "keys")
        except OSError as error:
            if (home / "keys").exists():
                raise Refused("FILE_EXISTS", f"{home / 'keys'} is never overwritten", field=str(home)) from error
            raise
        fsync_directory(home)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def key_in_token(token: Token, address: Address) -> TokenSigner:
    """A new identity key that never leaves the token."""
    public = token.make_signing_key(address)
    (signer,) = token.signers({signing_key_id(public)}, lambda _lost: None)
    return signer


def take_trust(home: Path, response: EnrolmentResponse, request: EnrolmentRequest, now_us: int) -> None:
    """Pin the root and keep the trust files, or bring what is there up to date; raises `Refused` RESPONSE_OLD."""
    store = TrustStore(home)
    try:
        store.load(now_us)
    except TrustError as error:
        if error.code != "TRUST_MISSING":
            raise
        TrustStore.install(home, response.files, now_us, root=pinned_root(response.files, request.root.hex()))
        return
    result = store.update(response.files, now_us)
    if result.code == "TRUST_ROLLBACK":
        raise Refused("RESPONSE_OLD", result.detail, field="response")
    if result.code is not None:
        raise TrustError(result.code, result.detail)


def _first_prekey(
    home: Path,
    directory: Directory,
    request: EnrolmentRequest,
    secrets: OfficeSecrets,
    storage_key: bytes,
    now_us: int,
    entropy: Entropy,
) -> None:
    """Make the first prekey, now that the network knows the office: its validity begins to run from here on."""
    target = home / "trust" / "prekeys" / f"{request.address}.cbor"
    if target.exists():
        return
    path = home / "keys" / "prekey-1.key"
    seed = read_secret(path, "prekey", storage_key=storage_key) if path.exists() else entropy(PREKEY_SEED_BYTES)
    suite = suite_for(secrets.identity.suite, directory.rules.suites)
    if suite is None:
        raise Refused("RESPONSE_NOT_OURS", "its directory allows no suite of this home's signing key", field="response")
    record = make_prekey(
        secrets.identity,
        network_id=directory.network_id,
        office_id=request.office_id,
        suite=suite,
        seed=seed,
        now_us=now_us,
        second=secrets.second,
    )
    if not path.exists():
        keep_first_prekey(home, request.address, record, seed, storage_key, entropy)
    write_new(target, record.data)


def read_request(path: Path) -> EnrolmentRequest:
    """Our own request; raises `KeyFileError`, or `Refused` BAD_REQUEST for one that the disk has damaged."""
    try:
        return parse_request(read_private(path, REQUEST_BYTES))
    except RemoteError as error:
        raise Refused("BAD_REQUEST", f"{path}: {error.detail}", field=str(path)) from error


def write_again(path: Path, data: bytes) -> None:
    """Write a file unless a run that was interrupted wrote it already. Raises `Refused` FILE_EXISTS for another."""
    if not (path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data):
        write_new(path, data)


def held(home: Path) -> AbstractContextManager[None]:
    """One run at a time in a home; raises `Refused` HOME_IN_USE when another is not done soon.

    A running relay that takes up its new keys is done in a moment, and nobody should have to run his command again.
    """
    return locked(
        home, PATIENCE_S, Refused("HOME_IN_USE", f"another `relay keys` is at work in {home}", field=str(home))
    )
