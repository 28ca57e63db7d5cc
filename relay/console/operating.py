"""Looking after a relay: `run`, `status`, `clock`, `home`, `queue`, `quarantine`, `fsck`, `config`, `version`."""

import platform
from collections.abc import Mapping
from typing import Any, Final

import click

from relay.console.choices import HOME_VERSION, Choices
from relay.console.client import daemon_of, path_of
from relay.console.commands import LazyGroup, argument, command, option
from relay.console.drafting import check_prefix
from relay.console.failure import Failure, report
from relay.console.keys.homes import office_home
from relay.console.output import cell, emit, fields, listing, printable, table, tell_object
from relay.console.phrases import say
from relay.console.terms import FIELDS
from relay.version import program_version

PROTOCOL_VERSION: Final = 1
COUNTED: Final = ("accepted", "delivered", "received", "forwarded", "duplicates", "quarantined", "refused", "expired")
"""The columns of `statistics`; those of `relay.store.counters`, which a client need not load."""

queue_group: Final = LazyGroup("queue", {name: f"relay.console.operating:queue_{name}" for name in ("list", "show")})
quarantine_group: Final = LazyGroup(
    "quarantine", {name: f"relay.console.operating:quarantine_{name}" for name in ("list", "show")}
)
clock_group: Final = LazyGroup("clock", {"accept": "relay.console.operating:clock_accept"})
home_group: Final = LazyGroup("home", {"accept": "relay.console.operating:home_accept"})
config_group: Final = LazyGroup(
    "config", {name: f"relay.console.operating:config_{name}" for name in ("check", "show")}
)


@command("run")
def run(choices: Choices) -> int:
    """Run the relay in the foreground."""
    home = office_home(choices)
    from relay.console.keys.unlocking import unlock_of_home
    from relay.daemon import run as run_daemon

    return run_daemon(home, unlock_of_home(choices))


@command("status")
def status(choices: Choices) -> None:
    """Show the state of the relay."""
    found = daemon_of(choices).read(path_of("status")).one()
    if choices.json:
        emit(found)
    else:
        _tell_status(found, choices.lang)


def _tell_status(found: Mapping[str, Any], lang: str) -> None:
    store, trust = _part(found, "store"), _part(found, "trust")
    alarms = found.get("alarms") or []
    fields(
        [
            (say("office", lang), str(found.get("office", ""))),
            (say("version", lang), f"{found.get('version', '')}  pid {found.get('pid', '')}"),
            (say("uptime", lang), cell(found.get("uptime_s"), "uptime_s", lang)),
            (say("memory", lang), cell(found.get("rss_bytes"), "rss_bytes", lang)),
            (say("store", lang), _parts(store, ("state", "bytes", "quota_bytes"), lang)),
            (say("trust", lang), _parts(trust, ("state", "version", "age_s"), lang)),
            (say("clock", lang), _parts(_part(found, "clock"), ("state", "believed", "wall"), lang)),
            *(("!", cell(alarm, "alarm", lang)) for alarm in alarms),
        ]
    )
    click.echo()
    columns = {"broker": "broker", "state": "state", "since": "since", "peers": "peers", "last_error": "last_error"}
    links = [each for each in found.get("links", []) if isinstance(each, Mapping)]
    _table_of(say("links", lang), links, columns, lang)
    lanes = [{"lane": name, **each} for name, each in _part(found, "lanes").items()]
    columns = {"lane": "lane_head", "queued": "queued", "inflight": "inflight", "oldest_s": "oldest"}
    _table_of(say("lanes", lang), lanes, columns, lang)
    columns = {"from": "from", "lane": "lane_head", "numbers": "numbers", "since": "since"}
    _table_of(say("gaps", lang), found.get("gaps", []), columns, lang)
    click.echo(
        f"{say('counters', lang)}  "
        + " · ".join(
            f"{say(f'counted_{name}', lang) if name in COUNTED else name} {count}"
            for name, count in _part(found, "counters").items()
        )
    )


def _table_of(title: str, rows: list[Any], columns: Mapping[str, str], lang: str) -> None:
    if rows:
        click.echo(title)
        heads = [say(head, lang) for head in columns.values()]
        table(heads, [[cell(row.get(name), name, lang) for name in columns] for row in rows])
        click.echo()


def _part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = found.get(name)
    return part if isinstance(part, Mapping) else {}


def _parts(part: Mapping[str, Any], names: tuple[str, ...], lang: str) -> str:
    return "  ".join(cell(part[name], name, lang) for name in names if part.get(name) is not None)


@command("clock accept")
def clock_accept(choices: Choices) -> None:
    """Confirm that the wall clock is right."""
    found = daemon_of(choices).change(path_of("clock", "accept")).one()
    if choices.json:
        emit(found)
    else:
        click.echo(say("clock_accepted", choices.lang, wall=found.get("wall", "")))


