"""How a command fails: one error object or three lines on standard error, and an exit status."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import click

from config.problems import ConfigError
from keys.files.private_files import KeyFileError
from protocol.errors import Refused
from relay.codes import CODES, error_object, human_lines, lookup
from relay.console.choices import Choices
from relay.console.output import encoded
from relay.console.phrases import say

DETAIL_CHARS: Final = 4_000
"""Longest detail that is shown: it may quote an argument of any length."""


class Failure(Exception):
    """A command that did not succeed.

    `code` is stable; `detail` and `field` are as in `Refused`; `extra` holds further members of the error
    object (`id`, `state`, `line`). `said` is the daemon's own error object when it knows a code that we do not.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        field: str | None = None,
        extra: Mapping[str, Any] | None = None,
        said: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail if len(detail) <= DETAIL_CHARS else f"{detail[:DETAIL_CHARS]}…"
        self.field = field
        self.extra = dict(extra or {})
        self.said = said

    def as_object(self, lang: str) -> dict[str, Any]:
        """The error object of CONTRACT section 2."""
        if self.said is not None:
            kept = {key: self.said[key] for key in ("exit", "code", "message", "hint") if key in self.said}
            return {**error_object("INTERNAL", lang, self.detail, self.field), **kept, **self.extra}
        return error_object(self.code, lang, self.detail, self.field, **self.extra)

    @property
    def exit(self) -> int:
        """The exit status of the process."""
        if self.said is not None:
            return int(self.said.get("exit", 70))
        return lookup(self.code).exit


_FRAME = frozenset({"v", "type", "exit", "code", "message", "hint", "detail", "field", "title", "status", "instance"})


def failure_from(answer: Mapping[str, Any]) -> Failure:
    """The failure that an error object of the daemon stands for, to be said in our own language."""
    code = str(answer.get("code", "INTERNAL"))
    detail = answer.get("detail")
    if not isinstance(detail, str) or detail in (lookup(code).words("en")[1], lookup(code).words("zh_CN")[1]):
        detail = ""  # RFC 9457 wants one always; the general words are ours to say
    return Failure(
        code,
        detail,
        field=answer.get("field"),
        extra={key: value for key, value in answer.items() if key not in _FRAME},
        said=None if code in CODES else answer,
    )


def as_failure(error: Failure | Refused | ConfigError | KeyFileError, lang: str = "en") -> Failure:
    """A refusal of the checks we share with the daemon, a key file, or wrong settings, as a failure of the command."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, KeyFileError):
        hint = {"hint": say("run", lang, command=error.hint)} if error.hint else {}
        return Failure(error.code, f"{error.path}: {error.detail}", extra=hint)
    if isinstance(error, ConfigError):
        problems = [{"setting": each.setting, "line": each.line, "text": each.text(lang)} for each in error.problems]
        separator = "；" if lang == "zh_CN" else "; "
        text = separator.join(each.text(lang) for each in error.problems)
        return Failure(error.code, text, extra={"problems": problems})
    return Failure(error.code, error.detail, field=error.field)


@contextmanager
def naming(message_id: str, lang: str = "en") -> Iterator[None]:
    """Every failure inside carries the id, so that the same command can be run again with it."""
    try:
        yield
    except (Failure, Refused, KeyFileError) as error:
        failure = as_failure(error, lang)
        failure.extra.setdefault("id", message_id)
        raise failure from error


def report(failure: Failure, choices: Choices) -> int:
    """Write the failure to standard error and return the exit status."""
    if choices.json:
        click.echo(encoded(failure.as_object(choices.lang)), err=True)
    else:
        for line in _three_lines(failure, choices.lang):
            click.echo(line, err=True)
    return failure.exit


def _three_lines(failure: Failure, lang: str) -> tuple[str, str, str]:
    if failure.said is not None:
        said = failure.said
        what, why, hint = str(said.get("message", failure.code)), failure.detail, str(said.get("hint", ""))
    else:
        what, why, hint = human_lines(failure.code, lang, failure.detail, failure.field)
        hint = str(failure.extra.get("hint", hint))
    if failure.code == "USAGE" and failure.detail:
        why = failure.detail
    identity = f" (id {failure.extra['id']})" if "id" in failure.extra else ""
    return (
        _one_line(f"{say('error', lang)}{what} [{failure.code}]"),
        _one_line(f"{say('why', lang)}{why}"),
        _one_line(f"{say('do', lang)}{hint}{identity}"),
    )


def _one_line(text: str) -> str:
    """Without control characters: a detail may quote a file name or a field that somebody else chose."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def usage_failure(error: click.UsageError, lang: str) -> Failure:
    """A usage error of click in the reader's language."""
    field = error.param.name if isinstance(error, click.BadParameter) and error.param is not None else None
    extra = {"hint": say("see_help", lang, command=error.ctx.command_path)} if error.ctx is not None else {}
    return Failure("USAGE", _usage_detail(error, lang), field=field, extra=extra)


def _usage_detail(error: click.UsageError, lang: str) -> str:
    match error:
        case click.NoSuchOption():
            return say("no_such_option", lang, name=error.option_name) + _near(error.possibilities, lang)
        case click.NoSuchCommand():
            return say("no_such_command", lang, name=error.command_name) + _near(error.possibilities, lang)
        case click.MissingParameter() if error.param is not None:
            return say("missing", lang, name=_name(error.param))
        case click.BadParameter() if error.param is not None:
            return say("bad_value", lang, name=_name(error.param), why=_why_bad(error, lang))
        case click.BadOptionUsage() if "does not take a value" in error.message:
            return say("takes_no_value", lang, name=error.option_name)
        case click.BadOptionUsage():
            return say("needs_value", lang, name=error.option_name)
        case _ if lang == "zh_CN" and "unexpected extra argument" in error.message:
            return say("too_many", lang, names=error.message.partition("(")[2].partition(")")[0])
        case _ if lang == "zh_CN" and "Missing command" in error.message:
            return say("missing_command", lang)
        case _:
            return error.format_message()


def _near(names: list[str] | None, lang: str) -> str:
    return say("did_you_mean", lang, names=", ".join(names)) if names else ""


def _name(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name


def _why_bad(error: click.BadParameter, lang: str) -> str:
    kind = error.param.type if error.param is not None else None
    if isinstance(kind, click.Choice):
        return say("one_of", lang, names=", ".join(str(choice) for choice in kind.choices))
    if isinstance(kind, click.IntRange):
        return say("not_a_number", lang, low=kind.min, high=kind.max)
    return error.message


def quiet_streams() -> None:
    """Let odd characters reach a terminal of another encoding as escapes instead of as an exception."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
