"""The administrators' side of enrolment: what is signed and written when requests are answered.

    DIR/keys/snapshot-1.key ...      signs responses; opened by the storage key, so answering needs no passphrase of it
    DIR/requests/DIGEST.rejected     what was refused: nobody approves it afterwards by mistake

A response holds the newest generation, whether it was published or not: an office that installs it knows itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.ceremony.network import Network
from keys.enrol.enrolment import EnrolmentRequest, tls_request
from keys.enrol.response import RESPONSE_BYTES, BrokerPlace, EnrolmentResponse, make_response, verify_response
from keys.files.keyfile import Unlock, read_header, read_secret
from keys.files.private_files import read_private, write_new
from keys.files.storage_key import load_storage_key, nobody
from keys.primitives import SigningKey
from keys.tls import Authority
from keys.trust.metadata import publics_in, root_file, root_fingerprint, root_version
from protocol.errors import Refused

CERTIFICATE_DAYS: Final = 730
"""Validity of an office's TLS certificate: as long as that of its signing keys, so that both are renewed together."""


@dataclass(frozen=True, slots=True)
class Registrar:
    """What answers requests: an opened snapshot key and, where certificates are given, the authority."""

    network: Network
    key: SigningKey = field(repr=False)

    @staticmethod
    def open(root_dir: Path, network: Network, unlock: Unlock = nobody) -> "Registrar":
        """With the snapshot key that the newest root names. Raises `Refused` NOT_ENOUGH_KEYS, `KeyFileError`."""
        newest = max(version for name in network.files if (version := root_version(name)) is not None)
        publics = publics_in(network.files[root_file(newest)], "snapshot")
        for path in sorted((root_dir / "keys").glob("snapshot-*.key")):
            if read_header(path).public in publics:
                seed = read_secret(path, "snapshot", storage_key=load_storage_key(root_dir, unlock=unlock))
                return Registrar(network, SigningKey.from_seed(seed))
        raise Refused("NOT_ENOUGH_KEYS", f"no snapshot key of the newest root is in {root_dir / 'keys'}")

    def approve(
        self,
        request: EnrolmentRequest,
        authority: Authority,
        trusted: bytes,
        brokers: Sequence[BrokerPlace],
        now_us: int,
    ) -> tuple[bytes, bytes]:
        """(response, certificate) for a request whose office is in the directory.

        `trusted` are the certificates of all authorities (keys/ceremony/authorities.py), `brokers` all that are known.
        Raises `Refused` REVOKED for an office that has been revoked since.
        """
        office = self.network.directory.by_id(request.office_id)
        if office is None:
            raise ValueError("an office is answered after it was taken in")
        if office.state == "revoked":
            raise Refused("REVOKED", f"{office.address} was taken in and has been revoked since", field="request")
        certificate = authority.certify(tls_request(request).public, office.call_sign, days=CERTIFICATE_DAYS)
        own = tuple(broker for broker in brokers if broker.id in office.brokers)
        said = EnrolmentResponse(
            request=request.digest,
            network=self.network.directory.network,
            address=office.address,
            office_id=office.id,
            issued_us=now_us,
            files=self.network.files,
            certificate=certificate,
            authority=trusted,
            brokers=own,
        )
        return make_response(said, self.key), certificate

    def reject(self, request: EnrolmentRequest, reason: str, now_us: int) -> bytes:
        """The response that refuses a request for this reason, one line."""
        said = EnrolmentResponse(
            request=request.digest,
            network=self.network.directory.network,
            address=request.address,
            office_id=request.office_id,
            issued_us=now_us,
            files=self.network.files,
            reason=reason,
        )
        return make_response(said, self.key)


def note_rejection(root_dir: Path, request: EnrolmentRequest, response: bytes, reason: str) -> bytes:
    """Remember durably that this request was refused; the response to hand out.

    It is that of the first time, in case nobody could write it down then. Raises `Refused` REJECTED when the request
    was refused for another reason before; `TrustError`, `RemoteError` for a note that is damaged; `OSError`.
    """
    path = _rejected(root_dir, request)
    try:
        write_new(path, response)
    except Refused as error:
        before = read_private(path, RESPONSE_BYTES)
        if verify_response(before, request.root.hex()).reason != reason:
            raise Refused("REJECTED", "it was refused before", field=request.address) from error
        return before
    return response


def require_open(root_dir: Path, request: EnrolmentRequest) -> None:
    """Raise `Refused` REJECTED for a request that an administrator has refused."""
    if _rejected(root_dir, request).exists():
        raise Refused("REJECTED", "an administrator has refused this very request", field=request.address)


def require_root(network: Network, request: EnrolmentRequest) -> None:
    """Raise `Refused` WRONG_NETWORK for a request by an office that pinned another root than this network's."""
    known = {root_fingerprint(data) for name, data in network.files.items() if root_version(name) is not None}
    if request.root.hex() not in known:
        detail = f"it was made for the root {request.root.hex()[:16]}…, which this network never had"
        raise Refused("WRONG_NETWORK", detail, field=request.address)


def reserved_keys(network: Network) -> frozenset[bytes]:
    """The public keys of the root's roles, which no office may have."""
    roles = ("root", "targets", "snapshot", "timestamp")
    roots = [data for name, data in network.files.items() if root_version(name) is not None]
    return frozenset(public for data in roots for role in roles for public in publics_in(data, role))


def _rejected(root_dir: Path, request: EnrolmentRequest) -> Path:
    return root_dir / "requests" / f"{request.digest.hex()}.rejected"
