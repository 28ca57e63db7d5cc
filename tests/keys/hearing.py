"""The other end of a telephone: which bytes pictures say."""

from collections.abc import Sequence

from keys.spoken import SPOKEN_BYTES, words


def digest_of(spoken: Sequence[str], lang: str) -> bytes | None:
    """The bytes that these pictures say, or None when one of them is unknown or stands at a wrong place."""
    every = [words(bytes((byte,)) * SPOKEN_BYTES, lang) for byte in range(256)]
    found = bytearray()
    for place, picture in enumerate(spoken):
        known = {pictures[place]: byte for byte, pictures in enumerate(every)}
        if picture not in known:
            return None
        found.append(known[picture])
    return bytes(found)
