"""The one set-up of logging: structlog lines on standard error, without secrets and without what people wrote.

Every other module calls `structlog.get_logger()` and knows nothing of this file.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog

from config.schema import Log

HIDDEN: Final = "[hidden]"

_HIDDEN_NAMES: Final = frozenset(
    "key passphrase password secret seed token private credential body title subject content plaintext "
    "person name file filename attachment attachments reason note".split()
)
_HIDDEN_ENDINGS: Final = ("_key", "_passphrase", "_password", "_secret", "_seed", "_token", "_private", "_plaintext")
_QUIET: Final = ("uvicorn", "asyncio", "aiomqtt", "mqtt", "tuf", "python_multipart")


def set_up_logging(log: Log, stream: TextIO | None = None) -> None:
    """Sends structlog and the standard library's logging to `stream` (standard error when None)."""
    out = sys.stderr if stream is None else stream
    as_json = log.format == "json" or (log.format == "auto" and not out.isatty())
    level = logging.getLevelNamesMapping()[log.level.upper()]
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
        hide_secrets,
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    structlog.configure(
        processors=[*before, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces the values of names that could hold secrets or users' words, and bytes, which have no place in a log."""
    for name, value in event.items():
        low = name.lower()
        if low in _HIDDEN_NAMES or low.endswith(_HIDDEN_ENDINGS):
            event[name] = HIDDEN
        elif isinstance(value, bytes | bytearray | memoryview):
            event[name] = f"[{len(value)} bytes]"
        elif isinstance(value, dict):
            event[name] = hide_secrets(None, "", dict(value))
    return event
