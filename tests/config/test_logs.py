"""Log lines: one JSON object each, without secrets and without what people wrote."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from config.logs import HIDDEN, set_up_logging
from config.schema import Log


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_g11_secrets_and_texts_are_hidden() -> None:
    out = io.StringIO()
    set_up_logging(Log(), out)
    structlog.get_logger().info(
        "sealed",
        id="0198",
        key_id="aa",
        passphrase="geheim",
        storage_key="geheim",
        title="geheim",
        seed=b"geheim",
        payload=b"geheim",
        inner={"private": "geheim", "lane": "flash"},
    )
    assert "geheim" not in out.getvalue()
    (line,) = lines(out)
    assert (line["event"], line["id"], line["key_id"], line["level"]) == ("sealed", "0198", "aa", "info")
    assert (line["title"], line["payload"], line["inner"]) == (
        HIDDEN,
        "[6 bytes]",
        {"private": HIDDEN, "lane": "flash"},
    )
    assert str(line["timestamp"]).endswith("Z")


def test_levels_and_other_libraries() -> None:
    out = io.StringIO()
    set_up_logging(Log(level="warning"), out)
    structlog.get_logger().info("quiet")
    logging.getLogger("some.library").error("loud %s", "one")
    logging.getLogger("uvicorn.error").info("quiet")
    (line,) = lines(out)
    assert (line["event"], line["level"]) == ("loud one", "error")


def test_console_format_is_for_people() -> None:
    out = io.StringIO()
    set_up_logging(Log(format="console"), out)
    structlog.get_logger().info("起动", office="320924-GO")
    assert "起动" in out.getvalue()
    assert "office=320924-GO" in out.getvalue()
    assert not out.getvalue().startswith("{")
