"""The plan of a network on one machine (CONTRACT sections 4 and 11): from TOML to values, every fault at once."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from config.lines import lines_of_settings
from config.problems import ConfigError, Problem
from config.schema import Name, Port
from keys.roster.office_record import NAME_CHARS, OFFICE_CLASSES, ROLES, STANDINGS, is_name
from protocol.ids import is_address, is_group
from protocol.lanes import KINDS
from relay.given import read_given

PLAN_BYTES: Final = 4 * 1024 * 1024

FILE_NAME_BYTES: Final = 200
"""Longest person's name in bytes: the key file is named after it."""

_Steps = tuple[str | int, ...]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the plan."""


class BrokerPlan(Part, frozen=True, kw_only=True):
    """A broker on 127.0.0.1; relays connect to `connect_port`, where a proxy may sit."""

    id: Name
    engine: Literal["mosquitto", "nats"] = "mosquitto"
    port: Port
    connect_port: Port | None = None
    tls: bool = True


class OfficePlan(Part, frozen=True, kw_only=True):
    """An office. `parent` is an address of the plan, `connect` a port for a broker where it differs for this office."""

    address: str
    name: Annotated[str, Meta(max_length=NAME_CHARS)] = ""
    office_class: str = msgspec.field(name="class")
    parent: str | None = None
    standing: str | None = None
    brokers: tuple[str, ...] = ()
    connect: dict[str, Port] = {}
    settings: dict[str, Any] = {}


class PersonPlan(Part, frozen=True, kw_only=True):
    """A person who may sign for an office."""

    name: str
    office: str
    roles: tuple[str, ...]


class RulesPlan(Part, frozen=True, kw_only=True):
    """What the network demands; nothing by default in a lab."""

    require_reviewer: tuple[str, ...] = ()
    require_issuer: tuple[str, ...] = ()
    emergency_bypass: Literal["copy_city"] | None = None
    suites: tuple[Literal[1, 2, 3], ...] = (1, 2)


class Plan(Part, frozen=True, kw_only=True):
    """A whole network. `settings` go into every office's relay.toml; `groups` are lists of addresses by `@name`."""

    network: Annotated[str, Meta(min_length=1, max_length=64)]
    brokers: tuple[BrokerPlan, ...] = ()
    offices: tuple[OfficePlan, ...]
    persons: tuple[PersonPlan, ...] = ()
    rules: RulesPlan = RulesPlan()
    groups: dict[str, tuple[str, ...]] = {}
    settings: dict[str, Any] = {}


def load_plan(path: Path) -> Plan:
    """The plan in a file; raises `ConfigError` (78) with all faults, and like `read_given`."""
    data = read_given(path, "plan", PLAN_BYTES)
    if len(data) > PLAN_BYTES:
        raise ConfigError([Problem("unreadable", str(path), f"larger than {PLAN_BYTES} bytes")], "BAD_PLAN")
    return parse_plan(data)


