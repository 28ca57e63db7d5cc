"""What an office's home consists of, as far as keys and trust go: the one place that knows its files.

    HOME/keys/storage.key                      opens the others
    HOME/keys/identity.key second.key          what the office signs with: Ed25519 or SM2, and ML-DSA-65 beside it; with
                                               the first in a token, its file says in which one
    HOME/keys/prekey-1.key                     private half of the first prekey; later ones live in the store
    HOME/keys/tls.key tls.pem ca.pem           the way to brokers
    HOME/keys/request.cbor                     the enrolment request of a home that asked (keys/enrol/candidate.py)
    HOME/trust/                                keys/trust/store.py; in prekeys/ those that came along
    HOME/store/ run/ audit/                    made empty

Settings (HOME/relay.toml) are no business of this room.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from keys import tls
from keys.enrol.enrolment import NONCE_BYTES, EnrolmentRequest, Wish
from keys.files.keyfile import KEY_FILE_BYTES, read_header, read_secret, write_secret
from keys.files.private_files import make_private_directory, read_private, replace, write_new
from keys.files.storage_key import create_storage_key
from keys.hsm import Place, Token, TokenSigner
from keys.mldsa import SecondKey
from keys.prekeys import PrekeyRecord
from keys.primitives import ED25519, signing_key_id
from keys.signer import SignerLost
from keys.signing_key import PrivateKey, make_private_key, open_private_key
from protocol import cbor
from protocol.errors import Refused
from protocol.ids import Address, OfficeId

Entropy: TypeAlias = Callable[[int], bytes]
OpenToken: TypeAlias = Callable[[Place], Token]
"""What opens the token of a home; a PIN is tried once, so that a token is opened once in a run."""

TOKEN_KIND: Final = "token"  # noqa: S105 - a kind of file
"""Kind of an identity.key that holds no key, but says in which token it is."""
WORKING_DIRECTORIES: Final = ("store", "run", "audit")
_PEM_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class OfficeSecrets:
    """The keys that an office makes itself and that never leave its home. `tls_key` is PEM."""

    identity: PrivateKey | TokenSigner
    second: SecondKey
    tls_key: bytes = field(repr=False)

    @staticmethod
    def make(entropy: Entropy, algorithm: int = ED25519, identity: TokenSigner | None = None) -> "OfficeSecrets":
        """New ones; `algorithm` is that of the identity key, Ed25519 or SM2, unless a token has made it already."""
        made = identity or make_private_key(algorithm, entropy(32))
        return OfficeSecrets(made, SecondKey.from_seed(entropy(32)), tls.new_key())

    def request(
        self, kind: str, network: str, root: bytes, office_id: OfficeId, address: Address, wish: Wish, now_us: int,
        valid_us: int, entropy: Entropy,
    ) -> EnrolmentRequest:  # fmt: skip
        """What an office with these keys asks the network, valid from now on for `valid_us`; not signed yet."""
        nonce = entropy(NONCE_BYTES)
        return EnrolmentRequest(
            kind=kind,
            network=network,
            root=root,
            office_id=office_id,
            address=address,
            wish=wish,
            suite=self.identity.suite,
            identity=self.identity.public(),
            second=self.second.public(),
            tls_request=tls.make_request(self.tls_key, address, nonce),
            nonce=nonce,
            created_us=now_us,
            expires_us=now_us + valid_us,
        )


def no_token(place: Place) -> Token:
    """The `OpenToken` of those who have nobody to ask for a PIN. Raises `Refused` NO_PIN."""
    raise Refused("NO_PIN", f"{place.module}: {place.label}")


def furnish(home: Path) -> None:
    """The directories that a daemon works in."""
    for name in WORKING_DIRECTORIES:
        make_private_directory(home / name)


def keep_secrets(
    home: Path, address: Address, secrets: OfficeSecrets, entropy: Entropy, place: Place | None = None
) -> bytes:
    """Seal the keys of a new home; returns its new storage key. `place` is the token that holds the identity key.

    Raises `Refused` FILE_EXISTS, `OSError`; `ValueError` for an identity key whose seed is elsewhere, without `place`.
    """
    storage_key = create_storage_key(home, entropy)
    keep_signing_keys(home / "keys", address, secrets, storage_key, entropy, place)
    write_new(home / "keys" / "tls.key", secrets.tls_key)
    return storage_key


def keep_signing_keys(
    folder: Path, label: str, secrets: OfficeSecrets, storage_key: bytes, entropy: Entropy, place: Place | None = None
) -> None:
    """Seal what the office signs with as identity.key and second.key of the folder; `place` as in `keep_secrets`.

    Raises `Refused` FILE_EXISTS, `OSError`; `ValueError` for an identity key whose seed is elsewhere, without `place`.
    """
    identity, second = secrets.identity, secrets.second
    if place is not None:
        identity_kind, secret = TOKEN_KIND, cbor.dumps([place.module, place.label])
    elif not isinstance(identity, TokenSigner):
        identity_kind, secret = "identity", identity.seed()
    else:
        raise ValueError("an identity key without a seed is in a token")
    for name, kind, seed, public in (
        ("identity.key", identity_kind, secret, identity.public()),
        ("second.key", "second", second.seed(), second.public()),
    ):
        write_secret(folder / name, kind, seed, storage_key=storage_key, entropy=entropy, label=label, public=public)


def read_secrets(home: Path, storage_key: bytes, token: OpenToken = no_token) -> OfficeSecrets:
    """The keys of a home; `token` opens the one that holds its identity key, if one does.

    Raises `KeyFileError`; `Refused` of keys/hsm.py.
    """
    keys = home / "keys"
    place = token_of_identity(home, storage_key)
    identity: PrivateKey | TokenSigner
    if place is None:
        identity = open_private_key(keys / "identity.key", "identity", storage_key=storage_key)
    else:
        identity = read_token_identity(home, token(place), lambda _lost: None)
    return OfficeSecrets(
        identity,
        SecondKey.from_seed(read_secret(keys / "second.key", "second", storage_key=storage_key)),
        read_private(keys / "tls.key", _PEM_BYTES),
    )


def token_of_identity(home: Path, storage_key: bytes) -> Place | None:
    """The token that keys/identity.key names, None for a key in the file itself. Raises `KeyFileError`."""
    path = home / "keys" / "identity.key"
    if read_header(path).kind != TOKEN_KIND:
        return None
    module, label = cbor.loads(read_secret(path, TOKEN_KIND, storage_key=storage_key), max_bytes=KEY_FILE_BYTES)
    return Place(module, label)


def read_token_identity(home: Path, token: Token, lost: Callable[[SignerLost], None]) -> TokenSigner:
    """The key in the token that keys/identity.key names, once `token_of_identity` has said that it does.

    Raises `Refused` TOKEN_UNFIT when the token does not have it, TOKEN_MISSING.
    """
    key_id = signing_key_id(read_header(home / "keys" / "identity.key").public)
    found = token.signers({key_id}, lost)
    if len(found) != 1:
        raise Refused("TOKEN_UNFIT", f"it holds {len(found)} keys with the id {key_id.hex()}, not 1")
    return found[0]


def keep_tls(home: Path, certificate: bytes, authority: bytes) -> None:
    """Put the certificate for the TLS key of the home, and that of the authority, in their places."""
    replace(home / "keys" / "ca.pem", authority)
    replace(home / "keys" / "tls.pem", certificate)


def keep_first_prekey(
    home: Path, address: Address, record: PrekeyRecord, seed: bytes, storage_key: bytes, entropy: Entropy
) -> None:
    """Seal the private half of the first prekey. Raises `Refused` FILE_EXISTS, `OSError`."""
    path = home / "keys" / f"prekey-{record.epoch}.key"
    write_secret(path, "prekey", seed, storage_key=storage_key, entropy=entropy, label=address, public=record.public)
