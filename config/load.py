"""From the text of `relay.toml` to `Settings`, with every fault reported at once."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from config.lines import lines_of_settings
from config.problems import ConfigError, Problem
from config.schema import HOME_VERSION, Broker, Section, Settings
from protocol.ids import is_address

FILE_NAME: Final = "relay.toml"
FILE_BYTES: Final = 1 << 20
"""No settings file is larger; a larger one is some other file."""

Steps = tuple[str | int, ...]
"""The way to a setting: `("brokers", 0, "port")`."""

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: a line of the file, or the default when `line` is None and `given` False."""

    value: Any
    given: bool
    line: int | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for every single setting (`[links] retry_min_s`) its value and origin, in schema order."""

    settings: Settings
    origins: Mapping[str, Origin]


def load(home: Path) -> Loaded:
    """The settings of a home.

    Raises `ConfigError` HOME_MISSING without a `relay.toml`, HOME_VERSION for another version, else BAD_CONFIG.
    """
    file = home / FILE_NAME
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError([Problem("unreadable", str(file), "no such file")], "HOME_MISSING") from None
    except OSError as error:
        raise ConfigError([Problem("unreadable", str(file), error.strerror or str(error))]) from None
    if len(data) > FILE_BYTES:
        raise ConfigError([Problem("unreadable", str(file), f"larger than {FILE_BYTES} bytes")])
    return parse(data)


def parse(data: bytes) -> Loaded:
    """Settings from the bytes of a file. Raises `ConfigError` with all faults, in the order of the schema."""
    try:
        text = data.decode("utf-8-sig")
        tree = tomllib.loads(text.replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("malformed", FILE_NAME, f"not UTF-8 at byte {error.start}")]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([Problem("malformed", FILE_NAME, f"{error}; is the file only half written?")]) from None
    lines = lines_of_settings(text)
    _check_home_version(tree, lines)
    problems: list[Problem] = []
    settings = _table(Settings, tree, (), lines, problems)
    if settings is None or problems:
        raise ConfigError(problems)
    contradictions = list(_contradictions(settings, lines))
    if contradictions:
        raise ConfigError(contradictions)
    return Loaded(settings, MappingProxyType(dict(_origins(settings, tree, (), lines))))


def setting_name(path: Steps) -> str:
    """`("links", "retry_min_s")` as it is written in the file: `[links] retry_min_s`."""
    *parents, last = path
    section = ""
    for step in parents:
        section += f" {step + 1}" if isinstance(step, int) else f".{step}" if section else step
    if isinstance(last, int):
        return f"{section}[{last + 1}]"
    return f"[{section}] {last}" if section else str(last)


def _table(kind: type[S], tree: Any, path: Steps, lines: Mapping[Steps, int], problems: list[Problem]) -> S | None:
    """One table beside its schema. Faults go into `problems`; the result is None when there was one."""
    if not isinstance(tree, dict):
        problems.append(
            Problem("wrong", setting_name(path), "must be a table", line=lines.get(path), detail_zh="须为表")
        )
        return None
    before = len(problems)
    hints = get_type_hints(kind, include_extras=True)
    problems.extend(_unknown(name, path, hints, lines) for name in tree if name not in hints)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        here = (*path, field.name)
        if field.name in tree:
            values[field.name] = _value(hints[field.name], tree[field.name], here, lines, problems)
        elif field.required and (isinstance(hints[field.name], type) and issubclass(hints[field.name], Section)):
            _table(hints[field.name], {}, here, lines, problems)
        elif field.required:
            problems.append(Problem("missing", setting_name(here), line=lines.get(path)))
    return kind(**values) if len(problems) == before else None


def _value(hint: Any, value: Any, path: Steps, lines: Mapping[Steps, int], problems: list[Problem]) -> Any:
    """One value, table or array of tables, checked against its type and range."""
    if isinstance(hint, type) and issubclass(hint, Section):
        return _table(hint, value, path, lines, problems)
    member = get_args(hint)[0] if get_origin(hint) is tuple else None
    if isinstance(member, type) and issubclass(member, Section):
        if not isinstance(value, list):
            text = f"must be an array of tables: [[{path[-1]}]]"
            problems.append(Problem("wrong", setting_name(path), text, line=lines.get(path)))
            return None
        return tuple(_table(member, item, (*path, at), lines, problems) for at, item in enumerate(value))
    try:
        if isinstance(value, float) and not math.isfinite(value):
            raise msgspec.ValidationError("Expected `number` that is finite")
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        text, text_zh = _wrong(str(error), hint, value)
        problems.append(Problem("wrong", setting_name(path), text, line=_line_of(path, lines), detail_zh=text_zh))
        return None


def _unknown(name: str, path: Steps, known: Mapping[str, Any], lines: Mapping[Steps, int]) -> Problem:
    """The fault of a name that the schema does not have, with the nearest one of this section, else of any."""
    here = (*path, name)
    line = _line_of(here, lines)
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return Problem("unknown", setting_name(here), near=setting_name((*path, near[0])), line=line)
    everywhere = {setting[-1]: setting for setting in _all_settings(Settings, ())}
    elsewhere = get_close_matches(name, everywhere, n=1, cutoff=0.75) or get_close_matches(name, known, n=1, cutoff=0.0)
    nearest = everywhere.get(elsewhere[0], (*path, elsewhere[0])) if elsewhere else None
    return Problem("unknown", setting_name(here), near=setting_name(nearest) if nearest else None, line=line)


def _all_settings(kind: type[Section], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of all settings of the schema, without positions."""
    for name, hint in get_type_hints(kind).items():
        member = get_args(hint)[0] if get_origin(hint) is tuple else hint
        if isinstance(member, type) and issubclass(member, Section):
            yield from _all_settings(member, (*path, name))
        else:
            yield (*path, name)


