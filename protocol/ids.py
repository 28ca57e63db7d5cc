"""Names of things: addresses, message ids, office ids, and their one canonical text form."""

import re
import uuid
from typing import Final, NewType

from protocol.errors import Refused

Address = NewType("Address", str)
"""What people write: `320924-GO`. May change when an office is reorganised."""
OfficeId = NewType("OfficeId", bytes)
"""16 random bytes that stay with an office for life, whatever its address."""
NetworkId = NewType("NetworkId", bytes)
"""16 random bytes, made with the network's first root."""
MessageId = NewType("MessageId", bytes)
"""The 16 bytes of an RFC 9562 UUID, unique per sending office."""
KeyId = NewType("KeyId", bytes)
"""First 16 bytes of SHA-256 over the key's suite and public bytes."""
Digest = NewType("Digest", bytes)
"""32 bytes of SHA-256."""
Epoch = NewType("Epoch", bytes)
"""8 random bytes; one life of a home between restores (D11)."""
StartId = NewType("StartId", bytes)
"""8 random bytes; one start of a home (D11)."""

_ADDRESS: Final = re.compile(r"(?:[0-9]{6}|[0-9]{9})-[A-Z]{1,2}[0-9]{0,4}")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_GROUP: Final = re.compile(r"@[a-z][a-z0-9_-]{0,62}")


def is_address(text: str) -> bool:
    """Whether `text` has the form of an address."""
    return _ADDRESS.fullmatch(text) is not None


def is_group(text: str) -> bool:
    """Whether `text` has the form of a group name such as `@cities`."""
    return _GROUP.fullmatch(text) is not None


def parse_address(text: str, *, field: str = "to") -> Address:
    """The address, or `Refused` BAD_FIELD."""
    if not is_address(text):
        raise Refused("BAD_FIELD", f"{text[:40]!r} is not an address such as 320924-GO", field=field)
    return Address(text)


def parse_message_id(text: str, *, field: str = "id") -> MessageId:
    """The id of a lower-case UUID of any version, or `Refused` BAD_FIELD."""
    if not _UUID.fullmatch(text):
        raise Refused("BAD_FIELD", f"{text[:40]!r} is not a lower-case UUID", field=field)
    return MessageId(uuid.UUID(text).bytes)


def message_id_text(message_id: bytes) -> str:
    """The canonical text of a message id."""
    return str(uuid.UUID(bytes=message_id))


def uuid7(now_us: int, entropy: bytes) -> MessageId:
    """An RFC 9562 version 7 UUID from a time in microseconds and 10 random bytes."""
    if len(entropy) != 10:
        raise ValueError("uuid7 takes 10 random bytes")
    value = bytearray((now_us // 1000).to_bytes(6, "big") + entropy)
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return MessageId(bytes(value))


def digest_text(digest: bytes) -> str:
    """`sha256:` and hex, the form of CONTRACT section 5."""
    return "sha256:" + digest.hex()
