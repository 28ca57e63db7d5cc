"""Writing a received message into a folder: names of strangers, no overwriting, nothing outside the folder."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from protocol.errors import Refused

NAME_BYTES: Final = 180
"""Longest name written, in UTF-8: leaves room for ` (2)` and for the prefixes of other tools."""

_FORBIDDEN: Final = re.compile(r'[:*?"<>|\x00-\x1f\x7f-\x9f]')
_BIDI: Final = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_EDGES: Final = re.compile(r"^[.\s]+|[.\s]+$")
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def safe_name(name: str) -> str:
    """A base name that is harmless on any file system, as close to `name` as that allows.

    Directories, control and direction characters, leading dots and the names of devices go; the result is
    never empty and at most NAME_BYTES long, with the extension kept.
    """
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    base = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    base = _BIDI.sub("", _FORBIDDEN.sub("_", base))
    base = "".join(character if character.isprintable() else "_" for character in base)
    base = _EDGES.sub("", _shorten(_EDGES.sub("", base), NAME_BYTES)) or "attachment"
    return f"_{base}" if _DEVICES.fullmatch(base) else base


def distinct_names(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Safe names of which no two are equal, ` (2)` before the extension of the second.

    `taken` are the names we write ourselves. Letters of different case count as equal, since some file
    systems hold them so.
    """
    used = {_key(name) for name in taken}
    found = []
    for name in names:
        base = chosen = safe_name(name)
        count = 1
        while _key(chosen) in used:
            count += 1
            stem, dot, extension = _split(base)
            mark = f" ({count})"
            room = NAME_BYTES - len(f"{mark}{dot}{extension}".encode())
            chosen = f"{_cut(stem, room)}{mark}{dot}{extension}"
        used.add(_key(chosen))
        found.append(chosen)
    return found


def open_folder(folder: Path) -> int:
    """A descriptor of the folder, which is made when it is missing. Raises `Refused` CANNOT_WRITE or FILE_MISSING."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Refused("FILE_MISSING", str(folder.parent), field="dir") from None
    except FileExistsError:
        raise Refused("FILE_EXISTS", f"{folder} is not a directory", field="dir") from None
    except OSError as error:
        raise Refused("CANNOT_WRITE", f"{folder}: {error.strerror}", field="dir") from None


def write_files(folder: int, files: Sequence[tuple[str, bytes]]) -> None:
    """Write all files, or none: `folder` is a descriptor, names are plain.

    Raises `Refused` FILE_EXISTS when one of the names is taken, also by a symbolic link, and CANNOT_WRITE.
    """
    for name, _ in files:
        if os.path.basename(name) != name or name in ("", ".", ".."):  # noqa: PTH119 - a name, not a path
            raise Refused("CANNOT_WRITE", f"{name!r} is not a plain name", field="dir")
        if _occupied(folder, name):
            raise Refused("FILE_EXISTS", name, field="dir")
    written: list[str] = []
    try:
        for name, data in files:
            _write_new(folder, name, data, written)
        os.fsync(folder)
    except FileExistsError as error:
        _remove(folder, written)
        raise Refused("FILE_EXISTS", str(error.filename), field="dir") from None
    except OSError as error:
        _remove(folder, written)
        raise Refused("CANNOT_WRITE", f"{error.filename or ''} {error.strerror}".strip(), field="dir") from None


def _write_new(folder: int, name: str, data: bytes, written: list[str]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    written.append(name)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def _remove(folder: int, names: Iterable[str]) -> None:
    """Take back what this call wrote, as far as the file system still lets us; the first error is the one reported."""
    for name in names:
        try:
            os.unlink(name, dir_fd=folder)
        except OSError:
            continue


def _occupied(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Refused("CANNOT_WRITE", f"{name}: {error.strerror}", field="dir") from None
    return True


def _split(name: str) -> tuple[str, str, str]:
    """Stem, dot, extension; a long "extension" is part of the stem."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > 16 or " " in extension:
        return name, "", ""
    return stem, dot, extension


def _shorten(name: str, limit: int) -> str:
    stem, dot, extension = _split(name)
    return f"{_cut(stem, limit - len(f'{dot}{extension}'.encode()))}{dot}{extension}"


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, not ending within a character."""
    return text.encode()[: max(limit, 0)].decode("utf-8", "ignore")


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
