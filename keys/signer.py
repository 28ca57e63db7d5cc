"""What signs: a key of some algorithm, wherever it is kept."""

from typing import Protocol

from protocol.ids import KeyId


class SignerLost(Exception):
    """A private key cannot be reached any more: its token was pulled out, or its module ended.

    Nothing was signed, so nothing that needed the signature was said. Only a new start looks for the token again.
    """


class Signer(Protocol):
    """A private signing key, in memory or in a token. Signing may be called from any thread."""

    @property
    def suite(self) -> int:
        """Number of the signature algorithm in the directory: 0 is Ed25519, 3 is SM2."""
        ...

    def public(self) -> bytes:
        """The public key, in the form that the directory holds."""
        ...

    def key_id(self) -> KeyId:
        """The id of the public key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`. Raises `SignerLost` when the key is in a token that does not answer."""
        ...
