"""Commands, groups and options that speak two languages and load their code only when they are used."""

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

import click

from relay.console.choices import Choices
from relay.console.phrases import say
from relay.console.wording import HELP, help_text

F = TypeVar("F", bound=Callable[..., Any])

NAMES_FILE: Final = re.compile("FILE|DIR|REQUEST|RESPONSE|PLAN")
"""Found in the metavar of every parameter that names a file or a folder."""

HELP_NAMES: Final = {"help_option_names": ["--help", "-h"]}


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Store a common option, wherever it stood, in the choices of the whole command line."""
    if "" in (value if isinstance(value, tuple) else (value,)):
        raise click.BadParameter(say("no_file_name", _language(context)), context, option)
    if value is not None and value is not False:
        setattr(context.find_object(Choices), option.name, value)


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--home", "home_given"], metavar="DIR", help="home_given", expose_value=False, callback=_remember
        ),
        click.Option(["--json", "json"], is_flag=True, help="json", expose_value=False, callback=_remember),
        click.Option(
            ["--lang", "lang"],
            metavar="zh_CN|en",
            type=click.Choice(["zh_CN", "en"]),
            help="lang",
            expose_value=False,
            callback=_remember,
        ),
    ]


def option(*names: str, metavar: str | None = None, **settings: Any) -> Callable[[F], F]:
    """A click option whose help is found under its own name."""
    return click.option(*names, metavar=metavar, **settings)


def remembered(*names: str, metavar: str | None = None) -> Callable[[F], F]:
    """An option that may be repeated and is kept in the choices of the whole command line."""
    return click.option(*names, metavar=metavar, multiple=True, expose_value=False, callback=_remember)


def argument(name: str, metavar: str, **settings: Any) -> Callable[[F], F]:
    """A click argument shown as `metavar`."""
    return click.argument(name, metavar=metavar, **settings)


def command(path: str) -> Callable[[Callable[..., int | None]], "SpokenCommand"]:
    """Make a function the command `path` (`send`, `inbox list`); it returns the exit status, None for 0."""

    def wrap(function: Callable[..., int | None]) -> SpokenCommand:
        made = click.command(name=path.rpartition(" ")[2], cls=SpokenCommand)(click.pass_obj(function))
        made.path = path
        return made

    return wrap


def _language(context: click.Context) -> str:
    found = context.find_object(Choices)
    return found.lang if found is not None else "en"


def _write_help(spoken: "SpokenCommand | LazyGroup", context: click.Context, formatter: click.HelpFormatter) -> None:
    """Usage, purpose and options, all in the reader's language."""
    lang = _language(context)
    pieces = [say("options_metavar", lang)]
    pieces += [piece for parameter in spoken.params for piece in parameter.get_usage_pieces(context)]
    if isinstance(spoken, LazyGroup):
        pieces.append(say("command_metavar", lang))
    formatter.write_usage(context.command_path, " ".join(pieces), prefix=say("usage", lang))
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(help_text(spoken.path, lang))
    if isinstance(spoken, LazyGroup):
        rows = [(name, help_text(f"{spoken.path} {name}".strip(), lang)) for name in spoken.list_commands(context)]
        _write_rows(formatter, say("commands", lang), rows)
    options = [_option_row(spoken, each, lang) for each in spoken.params if isinstance(each, click.Option)]
    _write_rows(formatter, say("options", lang), [*options, ("-h, --help", help_text("help", lang))])


def _write_rows(formatter: click.HelpFormatter, heading: str, rows: list[tuple[str, str]]) -> None:
    """Like click's sections, which end every heading with a western colon."""
    formatter.write_paragraph()
    formatter.write(f"{heading}\n")
    with formatter.indentation():
        formatter.write_dl(rows)


def _option_row(spoken: "SpokenCommand | LazyGroup", each: click.Option, lang: str) -> tuple[str, str]:
    key = each.help or each.name
    own = f"{spoken.path}.{key}"
    text = help_text(own if own in HELP else key, lang)
    names = ", ".join(sorted(each.opts, key=len))
    return (
        f"{names} {each.metavar}" if each.metavar else names,
        f"{text} [{say('required', lang)}]" if each.required else text,
    )


def _fault_of(value: Any, metavar: str) -> str | None:
    """The phrase for what is wrong with a value of any parameter.

    A file must have a name, which may be any bytes: an empty one comes from a variable that is not set, and would mean
    the current folder. Anything else is text.
    """
    if not isinstance(value, str):
        return None
    if NAMES_FILE.search(metavar):
        return None if value else "no_file_name"
    return "not_utf8" if value.encode("utf-8", "replace").decode() != value else None


class SpokenCommand(click.Command):
    """A command with the common options and with help in both languages."""

    path = ""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "context_settings": HELP_NAMES})
        self.params += _common_options()

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, if every value can be what it is for."""
        for parameter in self.params:
            given = ctx.params.get(parameter.name or "")
            for value in () if given == parameter.default else given if isinstance(given, tuple) else (given,):
                fault = _fault_of(value, parameter.metavar or "")
                if fault is not None:
                    raise click.BadParameter(say(fault, _language(ctx)), ctx, parameter)
        return super().invoke(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Replace click's English frame."""
        _write_help(self, ctx, formatter)


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the module of the one that is used.

    `homes` maps a command's name to `module:attribute`. A command whose module has not been built into this
    installation, or a group without commands, is not offered. `before` runs ahead of any of them.
    """

    def __init__(self, path: str, homes: Mapping[str, str], before: Callable[[], None] | None = None) -> None:
        super().__init__(name=path.rpartition(" ")[2] or "relay", context_settings=HELP_NAMES, params=_common_options())
        self.path = path
        self.homes = homes
        self.before = before

    def invoke(self, ctx: click.Context) -> Any:
        """Run `before`, if there is one, and then the command."""
        if self.before is not None:
            self.before()
        return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names that can be used, in the order of the table."""
        return [name for name, home in self.homes.items() if _exists(home) and self._offered(ctx, name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or None when there is none of that name."""
        home = self.homes.get(cmd_name)
        if home is None or not _exists(home):
            return None
        module, _, attribute = home.partition(":")
        found = cast(click.Command, getattr(importlib.import_module(module), attribute))
        if isinstance(found, LazyGroup) and not found.homes:
            return None
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with near names taken from the table."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Replace click's English frame."""
        _write_help(self, ctx, formatter)
        if not self.path:
            formatter.write_paragraph()
            formatter.write_text(help_text("exits", _language(ctx)))

    def _offered(self, context: click.Context, name: str) -> bool:
        """Whether help knows the command; a group still without commands has no help text."""
        return f"{self.path} {name}".strip() in HELP and (
            not self.homes[name].endswith(":group") or self.get_command(context, name) is not None
        )


def _exists(home: str) -> bool:
    try:
        return importlib.util.find_spec(home.partition(":")[0]) is not None
    except ModuleNotFoundError:
        return False
