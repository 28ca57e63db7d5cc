"""The entry of the `relay` command: language, commands, and one guard around everything."""

import errno
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

import click

from config.problems import ConfigError
from keys.files.private_files import KeyFileError
from protocol.errors import Refused
from relay.console.choices import Choices, read_choices
from relay.console.commands import LazyGroup
from relay.console.failure import Failure, as_failure, quiet_streams, report, usage_failure
from relay.console.phrases import say

BROKEN_PIPE: Final = 141
"""What a shell shows for a program that SIGPIPE ended."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

COMMANDS: Final = {
    "run": "relay.console.operating:run",
    "send": "relay.console.sending:send",
    "inbox": "relay.console.receiving:group",
    "sign-for": "relay.console.receiving:sign_for",
    "return": "relay.console.receiving:return_message",
    "forward": "relay.console.sending:forward",
    "track": "relay.console.following:track",
    "sent": "relay.console.following:sent_group",
    "evidence": "relay.console.following:evidence",
    "verify": "relay.console.following:verify",
    "cancel": "relay.console.following:cancel",
    "status": "relay.console.operating:status",
    "clock": "relay.console.operating:clock_group",
    "home": "relay.console.operating:home_group",
    "queue": "relay.console.operating:queue_group",
    "quarantine": "relay.console.operating:quarantine_group",
    "overdue": "relay.console.following:overdue",
    "statistics": "relay.console.operating:statistics",
    "doctor": "relay.console.doctoring:doctor",
    "audit": "relay.console.auditing:group",
    "keys": "relay.console.keys.group:group",
    "config": "relay.console.operating:config_group",
    "fsck": "relay.console.operating:fsck",
    "broker": "relay.console.broker:group",
    "lab": "relay.console.network:lab_group",
    "demo": "relay.console.network:demo",
    "version": "relay.console.operating:version",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; no exception leaves here."""
    quiet_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        words[0] = "version"
    choices = read_choices(words, os.environ)
    try:
        status = _run(words, choices)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    else:
        return status


def _run(words: list[str], choices: Choices) -> int:
    try:
        result = LazyGroup("", COMMANDS).main(words, prog_name="relay", standalone_mode=False, obj=choices)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        return report(usage_failure(error, choices.lang), choices)
    except (Failure, Refused, ConfigError, KeyFileError) as error:
        return report(as_failure(error, choices.lang), choices)
    except (KeyboardInterrupt, click.Abort):
        return report(Failure("INTERRUPTED"), choices)
    except BrokenPipeError:
        raise
    except PermissionError as error:
        return report(Failure("NOT_PERMITTED", _file_trouble(error)), choices)
    except OSError as error:
        code = "CANNOT_WRITE" if error.errno in NO_ROOM else "FILE_UNREADABLE" if error.filename else "INTERNAL"
        return report(Failure(code, _describe(error) if code == "INTERNAL" else _file_trouble(error)), choices)
    except UnicodeEncodeError:
        # A file name can be any bytes, but not where it is written down, such as in relay.toml.
        return report(Failure("USAGE", say("not_utf8", choices.lang)), choices)
    except Exception as error:  # noqa: BLE001 - nobody above us; people get a sentence, developers the file
        return report(Failure("INTERNAL", _describe(error)), choices)


def _file_trouble(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _describe(error: Exception) -> str:
    """The kind of an unexpected error, and with RELAY_DEBUG=FILE where its traceback went.

    The message of the exception is not shown: it could quote content or secrets.
    """
    kind = type(error).__name__
    file = os.environ.get("RELAY_DEBUG")
    if not file:
        return f"{kind}; RELAY_DEBUG=FILE writes the details"
    import traceback

    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as log:
            log.write(time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))
            traceback.print_exception(error, file=log)
    except OSError as trouble:
        return f"{kind}; {file}: {trouble.strerror}"
    return f"{kind}; details in {file}"


def _discard_output() -> None:
    """Let the interpreter's last flush go nowhere: the reader has left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
