"""Keys that never leave a token (PKCS#11, extra `hsm`); the only importer of python-pkcs11.

What a token holds for a home, found by these labels and ids:

    Ed25519 key pair        label: the office's address, id: the key id of the directory (16 bytes); signs
    32-byte secret          label: `yizhan-storage`; its HMAC-SHA-256 over a salt is the key of keys/storage.sealed

A token locks itself after a few wrong PINs, and nobody but its security officer unlocks it: a PIN is tried once, and
nothing here tries again. A token that is lost is not looked for again either: the relay ends, and its next start finds
the token or says that it is missing.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from keys.files.keyfile import Unlock
from keys.files.private_files import credential
from keys.primitives import signing_key_id
from keys.signer import SignerLost
from protocol.errors import Refused
from protocol.ids import KeyId

PIN_CREDENTIAL: Final = "relay.pin"
"""Name of the systemd credential that may hold the token's PIN, as its first line."""
PIN_LABEL: Final = "token"
"""Under this label `Unlock` is asked for the PIN."""
STORAGE_LABEL: Final = "yizhan-storage"
STORAGE_BITS: Final = 256

_ED25519_NAME: Final = b"\x13\x0cedwards25519"
"""CKA_EC_PARAMS of Ed25519: its name as a PrintableString (PKCS#11 v3.0 section 2.3.5)."""
_ED25519_OID: Final = bytes.fromhex("06032b6570")
"""The same as an object identifier (RFC 8410), for tokens that take no names."""
_POINT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a token is: the vendor's PKCS#11 library, and the label of the token in it."""

    module: str
    label: str


class Token:
    """A token that was opened with its PIN; may be used from any thread."""

    def __init__(self, place: Place, session: Any) -> None:
        self.place: Final = place
        self._session = session
        self._lock = Lock()

    def signers(self, key_ids: Collection[KeyId], lost: Callable[[SignerLost], None]) -> "list[TokenSigner]":
        """The private keys with these ids; `lost` hears of it when one does not sign any more.

        Raises `Refused` TOKEN_MISSING.
        """
        import pkcs11

        with self._lock, _said(self.place):
            found = self._session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY})
            publics = [_public_of(one) for one in found if bytes(one.id) in key_ids]
        signers = []
        for public in publics:
            with self._lock, _said(self.place):
                private = self._session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, id=signing_key_id(public))
            signers.append(TokenSigner(private, public, self._lock, lost))
        return signers

    def make_signing_key(self, label: str) -> bytes:
        """A new Ed25519 key in the token, which never gives it away; the 32 public bytes.

        Raises `Refused` TOKEN_MISSING, TOKEN_UNFIT for a token without Ed25519.
        """
        import pkcs11

        for parameters in (_ED25519_NAME, _ED25519_OID):
            with self._lock, _said(self.place):
                try:
                    public = self._generate(parameters, label)
                except (pkcs11.DomainParamsInvalid, pkcs11.AttributeValueInvalid, pkcs11.MechanismInvalid):
                    continue
                return public
        raise Refused("TOKEN_UNFIT", f"{self.place.label} makes no Ed25519 keys")

    def _generate(self, parameters: bytes, label: str) -> bytes:
        import pkcs11

        kept = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
        domain = self._session.create_domain_parameters(
            pkcs11.KeyType.EC_EDWARDS, {pkcs11.Attribute.EC_PARAMS: parameters}, local=True
        )
        public, private = domain.generate_keypair(
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=label, private_template=kept
        )
        found = _public_of(public)
        # The id is that of the directory, and it is known only now.
        for half in (public, private):
            half[pkcs11.Attribute.ID] = signing_key_id(found)
        return found

    def make_storage_secret(self) -> None:
        """The secret behind `derive`, if the token has none yet. Raises `Refused` TOKEN_MISSING."""
        import pkcs11

        with self._lock, _said(self.place):
            if not list(self._session.get_objects(self._storage_template())):
                self._session.generate_key(
                    pkcs11.KeyType.GENERIC_SECRET,
                    STORAGE_BITS,
                    label=STORAGE_LABEL,
                    store=True,
                    template={
                        pkcs11.Attribute.SENSITIVE: True,
                        pkcs11.Attribute.EXTRACTABLE: False,
                        pkcs11.Attribute.SIGN: True,
                    },
                )

    def derive(self, salt: bytes) -> bytes:
        """HMAC-SHA-256 of the salt under the secret in the token. Raises `Refused` TOKEN_MISSING, TOKEN_UNFIT."""
        import pkcs11

        with self._lock, _said(self.place):
            found = list(self._session.get_objects(self._storage_template()))
            if len(found) != 1:
                raise Refused("TOKEN_UNFIT", f"{self.place.label} has {len(found)} secrets {STORAGE_LABEL}, not 1")
            return bytes(found[0].sign(salt, mechanism=pkcs11.Mechanism.SHA256_HMAC))

    @staticmethod
    def _storage_template() -> dict[Any, Any]:
        import pkcs11

        return {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, pkcs11.Attribute.LABEL: STORAGE_LABEL}

    def close(self) -> None:
        """Log out. Nothing is said of a token that is gone."""
        import pkcs11

        with self._lock:
            try:
                self._session.close()
            except pkcs11.PKCS11Error:
                return


