"""What opens the keys of a home: one way for the daemon and for every command that works without it.

HOME/keys, systemd credentials, passphrase, token  ->  the storage key, and what signs for the office
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from config.load import load
from keys.enrol.office_home import read_token_identity, token_of_identity
from keys.files.keyfile import Unlock
from keys.files.storage_key import load_storage_key
from keys.hsm import Place, Token, open_token
from keys.signer import Signer, SignerLost
from keys.trust.store import Trust
from protocol.errors import Refused
from protocol.ids import OfficeId
from relay.opening import read_signing_key, require_known

NEXT_STORAGE_KEY: Final = "storage.next"
"""In HOME/keys while the storage key is rotated: then each thing opens with the old one or with the new one."""


class Safe:
    """The opened keys of one home. A token is opened once, when it is needed first, and its PIN tried once."""

    def __init__(self, home: Path, unlock: Unlock, lost: Callable[[SignerLost], None]) -> None:
        """`unlock` is asked for what no credential holds; `lost` hears when a token stops signing.

        Raises `KeyFileError`; `ConfigError`; `Refused` NO_PASSPHRASE, NO_PIN, TOKEN_MISSING, TOKEN_PIN, TOKEN_LOCKED.
        """
        self._home = home
        self._unlock = unlock
        self._lost = lost
        self._token: Token | None = None
        self.storage_key = load_storage_key(home, unlock=unlock, derive=self._derive)

    def signer(self, office: OfficeId, trust: Trust) -> Signer:
        """What signs for the office: the seed in keys/identity.key, or the key in the token that this file names.

        Raises `KeyFileError`; `Refused` BAD_KEYS and like the constructor.
        """
        place = token_of_identity(self._home, self.storage_key)
        if place is None:
            return read_signing_key(self._home, self.storage_key, office, trust)
        signer = read_token_identity(self._home, self.token(place), self._lost)
        require_known(signer, office, trust)
        return signer

    def token(self, place: Place | None = None) -> Token:
        """The token of [hsm], else the one at `place`, opened. Raises `ConfigError`, and `Refused` like `Safe`."""
        if self._token is None:
            settings = load(self._home).settings.hsm
            if settings.module:
                place = Place(settings.module, settings.token)
            if place is None:
                raise Refused("BAD_CONFIG", "[hsm] module is not set", field="hsm.module")
            self._token = open_token(place, self._unlock)
        return self._token

    def _derive(self, salt: bytes) -> bytes:
        return self.token().derive(salt)


def require_no_rotation(home: Path) -> None:
    """Raises `Refused` ROTATION_UNFINISHED for a home whose storage key was being rotated when it was interrupted."""
    path = home / "keys" / NEXT_STORAGE_KEY
    if path.exists():
        raise Refused("ROTATION_UNFINISHED", str(path))


def open_safe(home: Path, unlock: Unlock) -> Safe:
    """The safe of a home, for a command. Raises like `Safe`, and `Refused` ROTATION_UNFINISHED."""
    require_no_rotation(home)
    return Safe(home, unlock, nobody_hears)


def nobody_hears(_lost: SignerLost) -> None:
    """A command ends with the error itself."""
