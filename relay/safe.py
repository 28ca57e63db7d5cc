"""What opens the keys of a home: one way for the daemon and for every command that works without it.

HOME/keys, systemd credentials, passphrase, token  ->  the storage key, and what signs for the office
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from config.load import load
from config.schema import Hsm
from keys.hsm import Place, Token, open_token
from keys.keyfile import Unlock
from keys.private_files import credential
from keys.signer import Signer, SignerLost
from keys.storage_key import load_storage_key
from keys.trust.store import Trust
from protocol.errors import Refused
from protocol.ids import OfficeId
from relay.opening import read_signing_key

PIN_CREDENTIAL: Final = "relay.pin"
"""Name of the systemd credential that may hold the token's PIN, as its first line."""
PIN_LABEL: Final = "token"
"""Under this label `Unlock` is asked for the PIN."""


class Safe:
    """The opened keys of one home. A token is opened once, when it is needed first, and its PIN tried once."""

    def __init__(self, home: Path, unlock: Unlock, lost: Callable[[SignerLost], None]) -> None:
        """`unlock` is asked for what no credential holds; `lost` hears when a token stops signing.

        Raises `KeyFileError`; `Refused` NO_PASSPHRASE, NO_PIN, TOKEN_MISSING, TOKEN_PIN, TOKEN_LOCKED.
        """
        self._home = home
        self._unlock = unlock
        self._lost = lost
        self._token: Token | None = None
        self.storage_key = load_storage_key(home, unlock=unlock, derive=self._derive)

    def signer(self, office: OfficeId, trust: Trust) -> Signer:
        """What signs for the office: keys/identity.key, or the key in the token that the directory names.

        Raises `KeyFileError`; `Refused` BAD_KEYS and like the constructor.
        """
        if (self._home / "keys" / "identity.key").exists() or not _settings(self._home).module:
            return read_signing_key(self._home, self.storage_key, office, trust)
        record = trust.directory.by_id(office)
        ids = set() if record is None else {key.key_id for key in record.keys}
        signers = self.token().signers(ids, self._lost)
        if not signers:
            raise Refused("BAD_KEYS", "the token holds no key that the directory names for this office")
        return signers[0]

    def token(self) -> Token:
        """The token of [hsm], opened."""
        if self._token is None:
            self._token = open_token_of(self._home, self._unlock)
        return self._token

    def _derive(self, salt: bytes) -> bytes:
        return self.token().derive(salt)


def open_storage_key(home: Path, unlock: Unlock) -> bytes:
    """The storage key of a home. Raises like `Safe`."""
    return Safe(home, unlock, _nobody_hears).storage_key


def open_token_of(home: Path, unlock: Unlock) -> Token:
    """The token that the home's settings name. Raises `ConfigError`, and `Refused` like `Safe`."""
    settings = _settings(home)
    if not settings.module:
        raise Refused("BAD_CONFIG", "[hsm] module is not set", field="hsm.module")
    return open_token(Place(settings.module, settings.token), lambda: _pin(unlock))


def _settings(home: Path) -> Hsm:
    return load(home).settings.hsm


def _pin(unlock: Unlock) -> bytes:
    given = credential(PIN_CREDENTIAL)
    pin = unlock(PIN_LABEL) if given is None else given.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    if not pin:
        raise Refused("NO_PIN")
    return pin


def _nobody_hears(_lost: SignerLost) -> None:
    """A command ends with the error itself."""
