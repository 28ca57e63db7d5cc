"""Every stable code: its exit status, its HTTP status, and its words in Chinese and English.

One table serves the command line, the HTTP API and `docs/codes.md`, which `python -m relay.codes` prints.
"""

import sys
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from relay.details import in_chinese
from relay.wording_en import WORDS as EN
from relay.wording_zh import WORDS as ZH

Words = tuple[str, str, str]
"""What happened, why, what to do."""


@dataclass(frozen=True, slots=True)
class Code:
    """One stable code. `exit` is the process status (sysexits.h), `http` the response status."""

    code: str
    exit: int
    http: int

    def words(self, lang: str) -> Words:
        """What happened, why, and what to do, in `zh_CN` or `en`."""
        return (ZH if lang == "zh_CN" else EN)[self.code]


def _table(*rows: tuple[str, int, int]) -> MappingProxyType[str, Code]:
    return MappingProxyType({row[0]: Code(*row) for row in rows})


CODES: Final = _table(
    ("UNKNOWN_RECIPIENT", 65, 422),
    ("REVOKED", 65, 422),
    ("SUCCEEDED", 65, 422),
    ("SUSPENDED", 65, 422),
    ("NOT_LIAISON", 65, 422),
    ("CLASSIFIED", 65, 422),
    ("NO_REVIEWER", 65, 422),
    ("NO_ISSUER", 65, 422),
    ("SAME_PERSON", 65, 422),
    ("WRONG_ROLE", 65, 422),
    ("UNKNOWN_PERSON", 65, 422),
    ("BAD_SIGNATURE", 65, 422),
    ("LANE_NOT_ALLOWED", 65, 422),
    ("TOO_LARGE", 65, 413),
    ("BAD_FIELD", 65, 422),
    ("ID_REUSED", 65, 409),
    ("WRONG_STATE", 65, 409),
    ("EXPIRED", 65, 422),
    ("CLOCK_TOO_EARLY", 65, 409),
    ("STORE_FULL", 75, 507),
    ("BUSY", 75, 503),
    ("HOME_BUSY", 75, 503),
    ("TRUST_STALE", 75, 503),
    ("WAIT_TIMEOUT", 75, 504),
    ("NOT_FOUND", 66, 404),
    ("AMBIGUOUS", 66, 409),
    ("FILE_MISSING", 66, 404),
    ("FILE_UNREADABLE", 66, 404),
    ("WORDS_LOST", 66, 410),
    ("DAEMON_DOWN", 69, 503),
    ("BROKER_MISSING", 69, 503),
    ("SUITE_MISSING", 69, 503),
    ("INTERNAL", 70, 500),
    ("HOME_IN_USE", 73, 409),
    ("FILE_EXISTS", 73, 409),
    ("CANNOT_WRITE", 73, 500),
    ("OUTCOME_UNKNOWN", 74, 504),
    ("NOT_PERMITTED", 77, 403),
    ("BAD_CONFIG", 78, 500),
    ("BAD_PLAN", 78, 422),
    ("BAD_KEYS", 78, 500),
    ("WRONG_HOME", 78, 422),
    ("NOT_ENOUGH_KEYS", 65, 422),
    ("NO_PASSPHRASE", 65, 422),
    ("ACT_DIFFERS", 65, 409),
    ("ACT_WAITS", 65, 409),
    ("ACT_OUTDATED", 65, 409),
    ("KEY_FILE_MISSING", 66, 404),
    ("KEY_FILE_UNREADABLE", 66, 404),
    ("KEY_FILE_MODE", 77, 403),
    ("KEY_FILE_DAMAGED", 65, 422),
    ("KEY_FILE_KIND", 65, 422),
    ("KEY_FILE_NOT_OPENED", 65, 422),
    ("NO_PIN", 65, 422),
    ("TOKEN_MISSING", 75, 503),
    ("TOKEN_PIN", 78, 422),
    ("TOKEN_LOCKED", 78, 422),
    ("TOKEN_UNFIT", 78, 422),
    ("BAD_REQUEST", 65, 422),
    ("REQUEST_EXPIRED", 65, 422),
    ("CLOCK_BEHIND", 65, 422),
    ("WEAK_KEY", 65, 422),
    ("WRONG_NETWORK", 65, 422),
    ("ADDRESS_TAKEN", 65, 422),
    ("KEY_REUSED", 65, 422),
    ("REJECTED", 65, 422),
    ("NO_REQUEST", 66, 404),
    ("ROTATION_UNFINISHED", 78, 503),
    ("BAD_RESPONSE", 65, 422),
    ("RESPONSE_NOT_OURS", 65, 422),
    ("RESPONSE_OLD", 65, 422),
    ("BAD_TRUST", 78, 500),
    ("BAD_STORE", 78, 500),
    ("HOME_MISSING", 78, 500),
    ("HOME_VERSION", 78, 500),
    ("UNANCHORED", 1, 422),
    ("VERIFY_FAILED", 1, 422),
    ("CHECK_FAILED", 1, 422),
    ("USAGE", 2, 400),
    ("UNKNOWN_PATH", 2, 404),
    ("METHOD_NOT_ALLOWED", 2, 405),
    ("UNSUPPORTED_TYPE", 2, 415),
    ("INTERRUPTED", 130, 503),
)