def _check_home_version(tree: Mapping[str, Any], lines: Mapping[Steps, int]) -> None:
    """Refuses the home of another version before its other settings are judged by rules that are not its own."""
    version = tree.get("home_version")
    if version is None:
        raise ConfigError([Problem("missing", "home_version")], "HOME_VERSION")
    if type(version) is int and version != HOME_VERSION:
        text = f"the home has version {version}, this program knows {HOME_VERSION}"
        raise ConfigError([Problem("wrong", "home_version", text, line=lines.get(("home_version",)))], "HOME_VERSION")


def _contradictions(settings: Settings, lines: Mapping[Steps, int]) -> Iterator[Problem]:
    """Faults between settings that are each in range."""

    def problem(text: str, text_zh: str, *path: str | int) -> Problem:
        return Problem("contradictory", setting_name(path), text, line=_line_of(path, lines), detail_zh=text_zh)

    def below(smaller: str, section: str, name: str) -> Problem:
        return problem(f"must not be below {smaller}", f"不得小于 {smaller}", section, name)

    if not is_address(settings.office.address):
        yield problem("must be an address such as 320924-GO", "须为 320924-GO 这样的地址", "office", "address")
    if settings.links.retry_max_s < settings.links.retry_min_s:
        yield below("retry_min_s", "links", "retry_max_s")
    if settings.trust.stop_s < settings.trust.stale_s:
        yield below("stale_s", "trust", "stop_s")
    if settings.store.quota_bytes < settings.store.ballast_bytes:
        yield below("ballast_bytes", "store", "quota_bytes")
    if settings.limits.requests_bytes < settings.limits.request_bytes:
        yield below("request_bytes", "limits", "requests_bytes")
    names = [broker.id for broker in settings.brokers]
    for at, broker in enumerate(settings.brokers):
        if broker.id in names[:at]:
            yield problem(f"{broker.id} is there twice", f"{broker.id} 重复", "brokers", at, "id")
        if not broker.tls and not _is_loopback(broker):
            yield problem("false is accepted for loopback only", "只有本机回环地址可为 false", "brokers", at, "tls")


def _is_loopback(broker: Broker) -> bool:
    if broker.host == "localhost":
        return True
    try:
        return ip_address(broker.host).is_loopback
    except ValueError:
        return False


def _origins(part: Section, tree: Any, path: Steps, lines: Mapping[Steps, int]) -> Iterator[tuple[str, Origin]]:
    """Every single setting with its value and origin."""
    for name in part.__struct_fields__:
        value, here = getattr(part, name), (*path, name)
        given = isinstance(tree, dict) and name in tree
        below = tree[name] if given else None
        if isinstance(value, Section):
            yield from _origins(value, below, here, lines)
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            for at, item in enumerate(value):
                yield from _origins(item, below[at] if below else None, (*here, at), lines)
        else:
            yield setting_name(here), Origin(value, given, _line_of(here, lines) if given else None)


def _line_of(path: Steps, lines: Mapping[Steps, int]) -> int | None:
    """The line of a setting, or of the nearest table around it (an inline table has one line for all)."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def _wrong(text: str, hint: Any, value: Any) -> tuple[str, str]:
    """What is wrong with a value, in English and Chinese, from the wording of msgspec."""
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    text = text.split(" - at ", maxsplit=1)[0].replace("`", "")
    if get_origin(hint) is Literal:
        choices = ", ".join(str(choice) for choice in get_args(hint))
        return f"must be one of {choices}, but the file has {shown}", f"须为 {choices} 之一，而文件中是 {shown}"
    chinese = text.replace("Expected ", "应为 ").replace(", got ", "，不是 ").replace(" that is finite", "（有限）")
    return f"{text}, but the file has {shown}", f"{chinese}，而文件中是 {shown}"
