"""Secrets at rest: one sealed file per secret, opened by the office's storage key or by a passphrase.

A file is canonical CBOR: {0 version, 1 kind, 2 label, 3 wrap, 4 nonce, 5 public part, 6 ciphertext}. `wrap` is null for
the storage key, else [salt, memory KiB, iterations, lanes] of Argon2id (RFC 9106). The ciphertext is AES-256-GCM under
a key of this file alone; everything else in the file is associated data, so no byte can change unnoticed.
Why not PKCS#8: its encryption derives the key with 2,048 rounds of PBKDF2, and has no place for the kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from keys.files.private_files import KeyFileError, read_private, replace, write_new
from keys.files.tries import count_wrong, forget_wrong
from keys.primitives import NotAuthentic, aes_gcm_open, aes_gcm_seal, argon2id, hkdf
from protocol import cbor
from protocol.errors import RemoteError

KEY_FILE_VERSION: Final = 1
KEY_FILE_BYTES: Final = 64 * 1024
"""Longest key file: room for the largest post-quantum private key and its public part."""

STORAGE_KEY_BYTES: Final = 32

Unlock: TypeAlias = Callable[[str], bytes | None]
"""From a key's label, such as `root-2` or `storage`, to its passphrase; None when its holder is not there."""

_NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16
_PURPOSE: Final = b"relay/1/keyfile"


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one guess of a passphrase costs. The default takes 64 MiB and about 0.25 s."""

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 1

    def __post_init__(self) -> None:
        # The bounds hold for files too: a forged cost must not be able to take the machine's memory.
        if not (8 <= self.memory_kib <= 1024 * 1024 and 1 <= self.iterations <= 16 and 1 <= self.lanes <= 16):
            raise ValueError("Argon2id cost out of bounds: memory 8 KiB to 1 GiB, iterations and lanes 1 to 16")
        if self.memory_kib < 8 * self.lanes:
            raise ValueError("Argon2id takes at least 8 KiB for each lane")


PRODUCTION_COST: Final = Argon2Cost()
LAB_COST: Final = Argon2Cost(memory_kib=64, iterations=1)
"""For unattended laboratories, whose passphrase lies beside the key: cheap, so that a network is made in a second."""


@dataclass(frozen=True, slots=True)
class KeyFileHeader:
    """What a key file says without being opened. Not authenticated until `read_secret` has opened the file."""

    kind: str
    label: str
    sealed_by: str
    """`storage` or `passphrase`."""
    public: bytes


def write_secret(
    path: Path,
    kind: str,
    secret: bytes,
    *,
    storage_key: bytes | None = None,
    passphrase: bytes | None = None,
    entropy: Callable[[int], bytes],
    label: str = "",
    public: bytes = b"",
    cost: Argon2Cost = PRODUCTION_COST,
) -> None:
    """Seal `secret` into a new file of mode 0600, under the storage key or under a passphrase, not both.

    `kind` is what the secret is for (`identity`, `prekey`, `root`, ...) and must be named again to read it;
    `label` and `public` stay readable. `entropy(n)` gives n random bytes.
    Raises `Refused` FILE_EXISTS; `ValueError` for no key or two, or an empty passphrase.
    """
    sealed = seal_secret(
        kind, secret, storage_key=storage_key, passphrase=passphrase, entropy=entropy, label=label, public=public,
        cost=cost,
    )  # fmt: skip
    write_new(path, sealed)


def seal_secret(
    kind: str,
    secret: bytes,
    *,
    storage_key: bytes | None = None,
    passphrase: bytes | None = None,
    entropy: Callable[[int], bytes],
    label: str = "",
    public: bytes = b"",
    cost: Argon2Cost = PRODUCTION_COST,
) -> bytes:
    """The bytes of a key file. Raises `ValueError` like `write_secret`."""
    salt = entropy(_SALT_BYTES) if passphrase is not None else None
    wrap = None if salt is None else [salt, cost.memory_kib, cost.iterations, cost.lanes]
    nonce = entropy(_NONCE_BYTES)
    header = {0: KEY_FILE_VERSION, 1: kind, 2: label, 3: wrap, 4: nonce, 5: public}
    key = _file_key(wrap, nonce, storage_key, passphrase)
    sealed = aes_gcm_seal(key, nonce, secret, _PURPOSE + cbor.dumps(header))
    return cbor.dumps({**header, 6: sealed})


def read_secret(path: Path, kind: str, *, storage_key: bytes | None = None, passphrase: bytes | None = None) -> bytes:
    """The secret of a key file. Wrong passphrases are counted beside it (keys/files/tries.py), until a right one comes.

    Raises `KeyFileError`: KEY_FILE_MISSING, KEY_FILE_MODE, KEY_FILE_UNREADABLE, KEY_FILE_DAMAGED (not a whole key
    file), KEY_FILE_KIND (a secret for another purpose), or KEY_FILE_NOT_OPENED, which does not tell a wrong
    passphrase from an altered file. `ValueError` for no key or two.
    """
    data = read_private(path, KEY_FILE_BYTES)
    if passphrase is None:
        return open_secret(path, data, kind, storage_key=storage_key)
    try:
        secret = open_secret(path, data, kind, storage_key=storage_key, passphrase=passphrase)
    except KeyFileError as error:
        if error.code == "KEY_FILE_NOT_OPENED":
            count_wrong(path)
        raise
    forget_wrong(path)
    return secret


def open_secret(
    path: Path,
    data: bytes,
    kind: str,
    *,
    storage_key: bytes | None = None,
    passphrase: bytes | None = None,
    max_bytes: int = KEY_FILE_BYTES,
) -> bytes:
    """The secret in the bytes of a key file; `path` is where they came from. Raises like `read_secret`."""
    if (storage_key is None) == (passphrase is None):
        raise ValueError("a key file takes the storage key or a passphrase, one of the two")
    header, sealed = _parse(path, data, max_bytes)
    if header[1] != kind:
        raise KeyFileError("KEY_FILE_KIND", path, f"it holds a secret of kind {header[1]!r}, not {kind!r}")
    if (header[3] is None) != (passphrase is None):
        wants = "the storage key" if header[3] is None else "a passphrase"
        raise KeyFileError("KEY_FILE_NOT_OPENED", path, f"it is sealed under {wants}")
    key = _file_key(header[3], header[4], storage_key, passphrase)
    try:
        return aes_gcm_open(key, header[4], sealed, _PURPOSE + cbor.dumps(header))
    except NotAuthentic as error:
        raise KeyFileError("KEY_FILE_NOT_OPENED", path, "it does not open") from error


def change_passphrase(
    path: Path, old: bytes, new: bytes, *, entropy: Callable[[int], bytes], cost: Argon2Cost = PRODUCTION_COST
) -> None:
    """The same secret under another passphrase, in the same file: a crash leaves the old file or the new one.

    Copies of the file that were made before still open with the old passphrase.
    Raises `KeyFileError` like `read_secret`; `ValueError` for an empty new passphrase; `OSError`.
    """
    header = read_header(path)
    secret = read_secret(path, header.kind, passphrase=old)
    sealed = seal_secret(
        header.kind, secret, passphrase=new, entropy=entropy, label=header.label, public=header.public, cost=cost
    )
    replace(path, sealed)


def read_header(path: Path, max_bytes: int = KEY_FILE_BYTES) -> KeyFileHeader:
    """What the file says of itself, unopened. Raises `KeyFileError` like `read_secret`."""
    header, _ = _parse(path, read_private(path, max_bytes), max_bytes)
    return KeyFileHeader(header[1], header[2], "storage" if header[3] is None else "passphrase", header[5])


def _parse(path: Path, data: bytes, max_bytes: int) -> tuple[dict[int, Any], bytes]:
    """(header, ciphertext) of bytes of the right shape; raises `KeyFileError`."""
    if not data:
        raise KeyFileError("KEY_FILE_DAMAGED", path, "it is empty")
    try:
        value = cbor.loads(data, max_bytes=max_bytes)
    except RemoteError as error:
        raise KeyFileError("KEY_FILE_DAMAGED", path, f"it is cut short or altered ({error.detail})") from error
    if not isinstance(value, dict) or value.keys() != set(range(7)):
        raise KeyFileError("KEY_FILE_DAMAGED", path, "it is not a key file")
    if value[0] != KEY_FILE_VERSION or type(value[0]) is not int:
        raise KeyFileError("KEY_FILE_DAMAGED", path, "it is of a version that this program does not know")
    _, kind, label, wrap, nonce, public, sealed = (value[number] for number in range(7))
    shaped = (
        type(kind) is str
        and type(label) is str
        and type(nonce) is bytes
        and len(nonce) == _NONCE_BYTES
        and type(public) is bytes
        and type(sealed) is bytes
        and (wrap is None or _is_wrap(wrap))
    )
    if not shaped:
        raise KeyFileError("KEY_FILE_DAMAGED", path, "it is not a key file")
    del value[6]
    return value, sealed


def _is_wrap(wrap: object) -> bool:
    """Whether the value is [salt, memory, iterations, lanes] within bounds."""
    if not isinstance(wrap, list) or len(wrap) != 4 or type(wrap[0]) is not bytes or len(wrap[0]) != _SALT_BYTES:
        return False
    if not all(type(number) is int for number in wrap[1:]):
        return False
    try:
        Argon2Cost(*wrap[1:])
    except ValueError:
        return False
    return True


def _file_key(wrap: list[Any] | None, nonce: bytes, storage_key: bytes | None, passphrase: bytes | None) -> bytes:
    """The 32-byte key of one file; the nonce makes it the file's own, so that no nonce serves one key twice."""
    if storage_key is not None and passphrase is None:
        if len(storage_key) != STORAGE_KEY_BYTES:
            raise ValueError(f"a storage key has {STORAGE_KEY_BYTES} bytes")
        base = storage_key
    elif passphrase is not None and storage_key is None:
        if not passphrase or wrap is None:
            raise ValueError("an empty passphrase protects nothing")
        salt, memory_kib, iterations, lanes = wrap
        base = argon2id(passphrase, salt, memory_kib=memory_kib, iterations=iterations, lanes=lanes, length=32)
    else:
        raise ValueError("a key file takes the storage key or a passphrase, one of the two")
    return hkdf(base, _PURPOSE + b"/key" + nonce, 32)
