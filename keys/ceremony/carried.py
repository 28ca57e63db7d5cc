"""The network directory as one file, to be carried where no network reaches: by USB stick, on paper if need be.

Canonical CBOR {0 version, 1 mark, 2 [[file name, bytes]]}, sorted by name. Nothing in it is secret, and nothing in it
is believed for being in it: whoever takes it in verifies every file, as if it had come over the network.
"""

from collections.abc import Mapping
from typing import Final

from keys.trust.metadata import is_trust_file, size_limit
from protocol import cbor
from protocol.errors import RemoteError
from protocol.fields import Fields
from protocol.limits import DIRECTORY_BYTES

CARRIED_VERSION: Final = 1
MARK: Final = "yizhan directory"
CARRIED_BYTES: Final = 8 * DIRECTORY_BYTES
"""Longest file: a directory, and five hundred roots before it."""

_FILES: Final = 1_100


def encode_carried(files: Mapping[str, bytes]) -> bytes:
    """The file that carries these trust files."""
    return cbor.dumps({0: CARRIED_VERSION, 1: MARK, 2: [[name, data] for name, data in sorted(files.items())]})


def decode_carried(data: bytes) -> dict[str, bytes]:
    """The trust files by name. Raises `RemoteError` TOO_LARGE, BAD_VERSION or MALFORMED; nothing is verified yet."""
    f = Fields(cbor.loads(data, max_bytes=CARRIED_BYTES), "a carried directory")
    f.version(CARRIED_VERSION)
    if f.text(1, len(MARK)) != MARK:
        raise RemoteError("MALFORMED", "not a carried directory")
    files: dict[str, bytes] = {}
    for pair in f.array(2, _FILES):
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str or type(pair[1]) is not bytes:
            raise RemoteError("MALFORMED", "a carried file is not a name with bytes")
        if pair[0] <= max(files, default="") or not is_trust_file(pair[0]) or len(pair[1]) > size_limit(pair[0]):
            raise RemoteError("MALFORMED", "carried files are not sorted, unknown or too long")
        files[pair[0]] = pair[1]
    f.done()
    return files