class TokenSigner:
    """A `Signer` whose private key is in a token."""

    __slots__ = ("_lock", "_lost", "_private", "_public")

    def __init__(self, private: Any, public: bytes, lock: Lock, lost: Callable[[SignerLost], None]) -> None:
        self._private = private
        self._public = public
        self._lock = lock
        self._lost = lost

    @property
    def suite(self) -> int:
        """0: Ed25519."""
        return 0

    def public(self) -> bytes:
        """The 32 public bytes."""
        return self._public

    def key_id(self) -> KeyId:
        """The id of the public key."""
        return signing_key_id(self._public)

    def sign(self, data: bytes) -> bytes:
        """A signature of 64 bytes. Raises `SignerLost` when the token does not answer, and tells whoever must know."""
        import pkcs11

        try:
            # A session does one thing at a time (PKCS#11 v3.0 section 5.2).
            with self._lock:
                return bytes(self._private.sign(data, mechanism=pkcs11.Mechanism.EDDSA))
        except pkcs11.PKCS11Error as error:
            gone = SignerLost(f"the token does not sign: {_name(error)}")
            self._lost(gone)
            raise gone from error

    def __repr__(self) -> str:
        return f"TokenSigner({self.key_id().hex()})"


def open_token(place: Place, unlock: Unlock) -> Token:
    """The token, opened. The PIN is the credential `relay.pin`, else `unlock` is asked, when the token is there; it is
    tried once.

    Raises `Refused` TOKEN_MISSING (no such library or token), NO_PIN, TOKEN_PIN, TOKEN_LOCKED, and BAD_CONFIG where the
    extra `hsm` is not installed.
    """
    try:
        import pkcs11
    except ImportError:
        raise Refused("BAD_CONFIG", "the extra hsm (python-pkcs11) is not installed", field="hsm.module") from None
    with _said(place):
        found = list(pkcs11.lib(place.module).get_tokens(token_label=place.label))
    if len(found) != 1:
        raise Refused("TOKEN_MISSING", f"{place.module} has {len(found)} tokens {place.label}")
    (token,) = found
    if pkcs11.TokenFlag.USER_PIN_LOCKED in token.flags:
        raise Refused("TOKEN_LOCKED", place.label)
    given = _pin(unlock)
    with _said(place):
        try:
            return Token(place, token.open(rw=True, user_pin=given.decode()))
        except UnicodeDecodeError:
            raise Refused("TOKEN_PIN", f"{place.label}: the PIN is no text") from None


def _pin(unlock: Unlock) -> bytes:
    given = credential(PIN_CREDENTIAL)
    pin = unlock(PIN_LABEL) if given is None else given.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    if not pin:
        raise Refused("NO_PIN")
    return pin


@contextmanager
def _said(place: Place) -> Iterator[None]:
    """What the library says, in our codes. Neither says the PIN."""
    import pkcs11

    try:
        yield
    except pkcs11.PinLocked:
        raise Refused("TOKEN_LOCKED", place.label) from None
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinExpired) as error:
        raise Refused("TOKEN_PIN", f"{place.label}: {_name(error)}") from None
    except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned) as error:
        raise Refused("TOKEN_UNFIT", f"{place.label}: {_name(error)}") from None
    except pkcs11.PKCS11Error as error:
        raise Refused("TOKEN_MISSING", f"{place.label}: {_name(error)}") from None


def _name(error: Exception) -> str:
    """The kind of an error, and what the library wrote about it."""
    return ": ".join(part for part in (type(error).__name__, str(error)) if part)


def _public_of(public: Any) -> bytes:
    """The 32 bytes in CKA_EC_POINT, which tokens give as they are or as a DER OCTET STRING."""
    import pkcs11

    point = bytes(public[pkcs11.Attribute.EC_POINT])
    if len(point) == _POINT_BYTES + 2 and point[:2] == b"\x04\x20":
        point = point[2:]
    if len(point) != _POINT_BYTES:
        raise Refused("TOKEN_UNFIT", f"a public key of {len(point)} bytes is no Ed25519 key")
    return point
