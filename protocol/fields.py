"""Reading the fields of a decoded map: types, lengths, and no field left over.

Unknown fields are refused, not kept: a signed object of version 1 has exactly the fields of version 1,
so that two implementations can never disagree about what was signed.
"""

from protocol.cbor import Value
from protocol.errors import RemoteError
from protocol.limits import UINT_MAX


class Fields:
    """One int-keyed map being read; every reader raises `RemoteError` MALFORMED (or TOO_LARGE over a limit)."""

    __slots__ = ("_left", "_name")

    def __init__(self, value: Value, name: str) -> None:
        if not isinstance(value, dict):
            raise RemoteError("MALFORMED", f"{name} is not a map")
        self._left: dict[int, Value] = dict(value)
        self._name = name

    def _take(self, key: int) -> Value:
        try:
            return self._left.pop(key)
        except KeyError:
            raise RemoteError("MALFORMED", f"{self._name} lacks field {key}") from None

    def _wrong(self, key: int, wanted: str) -> RemoteError:
        return RemoteError("MALFORMED", f"{self._name} field {key} is not {wanted}")

    def version(self, wanted: int) -> None:
        """Field 0; raises `RemoteError` BAD_VERSION for another version."""
        found = self._take(0)
        if type(found) is not int or found != wanted:
            raise RemoteError("BAD_VERSION", f"{self._name} version {found!r}, this relay speaks {wanted}")

    def fixed(self, key: int, size: int) -> bytes:
        """A byte string of exactly `size` bytes."""
        value = self._take(key)
        if type(value) is not bytes or len(value) != size:
            raise self._wrong(key, f"{size} bytes")
        return value

    def optional_fixed(self, key: int, size: int) -> bytes | None:
        """A byte string of exactly `size` bytes, or null."""
        if self._left.get(key, 0) is None:
            del self._left[key]
            return None
        return self.fixed(key, size)

    def blob(self, key: int, max_bytes: int) -> bytes:
        """A byte string of at most `max_bytes`."""
        value = self._take(key)
        if type(value) is not bytes:
            raise self._wrong(key, "a byte string")
        if len(value) > max_bytes:
            raise RemoteError("TOO_LARGE", f"{self._name} field {key} has {len(value)} bytes")
        return value

    def optional_blob(self, key: int, max_bytes: int) -> bytes | None:
        """A byte string of at most `max_bytes`, or null."""
        if self._left.get(key, 0) is None:
            del self._left[key]
            return None
        return self.blob(key, max_bytes)

    def uint(self, key: int, maximum: int = UINT_MAX) -> int:
        """An integer from 0 to `maximum`."""
        value = self._take(key)
        if type(value) is not int or not 0 <= value <= maximum:
            raise self._wrong(key, f"an integer from 0 to {maximum}")
        return value

    def optional_uint(self, key: int, maximum: int = UINT_MAX) -> int | None:
        """An integer from 0 to `maximum`, or null."""
        if self._left.get(key, 0) is None:
            del self._left[key]
            return None
        return self.uint(key, maximum)

    def flag(self, key: int) -> bool:
        """A boolean."""
        value = self._take(key)
        if type(value) is not bool:
            raise self._wrong(key, "a boolean")
        return value

    def text(self, key: int, max_chars: int) -> str:
        """A text string of at most `max_chars` characters."""
        value = self._take(key)
        if type(value) is not str:
            raise self._wrong(key, "a text string")
        if len(value) > max_chars:
            raise RemoteError("TOO_LARGE", f"{self._name} field {key} has {len(value)} characters")
        return value

    def optional_text(self, key: int, max_chars: int) -> str | None:
        """A text string, or null."""
        if self._left.get(key, 0) is None:
            del self._left[key]
            return None
        return self.text(key, max_chars)

    def array(self, key: int, max_items: int) -> list[Value]:
        """An array of at most `max_items`; its elements are the caller's to check."""
        value = self._take(key)
        if type(value) is not list:
            raise self._wrong(key, "an array")
        if len(value) > max_items:
            raise RemoteError("TOO_LARGE", f"{self._name} field {key} has {len(value)} items")
        return value

    def texts(self, key: int, max_items: int, max_chars: int) -> tuple[str, ...]:
        """An array of text strings."""
        values = self.array(key, max_items)
        if any(type(value) is not str or len(value) > max_chars for value in values):
            raise self._wrong(key, "an array of short text strings")
        return tuple(values)

    def blobs(self, key: int, max_items: int, size: int) -> tuple[bytes, ...]:
        """An array of byte strings of exactly `size` bytes each."""
        values = self.array(key, max_items)
        if any(type(value) is not bytes or len(value) != size for value in values):
            raise self._wrong(key, f"an array of byte strings of {size} bytes")
        return tuple(values)

    def value(self, key: int) -> Value:
        """Whatever is there; the caller's to check."""
        return self._take(key)

    def done(self) -> None:
        """Raises for fields that nobody read."""
        if self._left:
            raise RemoteError("MALFORMED", f"{self._name} has unknown fields {sorted(self._left)[:4]}")


def elements(value: Value, count: int, name: str) -> list[Value]:
    """The elements of an array of exactly `count`; raises `RemoteError` MALFORMED."""
    if type(value) is not list or len(value) != count:
        raise RemoteError("MALFORMED", f"{name} is not an array of {count}")
    return value


def as_bytes(value: Value, name: str, size: int | None = None) -> bytes:
    """The value as a byte string (of `size` bytes); raises `RemoteError` MALFORMED."""
    if type(value) is not bytes or (size is not None and len(value) != size):
        raise RemoteError("MALFORMED", f"{name} is not a byte string" + ("" if size is None else f" of {size} bytes"))
    return value


def as_text(value: Value, name: str, max_chars: int) -> str:
    """The value as a text string of at most `max_chars`; raises `RemoteError` MALFORMED."""
    if type(value) is not str or len(value) > max_chars:
        raise RemoteError("MALFORMED", f"{name} is not a text string of at most {max_chars} characters")
    return value


def as_uint(value: Value, name: str, maximum: int = UINT_MAX) -> int:
    """The value as an integer from 0 to `maximum`; raises `RemoteError` MALFORMED."""
    if type(value) is not int or not 0 <= value <= maximum:
        raise RemoteError("MALFORMED", f"{name} is not an integer from 0 to {maximum}")
    return value