def lookup(code: str) -> Code:
    """The row of a code. A code without a row is a fault of ours and is treated as INTERNAL."""
    return CODES.get(code, CODES["INTERNAL"])


def language(wish: str | None) -> str:
    """`zh_CN` or `en` from `--lang`, LANG or Accept-Language (RFC 9110 12.5.4), the first that is known; else `en`."""
    best, best_weight = "en", 0.0
    for part in (wish or "").split(","):
        tag, _, parameter = part.strip().partition(";")
        name, _, number = parameter.strip().partition("=")
        try:
            weight = float(number) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        known = _known_language(tag.strip())
        if known is not None and weight > best_weight:
            best, best_weight = known, weight
    return best


def error_object(
    code: str, lang: str = "en", detail: str = "", field: str | None = None, **extra: Any
) -> dict[str, Any]:
    """The error object of CONTRACT section 2; `detail`, `field` and `extra` members are left out when empty."""
    row = lookup(code)
    what, _, hint = row.words(lang)
    found: dict[str, Any] = {
        "v": 1,
        "type": "error",
        "exit": row.exit,
        "code": row.code,
        "message": what,
        "hint": hint,
    }
    if detail:
        found["detail"] = detail
    if field:
        found["field"] = field
    found.update({name: value for name, value in extra.items() if value is not None})
    return found


def human_lines(code: str, lang: str = "en", detail: str = "", field: str | None = None) -> tuple[str, str, str]:
    """The three lines that people get: what happened, why, what to do."""
    what, why, hint = lookup(code).words(lang)
    where = f"{field}: " if field else ""
    if detail:
        why = f"{why} {where}{detail}" if lang == "en" else f"{why}（{where}{in_chinese(detail)}）"
    elif field:
        why = f"{why} {field}" if lang == "en" else f"{why}（{field}）"
    return what, why, hint


def table_markdown() -> str:
    """The text of `docs/codes.md`."""
    lines = [
        "# Codes",
        "",
        "Every stable code, the exit status of the command line, the status of the HTTP API, and what people read.",
        "Made by `python -m relay.codes > docs/codes.md` from `relay/codes.py`; a test keeps the two equal.",
        "",
        "| code | exit | HTTP | what happened | what to do | 含义 | 处理办法 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(CODES.values(), key=lambda row: (row.exit, row.code)):
        what, _, hint = row.words("en")
        what_zh, _, hint_zh = row.words("zh_CN")
        lines.append(f"| `{row.code}` | {row.exit} | {row.http} | {what} | {hint} | {what_zh} | {hint_zh} |")
    return "\n".join(lines) + "\n"


def _known_language(tag: str) -> str | None:
    """The language we have for a tag such as `zh-CN`, `zh_CN.UTF-8`, `en-GB` or `C`."""
    low = tag.lower()
    if low.startswith("zh"):
        return "zh_CN"
    if low.startswith("en") or low in ("c", "posix", "c.utf-8"):
        return "en"
    return None


if __name__ == "__main__":
    sys.stdout.write(table_markdown())
