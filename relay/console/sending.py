"""`relay send`, and what a message needs to be sent: also `forward`."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from relay.codes import CODES
from relay.console.choices import Choices
from relay.console.client import Daemon, daemon_of, path_of
from relay.console.commands import argument, command, option
from relay.console.drafting import (
    check_classification,
    check_fields,
    check_prefix,
    new_id,
    parse_duration_s,
    read_attachments,
    read_body,
)
from relay.console.failure import Failure, naming
from relay.console.output import emit
from relay.console.phrases import say
from relay.console.terms import term

RANK: Final = {"accepted": 0, "custody": 1, "delivered": 2, "opened": 3, "signed_for": 4}
WAITABLE: Final = ("delivered", "opened", "signed_for")
ENDED: Final = ("refused", "expired", "unconfirmed", "returned")
WAIT_S: Final = 60.0
WAIT_SLICE_S: Final = 30.0
"""One question to the daemon; longer waits are several of them."""
WAIT_PAUSE_S: Final = 0.05
"""Between two questions, should the daemon answer sooner than asked."""

_TEXTS: Final = (
    "urgency kind title expires_in deliver_within occurred_at event_level thread reply_to classification".split()
)


@dataclass(frozen=True, slots=True)
class Pen:
    """What persons need to sign with: whom to ask for a passphrase, and the daemon that knows its office."""

    choices: Choices
    daemon: Daemon
    passphrase_file: str | None


@command("send")
@option("--to", metavar="ADDRESS", multiple=True)
@option("--cc", metavar="ADDRESS", multiple=True)
@option("--urgency", metavar="URGENCY")
@option("--kind", metavar="KIND")
@option("--title", metavar="TEXT")
@option("--body", metavar="FILE|-")
@option("--attach", metavar="FILE", multiple=True)
@option("--id", metavar="UUID")
@option("--expires-in", metavar="DURATION")
@option("--deliver-within", metavar="DURATION")
@option("--occurred-at", metavar="TIME")
@option("--event-level", metavar="LEVEL")
@option("--thread", metavar="UUID")
@option("--reply-to", metavar="UUID")
@option("--classification", metavar="MARKING")
@option("--reviewer", metavar="KEYFILE")
@option("--issuer", metavar="KEYFILE")
@option("--passphrase-file", metavar="FILE", help="persons_passphrase")
@option("--bulk", is_flag=True)
@option("--drill", is_flag=True)
@option("--wait", metavar="STATE", type=click.Choice(WAITABLE))
@option("--wait-timeout", metavar="DURATION")
@option("--jsonl", metavar="FILE|-")
def send(choices: Choices, *, jsonl: str | None, passphrase_file: str | None, **given: Any) -> int | None:
    """Send one message, or a stream of them."""
    context = click.get_current_context()
    if jsonl is not None:
        others = [name for name, value in given.items() if value not in (None, (), False)]
        if others:
            option_name = "--" + others[0].replace("_", "-")
            raise click.UsageError(say("jsonl_alone", choices.lang, name=option_name), context)
        from relay.console.stream import send_lines

        return send_lines(choices, jsonl, passphrase_file)
    _require(context, given, choices.lang)
    message_id = given["id"] or new_id()
    with naming(message_id, choices.lang):
        wait_s = parse_duration_s(given["wait_timeout"], field="wait_timeout") if given["wait_timeout"] else WAIT_S
        draft = _draft(message_id, given)
        daemon = daemon_of(choices)
        _approve(Pen(choices, daemon, passphrase_file), draft, given)
        answer = daemon.change(path_of("messages"), draft, key=message_id).one()
    if given["wait"] is None:
        _tell(choices, answer)
        return None
    return _wait(choices, daemon, answer, given["wait"], wait_s)


def _require(context: click.Context, given: dict[str, Any], lang: str) -> None:
    """Recipients and a title must be named; a wait-timeout without a wait is a slip."""
    for name, missing in (("to", not given["to"]), ("title", given["title"] is None)):
        if missing:
            parameter = next(each for each in context.command.params if each.name == name)
            raise click.MissingParameter(ctx=context, param=parameter)
    if given["wait_timeout"] is not None and given["wait"] is None:
        raise click.UsageError(say("wait_alone", lang), context)


def _draft(message_id: str, given: dict[str, Any]) -> dict[str, Any]:
    """The draft for the API. A classified marking is refused before any file is opened."""
    draft: dict[str, Any] = {"id": message_id, "to": list(given["to"])}
    if given["cc"]:
        draft["cc"] = list(given["cc"])
    draft.update({name: given[name] for name in _TEXTS if given[name] is not None})
    draft.update({name: True for name in ("bulk", "drill") if given[name]})
    check_classification(draft.get("classification", "none"))
    if given["body"] is not None:
        draft["body"] = read_body(given["body"])
    check_fields(draft)
    if given["attach"]:
        draft["attachments"] = read_attachments(list(given["attach"]), Path())
    return draft


def _approve(pen: Pen, draft: dict[str, Any], given: dict[str, Any], forwards: str = "") -> None:
    """Let the persons sign whose key files were given, by role; `forwards` is the id of a message to be forwarded."""
    files = {role: given[role] for role in ("reviewer", "issuer") if given[role] is not None}
    if not files:
        return
    # Cryptography takes longer to load than a message without persons takes to send.
    from relay.console.signing import Signing

    signing = Signing(pen.choices, pen.daemon, pen.passphrase_file)
    original = None
    if forwards:
        head = signing.head(forwards)
        original = str(head["digest"])
        draft.setdefault("title", head["title"])
    signing.approve(draft, files, original)


def _tell(choices: Choices, answer: dict[str, Any]) -> None:
    """The answer of acceptance, as an object or in words."""
    if choices.json:
        emit(answer)
        return
    lang = choices.lang
    head = "accepted_before" if answer.get("repeated") else "accepted"
    click.echo(say(head, lang, id=answer.get("id", "")))
    lane = term(str(answer.get("lane", "")), lang)
    click.echo("  " + say("lane", lang, lane=lane, to=" ".join(answer.get("to", []))))
    click.echo("  " + say("digest", lang, digest=answer.get("digest", "")))
    for member in answer.get("skipped", []):
        click.echo("  " + say("skipped", lang, to=member.get("to", ""), code=member.get("code", "")))
    for one in answer.get("renamed", []):
        click.echo("  " + say("renamed", lang, to=one.get("to", ""), now=one.get("now", "")))
    if answer.get("state", "accepted") != "accepted":
        click.echo("  " + say("reached", lang, state=term(str(answer["state"]), lang)))


def _wait(choices: Choices, daemon: Daemon, answer: dict[str, Any], wish: str, wait_s: float) -> int:
    """Wait for a state and tell what was reached; the message is accepted whatever comes of it."""
    message_id = str(answer["id"])
    failure: Failure | None = None
    try:
        track = _wait_patiently(daemon, message_id, wish, wait_s)
        reached = reached_state(track)
        failure = _ended(track, wish, reached)
    except Failure as error:
        code = "WAIT_TIMEOUT" if error.code in ("DAEMON_DOWN", "WAIT_TIMEOUT") else error.code
        reached = str(error.extra.get("state") or _state_now(daemon, message_id))
        failure = Failure(code, error.detail, field=error.field, said=error.said)
    _tell(choices, {**answer, "state": reached})
    if failure is None:
        return 0
    failure.extra.update({"id": message_id, "state": reached})
    raise failure


def _wait_patiently(daemon: Daemon, message_id: str, wish: str, wait_s: float) -> dict[str, Any]:
    """The track once the wish has come true. The daemon may cut the time; we ask until `wait_s` is over."""
    until_s = time.monotonic() + wait_s
    path = path_of("messages", message_id, "timeline")
    last: object = None
    while True:
        left_s = until_s - time.monotonic()
        asked_s = max(0.0, min(left_s, WAIT_SLICE_S))
        try:
            return daemon.wait(path, wish, asked_s).one()
        except Failure as error:
            if error.code == "WAIT_TIMEOUT" and str(error.extra.get("state")) in ENDED:
                return daemon.read(path).one()
            last = error.extra.get("state") or last
            if error.code != "WAIT_TIMEOUT" or left_s <= asked_s:
                if last is not None:
                    error.extra["state"] = last
                raise
            time.sleep(WAIT_PAUSE_S)


def _state_now(daemon: Daemon, message_id: str) -> str:
    try:
        return reached_state(daemon.read(path_of("messages", message_id, "timeline")).one())
    except Failure:
        return "accepted"


def reached_state(track: dict[str, Any]) -> str:
    """What all recipients have reached: the first end without success, else the lowest state."""
    states = [str(each.get("state", "accepted")) for each in track.get("recipients", [])]
    for state in states:
        if state in ENDED:
            return state
    return min(states, key=lambda state: RANK.get(state, 0), default="accepted")


def _ended(track: dict[str, Any], wish: str, reached: str) -> Failure | None:
    """Why the wish cannot come true any more, or None when it has."""
    if RANK.get(reached, 0) >= RANK[wish] or (reached == "returned" and wish != "signed_for"):
        return None
    detail = f"the message is {reached}"
    if reached == "refused":
        code = next((str(each["code"]) for each in track["recipients"] if each.get("code")), "")
        return Failure(code, detail) if code in CODES else Failure("WRONG_STATE", f"{detail} {code}".strip())
    if reached == "expired":
        return Failure("EXPIRED", detail)
    if reached == "returned":
        return Failure("WRONG_STATE", detail)
    return Failure("WAIT_TIMEOUT", detail)


@command("forward")
@argument("message_id", "ID")
@option("--to", metavar="ADDRESS", multiple=True, required=True)
@option("--cc", metavar="ADDRESS", multiple=True)
@option("--id", "new_id_given", metavar="UUID", help="id")
@option("--title", metavar="TEXT")
@option("--body", metavar="FILE|-")
@option("--urgency", metavar="URGENCY")
@option("--reviewer", metavar="KEYFILE")
@option("--issuer", metavar="KEYFILE")
@option("--passphrase-file", metavar="FILE", help="persons_passphrase")
def forward(
    choices: Choices, message_id: str, *, new_id_given: str | None, passphrase_file: str | None, **given: Any
) -> None:
    """Send a new message of this office that carries the original."""
    fresh = new_id_given or new_id()
    with naming(fresh, choices.lang):
        check_prefix(message_id)
        draft: dict[str, Any] = {"id": fresh, "to": list(given["to"])}
        if given["cc"]:
            draft["cc"] = list(given["cc"])
        draft.update({name: given[name] for name in ("title", "urgency") if given[name] is not None})
        if given["body"] is not None:
            draft["body"] = read_body(given["body"])
        # Without a title the daemon takes the original's; every other field is checked as for `send`.
        check_fields({"title": "-", **draft})
        daemon = daemon_of(choices)
        _approve(Pen(choices, daemon, passphrase_file), draft, given, message_id)
        answer = daemon.change(path_of("messages", message_id, "forward"), draft, key=fresh).one()
    _tell(choices, answer)