def parse_plan(data: bytes) -> Plan:
    """The plan in the bytes of a TOML file; raises `ConfigError` with all faults, shape first, then sense."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        tree = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("malformed", "the plan", f"not UTF-8 at byte {error.start}")], "BAD_PLAN") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([Problem("malformed", "the plan", str(error))], "BAD_PLAN") from None
    lines = lines_of_settings(text)
    problems: list[Problem] = []
    plan = _read(Plan, tree, (), lines, problems)
    if plan is not None and not problems:
        problems = [_located(problem, steps, lines) for steps, problem in _nonsense(plan)]
    if plan is None or problems:
        raise ConfigError(problems, "BAD_PLAN")
    return plan


P = TypeVar("P", bound=Part)


def _read(kind: type[P], tree: Any, path: _Steps, lines: Mapping[_Steps, int], problems: list[Problem]) -> P | None:
    """One table beside its shape; None when there was a fault."""
    if not isinstance(tree, dict):
        problems.append(Problem("wrong", _written(path), "must be a table", line=lines.get(path)))
        return None
    before = len(problems)
    hints = get_type_hints(kind, include_extras=True)
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in tree:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            nearest = _written((*path, near[0])) if near else None
            line = lines.get((*path, name), lines.get(path))
            problems.append(Problem("unknown", _written((*path, name)), near=nearest, line=line))
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name in tree:
            values[field.name] = _value(hints[field.name], tree[name], (*path, name), lines, problems)
        elif field.required:
            problems.append(Problem("missing", _written((*path, name)), line=lines.get(path)))
    return kind(**values) if len(problems) == before else None


def _value(hint: Any, value: Any, path: _Steps, lines: Mapping[_Steps, int], problems: list[Problem]) -> Any:
    """One value, table or array of tables."""
    if isinstance(hint, type) and issubclass(hint, Part):
        return _read(hint, value, path, lines, problems)
    member = get_args(hint)[0] if get_args(hint) else None
    if isinstance(member, type) and issubclass(member, Part):
        if not isinstance(value, list):
            problems.append(Problem("wrong", _written(path), f"must be written [[{path[-1]}]]", line=lines.get(path)))
            return None
        return tuple(_read(member, item, (*path, at), lines, problems) for at, item in enumerate(value))
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        words = f"{str(error).split(' - at ')[0].replace('`', '')}, but the plan has {str(value)[:60]!r}"
        problems.append(Problem("wrong", _written(path), words, line=lines.get(path, lines.get(path[:-1]))))
        return None


def _nonsense(plan: Plan) -> Iterator[tuple[_Steps, Problem]]:
    """What is well formed and still cannot be: where, and what."""
    if not is_name(plan.network):
        yield ("network",), Problem("wrong", "network", "must be printable text on one line")
    if not plan.offices:
        yield ("offices",), Problem("missing", "[[offices]]")
    yield from _brokers(plan)
    addresses = [office.address for office in plan.offices]
    for at, office in enumerate(plan.offices):
        yield from _office(plan, at, office, addresses)
    yield from _circles(plan)
    yield from _persons(plan, addresses)
    for field in ("require_reviewer", "require_issuer"):
        for kind in getattr(plan.rules, field):
            yield from _known(("rules", field), kind, KINDS, "kind")
    if list(plan.rules.suites) != sorted(set(plan.rules.suites)) or not plan.rules.suites:
        yield ("rules", "suites"), Problem("wrong", "[rules] suites", "must be a rising list")
    for name, members in plan.groups.items():
        if not is_group(name):
            yield ("groups", name), Problem("wrong", f"[groups] {name}", "must look like @name")
        for member in members:
            yield from _known(("groups", name), member, addresses, "office")


def _brokers(plan: Plan) -> Iterator[tuple[_Steps, Problem]]:
    ids = [broker.id for broker in plan.brokers]
    ports = [broker.port for broker in plan.brokers]
    for at, broker in enumerate(plan.brokers):
        if broker.id in ids[:at]:
            yield ("brokers", at, "id"), Problem("contradictory", "", f"{broker.id} is there twice")
        if broker.port in ports[:at]:
            yield ("brokers", at, "port"), Problem("contradictory", "", f"{broker.port} is another broker's")


def _office(plan: Plan, at: int, office: OfficePlan, addresses: list[str]) -> Iterator[tuple[_Steps, Problem]]:
    path: _Steps = ("offices", at)
    if not is_address(office.address):
        yield (*path, "address"), Problem("wrong", "", f"{office.address!r} is not an address such as 320924-GO")
    if office.address in addresses[:at]:
        yield (*path, "address"), Problem("contradictory", "", f"{office.address} is there twice")
    if office.name and not is_name(office.name):
        yield (*path, "name"), Problem("wrong", "", "must be printable text on one line")
    yield from _known((*path, "class"), office.office_class, OFFICE_CLASSES, "class")
    if office.standing is not None:
        yield from _known((*path, "standing"), office.standing, STANDINGS, "standing")
    if office.parent is not None:
        yield from _known((*path, "parent"), office.parent, addresses, "office")
    ids = [broker.id for broker in plan.brokers]
    for broker in office.brokers:
        yield from _known((*path, "brokers"), broker, ids, "broker")
    if len(set(office.brokers)) != len(office.brokers):
        yield (*path, "brokers"), Problem("contradictory", "", "a broker is there twice")
    for broker in office.connect:
        yield from _known((*path, "connect", broker), broker, office.brokers, "broker of this office")


def _circles(plan: Plan) -> Iterator[tuple[_Steps, Problem]]:
    """Offices that are their own ancestors."""
    parents = {office.address: office.parent for office in plan.offices}
    for at, office in enumerate(plan.offices):
        seen, above = {office.address}, office.parent
        while above is not None and above not in seen:
            seen.add(above)
            above = parents.get(above)
        if above == office.address:
            yield ("offices", at, "parent"), Problem("contradictory", "", f"{office.address} is its own ancestor")


def _persons(plan: Plan, addresses: list[str]) -> Iterator[tuple[_Steps, Problem]]:
    named = [(person.office, person.name) for person in plan.persons]
    for at, person in enumerate(plan.persons):
        path: _Steps = ("persons", at)
        yield from _known((*path, "office"), person.office, addresses, "office")
        if not is_name(person.name) or "/" in person.name or len(person.name.encode()) > FILE_NAME_BYTES:
            yield (*path, "name"), Problem("wrong", "", "must be a printable name that can be part of a file name")
        if (person.office, person.name) in named[:at]:
            yield (*path, "name"), Problem("contradictory", "", f"{person.name} is there twice")
        if not person.roles or len(set(person.roles)) != len(person.roles):
            yield (*path, "roles"), Problem("wrong", "", "must name at least one role, each once")
        for role in person.roles:
            yield from _known((*path, "roles"), role, ROLES, "role")


def _known(path: _Steps, value: str, choices: Sequence[str], what: str) -> Iterator[tuple[_Steps, Problem]]:
    """A fault when the value is none of the choices, with the nearest one."""
    if value not in choices:
        near = get_close_matches(value, choices, n=1, cutoff=0.0)
        yield path, Problem("wrong", "", f"unknown {what} {value!r}", near=near[0] if near else None)


def _located(problem: Problem, path: _Steps, lines: Mapping[_Steps, int]) -> Problem:
    """The fault with the name and line of where it is."""
    line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)
    return replace(problem, setting=_written(path), line=line)


def _written(path: _Steps) -> str:
    """`("offices", 2, "class")` as people find it: `[[offices]] 3 class`."""
    words: list[str] = []
    for at, step in enumerate(path):
        if isinstance(step, int):
            words[-1] = f"[[{words[-1].strip('[]')}]] {step + 1}"
        else:
            words.append(f"[{step}]" if at == 0 and len(path) > 1 else step)
    return " ".join(words)