@command("home accept")
def home_accept(choices: Choices) -> None:
    """Confirm that it is known how this home was restored or cloned."""
    found = daemon_of(choices).change(path_of("accept", "home")).one()
    if choices.json:
        emit(found)
    else:
        click.echo(say("home_accepted", choices.lang, epoch=found.get("epoch", "")))


@command("statistics")
@option("--limit", metavar="N", type=click.IntRange(1, 36_500))
def statistics(choices: Choices, limit: int | None) -> None:
    """List what was counted on each day."""
    found = daemon_of(choices).read(path_of("statistics"), limit=limit).many()
    listing(choices, found, {name: f"counted_{name}" for name in ("day", *COUNTED)})


@command("queue list")
@option("--limit", metavar="N", type=click.IntRange(1, 1_000_000))
def queue_list(choices: Choices, limit: int | None) -> None:
    """List the copies that wait."""
    found = daemon_of(choices).read(path_of("queue"), limit=limit).many()
    columns = {
        "id": "id", "to": "to", "lane": "lane_head", "stage": "state", "next_hop": "next_hop", "since": "since",
        "expires_at": "expires_at",
    }  # fmt: skip
    listing(choices, found, columns)


@command("queue show")
@argument("message_id", "ID")
def queue_show(choices: Choices, message_id: str) -> None:
    """Show one waiting copy."""
    _object(choices, daemon_of(choices).read(path_of("queue", check_prefix(message_id))).one())


@command("quarantine list")
def quarantine_list(choices: Choices) -> None:
    """List the quarantine."""
    rows = daemon_of(choices).read(path_of("quarantine")).many()
    if choices.json:
        listing(choices, rows, {})
        return
    found = list(rows)
    names = list(dict.fromkeys(name for row in found for name in row if name != "v"))
    if not found:
        click.echo(say("nothing", choices.lang))
        return
    heads = [FIELDS.get(name, name) if choices.lang == "zh_CN" else name for name in names]
    table(heads, [[cell(row.get(name), name, choices.lang) for name in names] for row in found])


@command("quarantine show")
@argument("key", "KEY")
def quarantine_show(choices: Choices, key: str) -> None:
    """Show one record of the quarantine."""
    _object(choices, daemon_of(choices).read(path_of("quarantine", key)).one())


def _object(choices: Choices, found: Mapping[str, Any]) -> None:
    if choices.json:
        emit(found)
    else:
        tell_object(found, choices.lang)


@command("fsck")
def fsck(choices: Choices) -> int:
    """Check the store, by the daemon when it runs, else directly."""
    try:
        found = daemon_of(choices).change(path_of("fsck")).one()
    except Failure as failure:
        if failure.code != "DAEMON_DOWN":
            raise
        from relay.console.keys.unlocking import unlock_of_home
        from relay.fsck import check_home

        found = check_home(choices.home, unlock_of_home(choices))
    return show_verdict(choices, found)


def show_verdict(choices: Choices, found: Mapping[str, Any], *, quiet: bool = False) -> int:
    """Print what a check found and return the exit status; `quiet`: without the error that goes with it."""
    right = bool(found.get("ok"))
    problems = found.get("problems") or []
    if choices.json:
        emit(found)
    else:
        click.echo(say("check_ok" if right else "check_bad", choices.lang))
        rows = ((name, cell(value, name, choices.lang)) for name, value in found.items())
        fields((name, value) for name, value in rows if name not in ("v", "ok", "problems"))
        for problem in problems:
            click.echo(f"  ✗ {printable(cell(problem, 'problem', choices.lang))}")
    if right or quiet:
        return 0
    return report(Failure("CHECK_FAILED", "; ".join(cell(each, "problem", choices.lang) for each in problems)), choices)


@command("config check")
def config_check(choices: Choices) -> None:
    """Check the settings of the home."""
    from config.load import FILE_NAME, load

    home = choices.home
    load(home)
    if choices.json:
        emit({"ok": True, "file": str(home / FILE_NAME)})
    else:
        click.echo(say("config_ok", choices.lang, file=home / FILE_NAME))


@command("config show")
def config_show(choices: Choices) -> None:
    """Show every setting in force, and where it comes from."""
    import msgspec

    from config.load import load

    loaded = load(choices.home)
    if choices.json:
        origins = {name: {"given": each.given, "line": each.line} for name, each in loaded.origins.items()}
        emit({"settings": msgspec.to_builtins(loaded.settings), "origins": origins})
        return
    for name, each in loaded.origins.items():
        where = f"  # relay.toml:{each.line}" if each.line is not None else ""
        value = msgspec.json.encode(each.value).decode()
        click.echo(printable(f"{name} = {value}{where}"))


@command("version")
def version(choices: Choices) -> None:
    """Show the versions of program, protocol and home."""
    found = {
        "version": program_version(),
        "protocol": PROTOCOL_VERSION,
        "home_version": HOME_VERSION,
        "python": platform.python_version(),
    }
    if choices.json:
        emit(found)
    else:
        parts = f"protocol {PROTOCOL_VERSION}, home {HOME_VERSION}, Python {found['python']}"
        click.echo(f"relay {found['version']} ({parts})")
