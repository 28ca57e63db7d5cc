"""Strict CBOR: one byte string per value, limits before parsing (RFC 8949 section 4.2, SPEC section 2).

The only importer of cbor2. Nothing but maps with integer keys, arrays, byte and text strings, integers,
booleans and null is let through; no tags, no floats, no indefinite lengths, no trailing bytes.
Signatures cover received bytes; re-encoding serves only to prove that those bytes are canonical.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Never, TypeAlias

import cbor2

from protocol.errors import RemoteError
from protocol.limits import CBOR_DEPTH

Value: TypeAlias = Any
"""None, bool, int, bytes, str, list of values, or dict from int to value."""


def _refuse_tag(*_: object) -> Never:
    """For the decoder, which wraps what is raised here into an error of its own."""
    raise ValueError


_NO_TAGS: Final[Mapping[int, Callable[..., Never]]] = dict.fromkeys(range(64), _refuse_tag)


def dumps(value: Value) -> bytes:
    """The canonical bytes of a value made of the allowed types."""
    return cbor2.dumps(value, canonical=True)


def loads(data: bytes, *, max_bytes: int) -> Value:
    """The value of canonical bytes.

    Raises `RemoteError` TOO_LARGE over `max_bytes`, MALFORMED for anything that is not canonical.
    Arrays come back as lists.
    """
    if len(data) > max_bytes:
        raise RemoteError("TOO_LARGE", f"{len(data)} bytes, at most {max_bytes}")
    try:
        value = cbor2.loads(
            data,
            max_depth=CBOR_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_NO_TAGS,
            tag_hook=_refuse_tag,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise RemoteError("MALFORMED", f"not strict CBOR: {type(error).__name__}") from error
    _refuse_foreign(value)
    # The decoder accepts trailing bytes, long forms and unsorted maps; the canonical form is unique.
    if dumps(value) != data:
        raise RemoteError("MALFORMED", "not the canonical form")
    return value


_LEAVES: Final = frozenset({bytes, str, int, bool, type(None)})


def _refuse_foreign(value: Value) -> None:
    """Raise for a type outside the allowed ones, anywhere in the value."""
    kind = type(value)
    if kind is dict:
        # True and 1.0 equal 1 as keys and would be a second form of the same map.
        if not {*map(type, value)} <= {int}:
            raise RemoteError("MALFORMED", "a map key is not an integer")
        children = value.values()
    elif kind is list:
        children = value
    elif kind in _LEAVES:
        return
    else:
        raise RemoteError("MALFORMED", f"a {kind.__name__} is not allowed")
    if not _LEAVES.issuperset(map(type, children)):
        for child in children:
            if type(child) not in _LEAVES:
                _refuse_foreign(child)
